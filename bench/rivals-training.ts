// What a training step of each method costs, in steps of the ordinary classifier: in theory, as counted, as measured.
import { capture } from '../engine/capture.ts';
import { full } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import type { Batch } from '../isnet/objective.ts';
import { methodNamed, methods } from '../isnet/rivals/index.ts';
import { isnetMethods } from '../isnet/rivals/isnets.ts';
import type { Method } from '../isnet/rivals/method.ts';
import { takeRounds } from '../isnet/take-turns.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { SGD } from '../nn/optim.ts';
import { productsOf } from './products.ts';
import {
  type RivalSetting,
  ratioOf,
  ratioText,
  type Spread,
  settingOn,
  spreadOf,
  uploadOf,
} from './rivals-setting.ts';

/** A row: a method beside the ordinary classifier, in turns with it. */
export interface TrainingCost {
  readonly setting: string;
  readonly method: string;
  /** In forward passes of the classifier, see isnet/rivals/README.md; a backward pass counts as two. */
  readonly forwardPasses: number;
  readonly theory: number;
  /** Multiply-adds of the recorded step, in forward passes and over those of the classifier's step. */
  readonly countedPasses: number;
  readonly counted: number;
  /** Times as long as the classifier's step, within rounds. */
  readonly measured: Spread;
  /** Of this method's step, and of the classifier's in the same rounds. */
  readonly stepMs: Spread;
  readonly classifierMs: Spread;
}

/** Forward passes F that a step is worth, for K classes; isnet/rivals/README.md says why. */
const passesOf: Readonly<Record<string, (K: number) => number>> = {
  'isnet-original': (K) => 3 * (1 + K),
  'isnet-selective': () => 6,
  'isnet-stochastic': () => 6,
  'isnet-dual': () => 12,
  'isnet-flex': () => 6,
  'isnet-deep-supervision': () => 6,
  'isnet-gradient-input': (K) => 3 * (1 + K),
  'isnet-softmax-gradient-input': () => 6,
  'isnet-grad-cam': () => 3,
  'right-reasons': () => 6,
  gain: () => 6,
};
const CLASSIFIER_PASSES = 3;

const P = 0.7;
// Small, so that the steps stay where they began.
const LEARNING_RATE = 1e-5;

// C1 and C2 as if they had been measured: estimating them is no part of the published step.
const all = [...isnetMethods({ range: { C1: 1, C2: 25 } }), ...methods];

/** A method's network and its captured step; SGD with momentum and clipping for all. */
class Trained {
  readonly #steps: TrainStep;
  readonly #owned: readonly { dispose(): void }[];
  readonly #upload: () => Batch;
  #counter = 0;

  constructor(device: Device, method: Method, setting: RivalSetting, isBlank = false) {
    const plan = method.plan(settingOn(device, setting, 0, isBlank));
    const [{ model, objective }] = plan.phases;
    model.train();
    const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
    this.#upload = uploadOf(device, setting);
    this.#steps = new TrainStep(device, model, optimizer, { losses: objective, clipNorm: 1, seed: 0 });
    this.#owned = [this.#steps, optimizer, plan];
  }

  prepare(): Promise<void> {
    return this.#steps.prepare(this.#upload);
  }

  take(): void {
    release(this.#steps.train(this.#upload, { P, counter: this.#counter++ }, LEARNING_RATE));
  }

  dispose(): void {
    for (const owner of this.#owned) owner.dispose();
  }
}

/** Multiply-adds of a training step of the method. Nothing is computed. */
export const countProducts = (method: Method, setting: RivalSetting): Promise<number> =>
  productsOf((device) => new Trained(device, method, setting, true).prepare());

/** Of a forward pass of the classifier on a batch. */
export const countForward = (setting: RivalSetting): Promise<number> =>
  productsOf((device) => {
    const { channels, height, width } = setting.input;
    const { classifier } = methodNamed('classifier').plan(settingOn(device, setting, 0, true));
    const pass = capture(device, ({ x }: { x: Tensor }) => ({ logits: classifier.forward(x) }));
    return pass.prepare({ x: full(device, [setting.batchSize, channels, height, width], 0) });
  });

async function measure(
  device: GpuDevice,
  method: Method,
  setting: RivalSetting,
  rounds: number,
): Promise<Pick<TrainingCost, 'measured' | 'stepMs' | 'classifierMs'>> {
  const pair = [methodNamed('classifier'), method].map((each) => new Trained(device, each, setting));
  try {
    for (const trained of pair) await trained.prepare();
    const works = pair.map((trained) => ({ device, call: () => trained.take() }));
    const options = { rounds, turnMs: setting.turnMs, isWorthwhile: () => true };
    const [classifier, own] = await takeRounds(works, options);
    return {
      measured: ratioOf(own, classifier),
      stepMs: spreadOf(own),
      classifierMs: spreadOf(classifier),
    };
  } finally {
    for (const trained of pair) trained.dispose();
    device.trim();
  }
}

/** Methods whose steps are measured. */
export const measuredMethods = Object.keys(passesOf);

/** Measures the methods that are wanted, one pair after another: two networks fit where twelve do not. */
export async function* trainingCosts(
  device: GpuDevice,
  setting: RivalSetting,
  { rounds, isWanted }: { readonly rounds: number; readonly isWanted: (method: string) => boolean },
): AsyncGenerator<TrainingCost> {
  const forward = await countForward(setting);
  const base = await countProducts(methodNamed('classifier'), setting);
  console.log(`a forward pass F: ${(forward / 1e6).toPrecision(4)} million multiply-adds\n${trainingHead}`);
  console.log(
    `${'classifier'.padEnd(32)}${'3'.padStart(10)}${(base / forward).toFixed(2).padStart(11)}${'1'.padStart(15)}`,
  );
  for (const [name, passes] of Object.entries(passesOf)) {
    if (!isWanted(name)) continue;
    const method = methodNamed(name, all);
    const forwardPasses = passes(setting.input.classNames.length);
    const products = await countProducts(method, setting);
    const cost: TrainingCost = {
      setting: setting.name,
      method: name,
      forwardPasses,
      theory: forwardPasses / CLASSIFIER_PASSES,
      countedPasses: products / forward,
      counted: products / base,
      ...(await measure(device, method, setting, rounds)),
    };
    console.log(trainingRow(cost));
    yield cost;
  }
}

const trainingHead = `${'step of'.padEnd(32)}${'theory, F'.padStart(10)}${'counted, F'.padStart(11)}${'counted, times'.padStart(15)}${'measured, times'.padStart(20)}${'ms'.padStart(10)}${'classifier ms'.padStart(15)}`;

const trainingRow = ({ method, stepMs, classifierMs, ...cost }: TrainingCost): string =>
  [
    method.padEnd(32),
    String(cost.forwardPasses).padStart(10),
    cost.countedPasses.toFixed(2).padStart(11),
    cost.counted.toFixed(2).padStart(15),
    ratioText(cost.measured).padStart(20),
    stepMs.median.toPrecision(4).padStart(10),
    classifierMs.median.toPrecision(4).padStart(15),
  ].join('');
