// How good a classifier is, and how much of its relevance lies on the background.
import { readAll } from '../engine/create.ts';
import { argmax } from '../engine/ops/argmax.ts';
import { mul, sub } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { abs } from '../engine/ops/pointwise.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import type { Composite } from '../lrp/composite.ts';
import { explain } from '../lrp/explain.ts';
import type { Module } from '../nn/module.ts';
import { uploadBatch } from './batch.ts';
import { batches, type Dataset } from './data/dataset.ts';

export interface EvaluateOptions {
  readonly batchSize?: number;
  /** Called after each batch with the number of images done. */
  readonly onProgress?: (done: number) => void;
}

/** Runs `compute` over the dataset in order, in evaluation mode, and gives its per-image numbers batch by batch. */
async function overBatches(
  device: Device,
  model: Module,
  dataset: Dataset,
  { batchSize = 250, onProgress }: EvaluateOptions,
  compute: (indices: Uint32Array) => Tensor[],
  take: (values: ArrayLike<number>[], indices: Uint32Array) => void,
): Promise<void> {
  const wasTraining = model.isTraining;
  model.eval();
  let done = 0;
  for (const indices of batches(dataset, { batchSize, shuffle: false })) {
    const results = scope(device, () => compute(indices));
    const values = await readAll(results);
    for (const t of results) release(t);
    take(values, indices);
    done += indices.length;
    onProgress?.(done);
  }
  model.train(wasTraining);
}

/** Share of images whose largest logit is that of their label, in [0, 1]. */
export async function accuracy(
  device: Device,
  model: Module,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<number> {
  let correct = 0;
  await overBatches(
    device,
    model,
    dataset,
    options,
    (indices) =>
      withoutRecording(device, () => [
        argmax(model.forward(uploadBatch(device, dataset, indices).images), 1),
      ]),
    ([predicted], indices) => {
      indices.forEach((image, n) => {
        if (predicted[n] === dataset.labels[image]) correct++;
      });
    },
  );
  return correct / dataset.count;
}

/**
 * Mean over images of sum |R| outside the mask / sum |R|, in [0, 1], for relevance R of the predicted logit. Images
 * without any relevance count as 1: a map that says nothing is no sign of robustness.
 */
export async function backgroundRelevance(
  device: Device,
  model: Module,
  dataset: Dataset,
  { composite, ...options }: EvaluateOptions & { readonly composite?: Composite } = {},
): Promise<number> {
  let total = 0;
  await overBatches(
    device,
    model,
    dataset,
    options,
    (indices) => {
      const { images, masks } = uploadBatch(device, dataset, indices);
      const magnitude = abs(explain(model, images, { composite }).relevance);
      return [sum(mul(magnitude, sub(1, masks)), [1, 2, 3]), sum(magnitude, [1, 2, 3])];
    },
    ([outside, all]) => {
      for (let n = 0; n < all.length; n++) total += all[n] > 0 ? outside[n] / all[n] : 1;
    },
  );
  return total / dataset.count;
}
