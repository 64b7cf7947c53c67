// One training step of networks that people use, in every mode: seconds and bytes. `node --import tsx bench/networks.ts`.
import { loadavg } from 'node:os';
import { Command } from 'commander';
import { readAll } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { randomStream } from '../engine/random-bits.ts';
import { release } from '../engine/tensor.ts';
import type { Recompute } from '../engine/trace.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { stageNames } from '../isnet/deep-supervision.ts';
import { quantile } from '../isnet/evaluation/bootstrap.ts';
import { classifierObjective, type IsnetOptions, isnetObjective } from '../isnet/objective.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { createModel } from '../nn/models/index.ts';
import { SGD } from '../nn/optim.ts';
import { count, selector } from './options.ts';
import { originOf, type Report, resultFile } from './report.ts';
import { keepResults, runCommand } from './session.ts';
import { randomImages } from './small-net.ts';

/** A network at a size. */
interface Setting {
  readonly model: string;
  readonly batchSize: number;
  readonly size: number;
  readonly classCount: number;
  readonly modes: readonly Mode[];
}

/** What is minimised: null for the ordinary loss. `stages` looks behind every stage of the network, too. */
interface Mode {
  readonly name: string;
  readonly isnet: (IsnetOptions & { readonly atStages?: boolean }) | null;
  readonly recompute?: Recompute;
}

const classifier: Mode = { name: 'classifier', isnet: null };
const stochastic: Mode = { name: 'stochastic', isnet: { variant: 'stochastic' } };
const recomputing = (mode: Mode, recompute: Recompute): Mode => ({
  ...mode,
  name: `${mode.name}, recompute ${recompute}`,
  recompute,
});
const original: Mode = { name: 'original', isnet: { variant: 'original' } };

const settings: readonly Setting[] = [
  {
    model: 'resnet18',
    batchSize: 8,
    size: 64,
    classCount: 10,
    modes: [
      classifier,
      stochastic,
      { name: 'selective', isnet: { variant: 'selective' } },
      { name: 'dual', isnet: { variant: 'dual' } },
      original,
      { name: 'original, 2 classes at once', isnet: { variant: 'original', classesAtOnce: 2 } },
      recomputing(original, 'cheap'),
      recomputing(original, 'all'),
      { name: 'stochastic by LRP-Flex', isnet: { variant: 'stochastic', propagation: 'flex' } },
      { name: 'original by gradient x input', isnet: { variant: 'original', propagation: 'gradient-input' } },
      { name: 'stochastic, deep supervision', isnet: { variant: 'stochastic', atStages: true } },
    ],
  },
  {
    model: 'densenet121',
    batchSize: 1,
    size: 224,
    classCount: 3,
    modes: [classifier, stochastic, recomputing(stochastic, 'cheap'), recomputing(stochastic, 'all')],
  },
];

/** One row of the table. */
interface StepResult {
  readonly name: string;
  /** Recording, compiling and taking the first step. */
  readonly firstStepSeconds: number;
  /** The median of the others. */
  readonly stepSeconds: number;
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly stepCount: number;
  /** Most bytes that tensors of the step had at a time, weights and what the optimiser keeps included. */
  readonly peakBytes: number;
  /** Most bytes taken from the driver. */
  readonly heldBytes: number;
  readonly losses: readonly number[];
  readonly loadAverage: number;
}

// Small, so that the steps stay where they began.
const LEARNING_RATE = 1e-5;
const P = 0.7;

async function measureSteps(
  device: GpuDevice,
  { model: modelName, batchSize, size, classCount }: Setting,
  { name, isnet, recompute }: Mode,
  stepCount: number,
): Promise<StepResult> {
  const startMs = performance.now();
  const init = { device, random: randomStream(0, 'bench/init') };
  const model = createModel(modelName, init, { classes: classCount, imageSize: size }).train();
  const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
  const deepSupervision = isnet?.atStages ? stageNames(model) : [];
  const losses = isnet ? isnetObjective({ ...isnet, deepSupervision }) : classifierObjective();
  const steps = new TrainStep(device, model, optimizer, { losses, clipNorm: 1, seed: 0, recompute });
  const images = randomImages(batchSize, { channels: 3, size, classCount });
  const indices = Uint32Array.from({ length: batchSize }, (_, i) => i);
  const upload = () => uploadBatch(device, images, indices);
  const step = async (counter: number): Promise<number[]> => {
    const t = steps.train(upload, { P, counter }, LEARNING_RATE);
    const [values] = await readAll([t]);
    release(t);
    return [...values];
  };
  await steps.prepare(upload);
  const found = await step(0);
  const firstStepSeconds = (performance.now() - startMs) / 1000;
  const times: number[] = [];
  for (let i = 1; i <= stepCount; i++) {
    const stepMs = performance.now();
    await step(i);
    times.push((performance.now() - stepMs) / 1000);
  }
  const { peakBytes, heldBytes } = device.memory();
  for (const owner of [steps, optimizer, model]) owner.dispose();
  times.sort((a, b) => a - b);
  return {
    name: `${modelName} ${size}x${size}, batch ${batchSize}, ${name}`,
    firstStepSeconds,
    stepSeconds: quantile(times, 0.5),
    minSeconds: times[0],
    maxSeconds: times[times.length - 1],
    stepCount,
    peakBytes,
    heldBytes,
    losses: found,
    loadAverage: loadavg()[0],
  };
}

interface Options {
  readonly filter?: string;
  readonly steps: number;
  readonly json?: true;
}

interface NetworkReport extends Report {
  readonly unit: 'seconds';
  readonly results: readonly StepResult[];
}

const rows = settings.flatMap((setting) =>
  setting.modes.map((mode) => ({ name: `${setting.model} ${mode.name}`, setting, mode })),
);

async function main({ filter, steps, json }: Options): Promise<void> {
  const isWanted = selector(
    'networks',
    rows.map(({ name }) => name),
    filter,
  );
  const first = await openDevice({ log: console.warn });
  const origin = originOf(first);
  await first.close();
  const path = resultFile(json, origin, 'networks');
  const results: StepResult[] = [];
  const measure = async (signal: AbortSignal): Promise<void> => {
    for (const { setting, mode } of rows.filter(({ name }) => isWanted(name))) {
      if (signal.aborted) return;
      // A device of its own: the peak of one step must not hide behind that of another.
      const device = await openDevice();
      try {
        const result = await measureSteps(device, setting, mode, steps);
        results.push(result);
        const { name, firstStepSeconds: first, stepSeconds: median, minSeconds, maxSeconds } = result;
        const bytes = (result.peakBytes / 2 ** 20).toFixed(0);
        console.log(
          `${name.padEnd(62)}first ${first.toFixed(1)} s   step ${median.toFixed(2)} s (${minSeconds.toFixed(2)} to ${maxSeconds.toFixed(2)})   peak ${bytes} MiB`,
        );
      } finally {
        await device.close();
      }
    }
  };
  const report = (isComplete: boolean): NetworkReport | null =>
    results.length === 0 ? null : { ...origin, isComplete, unit: 'seconds', results };
  await keepResults(path, { measure, report });
}

const command = new Command('networks')
  .description('One training step of ResNet-18 in every mode and of DenseNet-121, in seconds and bytes.')
  .option('--filter <texts>', 'only rows with one of these in their name, separated by commas')
  .option('--steps <count>', 'steps after the first', count, 3)
  .option('--json', 'also write bench/results/<date>-networks-<adapter>.json')
  .action(main);
await runCommand(command);
