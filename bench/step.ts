// Training steps as users wait for them: of an ordinary classifier, of ISNets, and of the CNN that the peers train.
import { capture } from '../engine/capture.ts';
import { tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { keep, withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { stageNames } from '../isnet/deep-supervision.ts';
import {
  classifierLosses,
  classifierObjective,
  type IsnetOptions,
  isnetLosses,
  isnetObjective,
} from '../isnet/objective.ts';
import { TrainStep } from '../isnet/train-step.ts';
import type { SmallCnn } from '../nn/models/small-cnn.ts';
import { Adam, globalNorm, SGD } from '../nn/optim.ts';
import type { BenchCase, Workload } from './case.ts';
import { type CnnBatch, cnnGradients, newCnn, uploadCnnBatch } from './cnn.ts';
import { DISTINCT_COUNT } from './data.ts';
import { cnn } from './shapes.ts';
import { BATCH_SIZE, CHECKED_SIZE, LABEL, newModel, randomImages, STEP_TOLERANCE } from './small-net.ts';

const common: Omit<IsnetOptions, 'variant'> = { w1: 1, w2: 1, d: 0.9, E: 1, C1: 1, C2: 25 };
const P = 0.7;
// Small, so that hundreds of steps on one batch leave the numbers where they were.
const LEARNING_RATE = 1e-5;

/** What tells one ISNet from another. */
interface Isnet extends Pick<IsnetOptions, 'variant' | 'propagation'> {
  readonly isDeep?: boolean;
}

function optionsOf({ isDeep, ...kind }: Isnet, model: SmallCnn): IsnetOptions {
  return { ...common, ...kind, deepSupervision: isDeep ? stageNames(model) : [] };
}

/** The step of isnet/train.ts, captured: upload, losses, gradients, clipping for an ISNet, Adam. */
function prepareTraining(device: Device, isCheck: boolean, isnet: Isnet | null): Workload {
  const model = newModel(device).train();
  const dataset = randomImages(isCheck ? CHECKED_SIZE : BATCH_SIZE);
  const indices = Uint32Array.from({ length: dataset.count }, (_, i) => i);
  const optimizer = new Adam(model.namedParameters());
  const options = isnet && optionsOf(isnet, model);
  const steps = new TrainStep(device, model, optimizer, {
    losses: options ? isnetObjective(options) : classifierObjective(),
    clipNorm: options ? 1 : undefined,
    seed: 0,
  });
  const upload = () => uploadBatch(device, dataset, indices);
  let counter = 0;
  return {
    call() {
      release(steps.train(upload, { P, counter: counter++ }, LEARNING_RATE));
    },
    // Loss and size of the gradient, and no new weights: Adam makes a full step of a gradient that is all rounding.
    result() {
      const batch = upload();
      const numbers = { P: tensor(device, [P], []), key: tensor(device, [0, 0], [2]) };
      const losses = options ? isnetLosses(model, batch, options, numbers) : classifierLosses(model, batch);
      const loss = reshape(losses.total, [1]);
      return lossAndNorm({ loss, gradients: backward(losses.total, model.parameters(), { retain: [loss] }) });
    },
    close() {
      steps.dispose();
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
  const scalars = keep(tensor(device, optimizer.nextScalars(LEARNING_RATE), [1]));
  const step = capture(device, (inputs: CnnBatch & { readonly scalars: Tensor }) => {
    const { loss, gradients } = cnnGradients(model, inputs, hasPenalty);
    optimizer.apply(gradients, inputs.scalars);
    return { loss };
  });
  return {
    call() {
      release(step({ ...batch, scalars }).loss);
    },
    result: () => lossAndNorm(cnnGradients(model, batch, hasPenalty)),
    close() {
      step.dispose();
      optimizer.dispose();
      model.dispose();
      for (const t of [batch.images, batch.targets, scalars]) release(t);
    },
  };
}

const ofFamily = { family: 'step', unit: 'images/s', workPerCall: BATCH_SIZE, tolerance: STEP_TOLERANCE };
const small = { ...ofFamily, size: LABEL };
const large = {
  ...ofFamily,
  size: `[${cnn.N}, ${cnn.C}, ${cnn.size}, ${cnn.size}], conv ${cnn.widths.join('-')}`,
  workPerCall: cnn.N,
};

const kinds: readonly (readonly [name: string, isnet: Isnet | null])[] = [
  ['classifier', null],
  ['isnet', { variant: 'stochastic' }],
  ['isnet-selective', { variant: 'selective' }],
  ['isnet-original', { variant: 'original' }],
  ['isnet-dual', { variant: 'dual' }],
  ['isnet-flex', { variant: 'stochastic', propagation: 'flex' }],
  ['isnet-gradient-input', { variant: 'original', propagation: 'gradient-input' }],
  ['isnet-deep-supervision', { variant: 'stochastic', isDeep: true }],
];

/** Steps of a classifier and of each kind of ISNet with Adam; SGD steps of a larger CNN, with and without a gradient penalty. */
export const stepCases: readonly BenchCase[] = [
  ...kinds.map(([name, isnet]) => ({
    ...small,
    name: `${name}-step`,
    prepare: (device: Device, isCheck: boolean) => prepareTraining(device, isCheck, isnet),
  })),
  { ...large, name: 'cnn-step', prepare: (device, isCheck) => prepareCnn(device, isCheck, false) },
  { ...large, name: 'cnn-penalty-step', prepare: (device, isCheck) => prepareCnn(device, isCheck, true) },
];
