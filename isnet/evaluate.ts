// How good a classifier is, and how much of its relevance lies on the background.
import { readAll } from '../engine/create.ts';
import { TrainingError } from '../engine/errors.ts';
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
import { batches, checkDataset, type Dataset, type EmptyMaskPolicy } from './data/dataset.ts';

export interface EvaluateOptions {
  readonly batchSize?: number;
  /** Called after each batch with the number of images done. */
  readonly onProgress?: (done: number) => void;
}

export interface BackgroundRelevanceOptions extends EvaluateOptions {
  readonly composite?: Composite;
  /** An image with an empty mask is an error by default. */
  readonly emptyMasks?: EmptyMaskPolicy;
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

/** A model that gives NaN would be right for one class, and its empty-looking maps would get a number too. */
function checkFinite(where: string, value: number, images: string): void {
  if (Number.isFinite(value)) return;
  throw new TrainingError(
    `${where}: the model gives ${value} for ${images}; its weights are damaged or its training has diverged, use others`,
  );
}

/**
 * Share of images whose largest logit is that of their label, in [0, 1]. Throws DataError for a data set that is not
 * sound, TrainingError for logits that are NaN or infinite.
 */
export async function accuracy(
  device: Device,
  model: Module,
  dataset: Dataset,
  options: EvaluateOptions = {},
): Promise<number> {
  checkDataset('accuracy', dataset, { hasMasks: false });
  let correct = 0;
  await overBatches(
    device,
    model,
    dataset,
    options,
    (indices) =>
      withoutRecording(device, () => {
        const logits = model.forward(uploadBatch(device, dataset, indices).images);
        return [argmax(logits, 1), sum(logits)];
      }),
    ([predicted, total], indices) => {
      checkFinite('accuracy', total[0], `images ${indices[0]} to ${indices.at(-1)}`);
      indices.forEach((image, n) => {
        if (predicted[n] === dataset.labels[image]) correct++;
      });
    },
  );
  return correct / dataset.count;
}

/**
 * Mean over images of sum |R| outside the mask / sum |R|, in [0, 1], for relevance R of the predicted logit. Images
 * without any relevance count as 1: a map that says nothing is no sign of robustness. Throws DataError for a data set
 * that is not sound, TrainingError for relevance that is NaN or infinite.
 */
export async function backgroundRelevance(
  device: Device,
  model: Module,
  dataset: Dataset,
  { composite, emptyMasks, ...options }: BackgroundRelevanceOptions = {},
): Promise<number> {
  checkDataset('backgroundRelevance', dataset, { emptyMasks });
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
    ([outside, all], indices) => {
      for (let n = 0; n < all.length; n++) {
        checkFinite('backgroundRelevance', all[n], `image ${indices[n]}`);
        total += all[n] > 0 ? outside[n] / all[n] : 1;
      }
    },
  );
  return total / dataset.count;
}
