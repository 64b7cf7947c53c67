// Training steps as users wait for them: of an ordinary classifier, of ISNets, and of the CNN that the peers train.
import { tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { classifierLosses, type IsnetOptions, isnetLosses } from '../isnet/objective.ts';
import type { Variant } from '../isnet/seeds.ts';
import { Adam, clipByGlobalNorm, globalNorm, SGD } from '../nn/optim.ts';
import type { BenchCase, Workload } from './case.ts';
import { cnnGradients, newCnn, uploadCnnBatch } from './cnn.ts';
import { DISTINCT_COUNT } from './data.ts';
import { cnn } from './shapes.ts';
import { BATCH_SIZE, CHECKED_SIZE, LABEL, newModel, randomImages, STEP_TOLERANCE } from './small-net.ts';

const isnet: Omit<IsnetOptions, 'variant'> = { w1: 1, w2: 1, d: 0.9, E: 1, C1: 1, C2: 25 };
const P = 0.7;
// Small, so that hundreds of steps on one batch leave the numbers where they were.
const LEARNING_RATE = 1e-5;

/** The step of isnet/train.ts: upload, losses, gradients, clipping for an ISNet, Adam. */
function prepareTraining(device: Device, isCheck: boolean, variant: Variant | null): Workload {
  const model = newModel(device).train();
  const dataset = randomImages(isCheck ? CHECKED_SIZE : BATCH_SIZE);
  const indices = Uint32Array.from({ length: dataset.count }, (_, i) => i);
  const optimizer = new Adam(model.namedParameters());
  let counter = 0;
  const gradientsOf = (): { loss: Tensor; gradients: Tensor[] } => {
    const batch = uploadBatch(device, dataset, indices);
    const losses = variant
      ? isnetLosses(
          model,
          batch,
          { ...isnet, variant },
          {
            P: tensor(device, [P], []),
            key: tensor(device, [0, counter++], [2]),
          },
        )
      : classifierLosses(model, batch);
    const loss = reshape(losses.total, [1]);
    return { loss, gradients: backward(losses.total, model.parameters(), { retain: [loss] }) };
  };
  return {
    call() {
      const { gradients } = gradientsOf();
      optimizer.step(variant ? clipByGlobalNorm(device, gradients, 1) : gradients, LEARNING_RATE);
    },
    // Loss and size of the gradient, and no new weights: Adam makes a full step of a gradient that is all rounding.
    result: () => lossAndNorm(gradientsOf()),
    close() {
      model.dispose();
      optimizer.dispose();
    },
  };
}

const lossAndNorm = ({ loss, gradients }: { loss: Tensor; gradients: Tensor[] }): Tensor =>
  withoutRecording(loss.device, () => concat([loss, reshape(globalNorm(gradients), [1])], 0));

function prepareCnn(device: Device, isCheck: boolean, hasPenalty: boolean): Workload {
  const model = newCnn(device);
  const batch = uploadCnnBatch(device, isCheck ? DISTINCT_COUNT : cnn.N);
  const optimizer = new SGD(model.namedParameters());
  return {
    call() {
      const { gradients } = cnnGradients(model, batch, hasPenalty);
      optimizer.step(gradients, LEARNING_RATE);
    },
    result: () => lossAndNorm(cnnGradients(model, batch, hasPenalty)),
    close() {
      optimizer.dispose();
      model.dispose();
      release(batch.images);
      release(batch.targets);
    },
  };
}

const common = { family: 'step', unit: 'images/s', workPerCall: BATCH_SIZE, tolerance: STEP_TOLERANCE };
const small = { ...common, size: LABEL };
const large = {
  ...common,
  size: `[${cnn.N}, ${cnn.C}, ${cnn.size}, ${cnn.size}], conv ${cnn.widths.join('-')}`,
  workPerCall: cnn.N,
};

const variants: readonly (readonly [name: string, Variant | null])[] = [
  ['classifier', null],
  ['isnet', 'stochastic'],
  ['isnet-selective', 'selective'],
  ['isnet-original', 'original'],
];

/** Steps of a classifier and of each kind of ISNet with Adam; SGD steps of a larger CNN, with and without a gradient penalty. */
export const stepCases: readonly BenchCase[] = [
  ...variants.map(([name, variant]) => ({
    ...small,
    name: `${name}-step`,
    prepare: (device: Device, isCheck: boolean) => prepareTraining(device, isCheck, variant),
  })),
  { ...large, name: 'cnn-step', prepare: (device, isCheck) => prepareCnn(device, isCheck, false) },
  { ...large, name: 'cnn-penalty-step', prepare: (device, isCheck) => prepareCnn(device, isCheck, true) },
];
