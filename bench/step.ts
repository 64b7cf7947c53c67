// Training steps of a small network, as users wait for them: of an ordinary classifier and of an ISNet.
import { backward } from '../engine/grad.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { classifierLosses, type IsnetOptions, isnetLosses } from '../isnet/objective.ts';
import { Adam, clipByGlobalNorm, globalNorm } from '../nn/optim.ts';
import type { BenchCase, Workload } from './case.ts';
import { BATCH_SIZE, CHECKED_SIZE, LABEL, newModel, randomImages, STEP_TOLERANCE } from './small-net.ts';

const isnet: IsnetOptions = { variant: 'stochastic', w1: 1, w2: 1, d: 0.9, E: 1, C1: 1, C2: 25 };
const P = 0.7;
// Small, so that hundreds of steps on one batch leave the numbers where they were.
const LEARNING_RATE = 1e-5;

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

/** Training step of a classifier, training step of a stochastic ISNet. */
export const stepCases: readonly BenchCase[] = [
  {
    ...common,
    name: 'classifier-step',
    prepare: (device, isCheck) => prepareTraining(device, isCheck, false),
  },
  { ...common, name: 'isnet-step', prepare: (device, isCheck) => prepareTraining(device, isCheck, true) },
];
