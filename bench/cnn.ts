// Training steps of the CNN that the peers train too, in this library.
import { assign, constant, tensor } from '../engine/create.ts';
import { adjoint, backward } from '../engine/grad.ts';
import { add, div, square } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { randomStream } from '../engine/random-bits.ts';
import { scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { crossEntropy } from '../nn/loss.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { cnnBatch, cnnParameters } from './data.ts';
import { cnn } from './shapes.ts';

/** The classifier with its start values. */
export function newCnn(device: Device): SmallCnn {
  const { C, size, widths, pools, classCount } = cnn;
  const blocks = widths.map((channels, i) => ({ channels, kernel: 3, pool: pools[i] }));
  const init = { device, random: randomStream(0, 'bench/cnn') };
  const model = new SmallCnn(init, { inChannels: C, imageSize: [size, size], classCount, blocks });
  const values = cnnParameters();
  scope(device, () => {
    model.parameters().forEach((p, i) => {
      assign(p, tensor(device, values[i], p.shape));
    });
  });
  return model.train();
}

/** A batch of the classifier on the device: images [count, C, H, W], one-hot targets. */
export type CnnBatch = { readonly images: Tensor; readonly targets: Tensor };

export function uploadCnnBatch(device: Device, count: number): CnnBatch {
  const { images, labels } = cnnBatch(count);
  const oneHot = new Float32Array(count * cnn.classCount);
  labels.forEach((label, n) => {
    oneHot[n * cnn.classCount + label] = 1;
  });
  return {
    images: tensor(device, images, [count, cnn.C, cnn.size, cnn.size]),
    targets: tensor(device, oneHot, [count, cnn.classCount]),
  };
}

/**
 * Loss of a batch, recorded: cross-entropy, with `hasPenalty` plus mean_n |d l_n / d x_n|^2 for the losses l_n of the images
 * x_n, as gradient penalties have it; its slope is the gradient of a gradient. Returns [].
 */
export function cnnLoss(model: SmallCnn, { images, targets }: CnnBatch, hasPenalty: boolean): Tensor {
  const N = images.shape[0];
  const loss = crossEntropy(model.forward(images), targets);
  if (!hasPenalty) return loss;
  // The loss is a mean: a seed of N gives each image the gradient of its own loss.
  const [g] = adjoint(loss, [images], constant(images.device, N));
  return add(loss, div(sum(square(g)), N));
}

/** Loss [1] and gradients of a step. */
export function cnnGradients(model: SmallCnn, batch: CnnBatch, hasPenalty: boolean) {
  const total = cnnLoss(model, batch, hasPenalty);
  const loss = reshape(total, [1]);
  return { loss, gradients: backward(total, model.parameters(), { retain: [loss] }) };
}
