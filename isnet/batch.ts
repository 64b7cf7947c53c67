// From a dataset in host memory to a batch on the device.
import { tensor } from '../engine/create.ts';
import { DataError, UsageError } from '../engine/errors.ts';
import type { Device } from '../engine/tensor.ts';
import type { Dataset } from './data/dataset.ts';
import type { Batch } from './objective.ts';

/**
 * Uploads the images with these numbers, their masks and one-hot labels. Call it inside a scope. Throws UsageError for a
 * number that is no image, DataError for a label that is no class.
 */
export function uploadBatch(device: Device, dataset: Dataset, indices: ArrayLike<number>): Batch {
  const { channels, height, width, classNames } = dataset;
  const N = indices.length;
  const pixels = height * width;
  const images = new Float32Array(N * channels * pixels);
  const masks = new Float32Array(N * pixels);
  const targets = new Float32Array(N * classNames.length);
  for (let n = 0; n < N; n++) {
    const i = indices[n];
    checkSample(dataset, i);
    const from = i * channels * pixels;
    images.set(dataset.images.subarray(from, from + channels * pixels), n * channels * pixels);
    masks.set(dataset.masks.subarray(i * pixels, (i + 1) * pixels), n * pixels);
    targets[n * classNames.length + dataset.labels[i]] = 1;
  }
  return {
    images: tensor(device, images, [N, channels, height, width]),
    masks: tensor(device, masks, [N, 1, height, width]),
    targets: tensor(device, targets, [N, classNames.length]),
  };
}

/** Either would write beside its row and train on silently. */
function checkSample({ count, labels, classNames }: Dataset, i: number): void {
  if (!Number.isInteger(i) || i < 0 || i >= count) {
    throw new UsageError(`uploadBatch: ${i} is no image; use 0 to ${count - 1}`);
  }
  if (labels[i] >= classNames.length) {
    throw new DataError(
      `uploadBatch: image ${i} has label ${labels[i]}; use 0 to ${classNames.length - 1} or add the class name`,
    );
  }
}
