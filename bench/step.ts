// Whole steps of a small network, as users wait for them: an explanation, and training steps of both kinds of model.
import { tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { randomStream } from '../engine/random-bits.ts';
import { withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { classifierLosses, type IsnetOptions, isnetLosses } from '../isnet/objective.ts';
import { explain } from '../lrp/explain.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { Adam, clipByGlobalNorm, globalNorm } from '../nn/optim.ts';
import type { BenchCase, Workload } from './case.ts';

// Fixed here and not the quickstart's, so that numbers stay comparable when that changes.
const BATCH_SIZE = 32;
const CHECKED_SIZE = 8;
const SIZE = 28;
const CLASS_COUNT = 10;
const BLOCKS = [
  { channels: 8, kernel: 5, stride: 2 },
  { channels: 16, kernel: 3, stride: 2 },
];
const HIDDEN = [32];
const LABEL = `[${BATCH_SIZE}, 1, ${SIZE}, ${SIZE}], conv 8-16, hidden ${HIDDEN}`;

const isnet: IsnetOptions = { variant: 'stochastic', w1: 1, w2: 1, d: 0.9, E: 1, C1: 1, C2: 25 };
const P = 0.7;
// Small, so that hundreds of steps on one batch leave the numbers where they were.
const LEARNING_RATE = 1e-5;

// Relevance divides by small pre-activations, and the gradient of that again: some digits of f32 go.
const STEP_TOLERANCE = 2e-3;

function newModel(device: Device): SmallCnn {
  const init = { device, random: randomStream(0, 'bench/init') };
  const options = { inChannels: 1, imageSize: [SIZE, SIZE], classCount: CLASS_COUNT } as const;
  return new SmallCnn(init, { ...options, blocks: BLOCKS, hidden: HIDDEN });
}

/** Random images with a square of foreground each: what is in them makes no difference to the time. */
function randomImages(count: number): Dataset {
  const random = randomStream(0, 'bench/images');
  const masks = new Float32Array(count * SIZE * SIZE);
  for (let n = 0; n < count; n++) {
    for (let row = 8; row < 20; row++)
      masks.fill(1, (n * SIZE + row) * SIZE + 8, (n * SIZE + row) * SIZE + 20);
  }
  return {
    images: Float32Array.from(masks, () => random.uniform()),
    masks,
    labels: Uint8Array.from({ length: count }, () => random.below(CLASS_COUNT)),
    count,
    channels: 1,
    height: SIZE,
    width: SIZE,
    classNames: Array.from({ length: CLASS_COUNT }, (_, i) => String(i)),
  };
}

function prepareExplanation(device: Device, isCheck: boolean): Workload {
  const model = newModel(device).eval();
  const { images, count } = randomImages(isCheck ? CHECKED_SIZE : BATCH_SIZE);
  const x = tensor(device, images, [count, 1, SIZE, SIZE]);
  const result = () => explain(model, x).relevance;
  const close = () => {
    model.dispose();
    release(x);
  };
  return { call: result, result, close };
}

/** The step of isnet/train.ts: upload, losses, gradients, clipping for an ISNet, Adam. */
function prepareTraining(device: Device, isCheck: boolean, isIsnet: boolean): Workload {
  const model = newModel(device).train();
  const dataset = randomImages(isCheck ? CHECKED_SIZE : BATCH_SIZE);
  const indices = Uint32Array.from({ length: dataset.count }, (_, i) => i);
  const optimizer = new Adam(model.namedParameters());
  let counter = 0;
  const gradientsOf = (): { loss: Tensor; gradients: Tensor[] } => {
    const batch = uploadBatch(device, dataset, indices);
    const losses = isIsnet
      ? isnetLosses(model, batch, isnet, { P, seed: 0, counter: counter++ })
      : classifierLosses(model, batch);
    const loss = reshape(losses.total, [1]);
    return { loss, gradients: backward(losses.total, model.parameters(), { retain: [loss] }) };
  };
  return {
    call() {
      const { gradients } = gradientsOf();
      optimizer.step(isIsnet ? clipByGlobalNorm(device, gradients, 1) : gradients, LEARNING_RATE);
    },
    // Loss and size of the gradient, and no new weights: Adam makes a full step of a gradient that is all rounding.
    result() {
      const { loss, gradients } = gradientsOf();
      return withoutRecording(device, () => concat([loss, reshape(globalNorm(gradients), [1])], 0));
    },
    close() {
      model.dispose();
      for (const t of optimizer.state().values()) release(t);
    },
  };
}

const common = {
  family: 'step',
  size: LABEL,
  unit: 'images/s',
  workPerCall: BATCH_SIZE,
  tolerance: STEP_TOLERANCE,
};

/** Explanation, training step of a classifier, training step of a stochastic ISNet. */
export const stepCases: readonly BenchCase[] = [
  { ...common, name: 'explanation', prepare: prepareExplanation },
  {
    ...common,
    name: 'classifier-step',
    prepare: (device, isCheck) => prepareTraining(device, isCheck, false),
  },
  { ...common, name: 'isnet-step', prepare: (device, isCheck) => prepareTraining(device, isCheck, true) },
];
