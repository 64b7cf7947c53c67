// From a batch on the host to one on the device.
import { tensor } from '../engine/create.ts';
import { DataError, UsageError } from '../engine/errors.ts';
import type { Device } from '../engine/tensor.ts';
import type { Dataset } from './data/dataset.ts';
import { type BatchSource, type HostBatch, memorySource, packBatch } from './data/source.ts';
import type { Batch } from './objective.ts';

/**
 * Uploads the images with these numbers, their masks and one-hot labels. Call it inside a scope. Throws UsageError for a
 * number that is no image, DataError for a label that is no class.
 */
export function uploadBatch(device: Device, dataset: Dataset, indices: ArrayLike<number>): Batch {
  for (let n = 0; n < indices.length; n++) checkSample(dataset, indices[n]);
  return uploadHostBatch(device, memorySource(dataset), packBatch(dataset, indices));
}

/** Uploads a batch of a source. Call it inside a scope. */
export function uploadHostBatch(
  device: Device,
  source: BatchSource,
  { count, images, masks, targets, hasMask, known }: HostBatch,
): Batch {
  const { channels, height, width, classNames, maskCount } = source;
  const batch = {
    images: tensor(device, images, [count, channels, height, width]),
    masks: tensor(device, masks, [count, maskCount, height, width]),
    targets: tensor(device, targets, [count, classNames.length]),
  };
  return {
    ...batch,
    // Only where a batch of the source may need them: they are a few ops in every step.
    ...(source.mayLackMasks ? { hasMask: tensor(device, hasMask, [count]) } : {}),
    ...(source.isMultiLabel ? { known: tensor(device, known, [count, classNames.length]) } : {}),
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
