// What methods cost where they are used: an ISNet and an ordinary classifier from the files that a user deploys, beside the
// pipeline and the multi-task network, in turns. In our engine, and in ONNX Runtime as a second opinion.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-web';
import { type CapturedStep, capture } from '../engine/capture.ts';
import { readAll, tensor } from '../engine/create.ts';
import { DeviceError } from '../engine/errors.ts';
import { writeFileAtomically } from '../engine/files.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { randomStream } from '../engine/random-bits.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { loadModel, type ModelCard, saveModel } from '../isnet/checkpoint.ts';
import { exportOnnx } from '../isnet/onnx/export.ts';
import { quickstartConfig } from '../isnet/quickstart-config.ts';
import { methodNamed } from '../isnet/rivals/index.ts';
import { type MethodPlan, parameterCounts } from '../isnet/rivals/method.ts';
import { type TimedWork, takeRounds } from '../isnet/take-turns.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { DEFAULT_EPSILON } from '../lrp/rules.ts';
import type { Module } from '../nn/module.ts';
import { SGD } from '../nn/optim.ts';
import { stateLayout } from '../nn/state-dict.ts';
import {
  type RivalSetting,
  ratioOf,
  ratioText,
  type Spread,
  settingOn,
  spreadOf,
  uploadOf,
} from './rivals-setting.ts';

/** A row: forward passes of one network, read from its file where there is one. */
export interface RuntimeCost {
  readonly setting: string;
  readonly method: string;
  readonly engine: 'ours' | 'onnxruntime-web';
  readonly batchSize: number;
  readonly ms: Spread;
  /** Times as long as the ordinary classifier, within rounds. */
  readonly ratio: Spread;
  /** That the logits depend on. */
  readonly parameters: number;
  /** Of the files; null for what has none. */
  readonly safetensorsBytes: number | null;
  readonly onnxBytes: number;
  /** Largest difference of the file's logits from those of the trained network, relative to the largest logit. */
  readonly fileError: number | null;
}

export interface RuntimeOptions {
  /** Of classifier and ISNet, which are to be told apart if they can be. */
  readonly rounds: number;
  /** Of the classifier beside the other networks, which take many times as long. */
  readonly otherRounds: number;
  readonly batchSizes: readonly number[];
}

/** A network ready to be timed. */
interface Contestant {
  readonly name: string;
  readonly model: Module;
  readonly onnx: Uint8Array;
  readonly facts: Pick<RuntimeCost, 'parameters' | 'safetensorsBytes' | 'onnxBytes' | 'fileError'>;
}

const trainedMethods = ['classifier', 'isnet-stochastic'] as const;
const others = ['segment-then-classify', 'multi-task'] as const;

const TRAIN_STEPS = 3;
const LEARNING_RATE = 1e-3;
const P = 0.7;
const CHECKED_IMAGES = 4;
// ONNX Runtime sums in another order; our own file gives the bits back.
const ONNX_TOLERANCE = 1e-4;

/** A few steps from fresh weights: a trained network, if not a good one. */
async function trained(
  device: GpuDevice,
  name: string,
  setting: RivalSetting,
  seed: number,
): Promise<MethodPlan> {
  const plan = methodNamed(name).plan(settingOn(device, setting, seed));
  const [{ model, objective }] = plan.phases;
  model.train();
  const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
  const steps = new TrainStep(device, model, optimizer, { losses: objective, clipNorm: 1, seed });
  const upload = uploadOf(device, setting);
  await steps.prepare(upload);
  for (let counter = 0; counter < TRAIN_STEPS; counter++) {
    const losses = steps.train(upload, { P, counter }, LEARNING_RATE);
    await readAll([losses]);
    release(losses);
  }
  for (const owner of [steps, optimizer]) owner.dispose();
  model.eval();
  return plan;
}

/** Random images [count, C, H, W], the same for every engine. */
function imagesOf(
  { input }: RivalSetting,
  count: number,
): { readonly values: Float32Array; readonly shape: Shape } {
  const shape = [count, input.channels, input.height, input.width];
  const random = randomStream(0, 'bench/rivals');
  return { values: Float32Array.from({ length: sizeOf(shape) }, () => random.uniform()), shape };
}

async function logitsOf(device: GpuDevice, model: Module, setting: RivalSetting): Promise<ArrayLike<number>> {
  const { values: pixels, shape } = imagesOf(setting, CHECKED_IMAGES);
  const x = tensor(device, pixels, shape);
  const logits = withoutRecording(device, () => scope(device, () => model.forward(x)));
  const [values] = await readAll([logits]);
  for (const t of [logits, x]) release(t);
  return values;
}

/** Largest difference relative to the largest number. Throws DeviceError above the tolerance: another network was timed. */
function errorOf(
  what: string,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): number {
  let [difference, scale] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(found[i] - expected[i]));
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  const error = difference / scale;
  if (found.length === expected.length && error <= tolerance) return error;
  throw new DeviceError(
    `rivals: logits of ${what} differ from those of the trained network by ${error} of the largest; the file is not that network`,
  );
}

/** The network as a user deploys it, checked against the network itself. */
async function exported(
  device: GpuDevice,
  model: Module,
  setting: RivalSetting,
  path: string,
): Promise<Uint8Array> {
  const { channels, height, width } = setting.input;
  const bytes = await exportOnnx(model, { input: [channels, height, width] });
  await writeFileAtomically(path, bytes, { where: 'rivals' });
  const onnx = await readFile(path);
  const session = await OnnxSession.open(onnx, setting, CHECKED_IMAGES);
  errorOf(path, await session.run(), await logitsOf(device, model, setting), ONNX_TOLERANCE);
  await session.close();
  return onnx;
}

/** Trains, saves as `isnet train` does, reads again, and checks that nothing was lost. */
async function deployed(
  device: GpuDevice,
  name: (typeof trainedMethods)[number],
  setting: RivalSetting,
  { folder, seed }: { readonly folder: string; readonly seed: number },
): Promise<Contestant> {
  const plan = await trained(device, name, setting, seed);
  const expected = await logitsOf(device, plan.classifier, setting);
  const { input, classifier } = setting;
  const card: ModelCard = {
    method: name === 'classifier' ? 'classifier' : 'isnet',
    model: classifier,
    input,
    inputRange: [0, 1],
    data: quickstartConfig.data,
    seed,
    eps: DEFAULT_EPSILON,
  };
  const path = join(folder, `${name}.safetensors`);
  await saveModel(path, plan.classifier, card);
  const parameters = parameterCounts(plan, input).runTime;
  plan.dispose();
  const { model } = await loadModel(device, path);
  const fileError = errorOf(path, await logitsOf(device, model, setting), expected, 0);
  const onnx = await exported(device, model, setting, join(folder, `${name}.onnx`));
  return {
    name,
    model,
    onnx,
    facts: { parameters, safetensorsBytes: (await stat(path)).size, onnxBytes: onnx.length, fileError },
  };
}

/** A network whose weights are fresh: what they are makes no difference to the time. */
async function fresh(
  device: GpuDevice,
  name: string,
  setting: RivalSetting,
  folder: string,
): Promise<Contestant> {
  const plan = methodNamed(name).plan(settingOn(device, setting, 0));
  const { runTime: parameters } = parameterCounts(plan, setting.input);
  const model = plan.classifier.eval();
  const onnx = await exported(device, model, setting, join(folder, `${name}.onnx`));
  const facts = { parameters, safetensorsBytes: null, onnxBytes: onnx.length, fileError: null };
  return { name, model, onnx, facts };
}

/** An ONNX file and a batch to run it on. */
class OnnxSession {
  readonly #session: InferenceSession;
  readonly #feeds: Readonly<Record<string, OnnxTensor>>;

  static async open(bytes: Uint8Array, setting: RivalSetting, count: number): Promise<OnnxSession> {
    // One thread: more of them want a page with other headers, and the cores of a software adapter are ours, too.
    env.wasm.numThreads = 1;
    env.logLevel = 'error';
    return new OnnxSession(await InferenceSession.create(bytes), setting, count);
  }

  private constructor(session: InferenceSession, setting: RivalSetting, count: number) {
    const { values, shape } = imagesOf(setting, count);
    this.#session = session;
    this.#feeds = { [session.inputNames[0]]: new OnnxTensor('float32', values, shape) };
  }

  async run(): Promise<Float32Array> {
    const results = await this.#session.run(this.#feeds);
    return results[this.#session.outputNames[0]].data as Float32Array;
  }

  close(): Promise<void> {
    return this.#session.release();
  }
}

type Forward = CapturedStep<{ readonly x: Tensor }, { logits: Tensor }>;

/** Captured forward passes in our engine, in turns. */
async function timeOurs(
  device: GpuDevice,
  contestants: readonly Contestant[],
  setting: RivalSetting,
  batchSize: number,
  rounds: number,
): Promise<number[][]> {
  const { values, shape } = imagesOf(setting, batchSize);
  const x = tensor(device, values, shape);
  const passes = contestants.map(
    ({ model }): Forward => capture(device, ({ x }) => ({ logits: model.forward(x) })),
  );
  try {
    for (const pass of passes) await pass.prepare({ x });
    const works = passes.map((pass): TimedWork => ({ device, call: () => release(pass({ x }).logits) }));
    return await takeRounds(works, { rounds, turnMs: setting.turnMs, isWorthwhile: () => true });
  } finally {
    for (const pass of passes) pass.dispose();
    release(x);
  }
}

/** Their files in WebAssembly. */
async function timeOnnx(
  device: GpuDevice,
  contestants: readonly Contestant[],
  setting: RivalSetting,
  batchSize: number,
  rounds: number,
): Promise<number[][]> {
  const sessions: OnnxSession[] = [];
  try {
    for (const { onnx } of contestants) sessions.push(await OnnxSession.open(onnx, setting, batchSize));
    const works = sessions.map((session): TimedWork => ({ device, call: () => session.run() }));
    return await takeRounds(works, { rounds, turnMs: setting.turnMs, isWorthwhile: () => true });
  } finally {
    for (const session of sessions) await session.close();
  }
}

/** Throws DeviceError unless both networks have the same parameters and buffers, name by name. */
function checkSameNetwork([a, b]: readonly Contestant[]): void {
  const [first, second] = [a, b].map(({ model }) =>
    [...stateLayout(model)].map(([name, shape]) => `${name} ${formatShape(shape)}`).join(),
  );
  if (first === second) return;
  throw new DeviceError(`rivals: ${a.name} and ${b.name} have other weights; they are to be one network`);
}

/** Measures classifier, ISNet, pipeline and multi-task network of one setting, row by row. Throws DeviceError for a file that lost something. */
export async function* runtimeCosts(
  device: GpuDevice,
  setting: RivalSetting,
  { rounds, otherRounds, batchSizes }: RuntimeOptions,
): AsyncGenerator<RuntimeCost> {
  const folder = await mkdtemp(join(tmpdir(), 'isnet-rivals-'));
  const contestants: Contestant[] = [];
  try {
    for (const [seed, name] of trainedMethods.entries())
      contestants.push(await deployed(device, name, setting, { folder, seed }));
    checkSameNetwork(contestants);
    for (const name of others) contestants.push(await fresh(device, name, setting, folder));
    const [classifier, isnet, ...rest] = contestants;
    for (const batchSize of batchSizes) {
      // By twos: whoever follows the largest network finds the caches cold.
      for (const other of [isnet, ...rest]) {
        const pair = [classifier, other];
        const pairRounds = other === isnet ? rounds : otherRounds;
        const timed = {
          ours: await timeOurs(device, pair, setting, batchSize, pairRounds),
          'onnxruntime-web': await timeOnnx(device, pair, setting, batchSize, pairRounds),
        };
        for (const engine of ['ours', 'onnxruntime-web'] as const) {
          const [base] = timed[engine];
          for (const [i, { name, facts }] of pair.entries()) {
            // The classifier's row is that of its own pair with the ISNet.
            if (i === 0 && other !== isnet) continue;
            const times = { ms: spreadOf(timed[engine][i]), ratio: ratioOf(timed[engine][i], base) };
            const row = { setting: setting.name, method: name, engine, batchSize, ...times, ...facts };
            console.log(runtimeRow(row));
            yield row;
          }
        }
      }
    }
  } finally {
    for (const { model } of contestants) model.dispose();
    device.trim();
    await rm(folder, { recursive: true, force: true });
  }
}

export const runtimeHead = `${'forward pass of'.padEnd(26)}${'engine'.padEnd(17)}${'batch'.padStart(5)}${'ms, median'.padStart(12)}${'min'.padStart(9)}${'p90'.padStart(9)}${'times classifier'.padStart(22)}${'parameters'.padStart(13)}${'ONNX bytes'.padStart(13)}`;

const runtimeRow = ({ method, engine, batchSize, ms, ratio, parameters, onnxBytes }: RuntimeCost): string =>
  [
    method.padEnd(26),
    engine.padEnd(17),
    String(batchSize).padStart(5),
    ms.median.toPrecision(4).padStart(12),
    ms.min.toPrecision(4).padStart(9),
    ms.p90.toPrecision(4).padStart(9),
    ratioText(ratio).padStart(22),
    String(parameters).padStart(13),
    String(onnxBytes).padStart(13),
  ].join('');
