// From a dataset in host memory to a batch on the device.
import { tensor } from '../engine/create.ts';
import type { Device } from '../engine/tensor.ts';
import type { Dataset } from './data/dataset.ts';
import type { Batch } from './objective.ts';

/** Uploads the images with these numbers, their masks and one-hot labels. Call it inside a scope. */
export function uploadBatch(device: Device, dataset: Dataset, indices: ArrayLike<number>): Batch {
  const { channels, height, width, classNames } = dataset;
  const N = indices.length;
  const pixels = height * width;
  const images = new Float32Array(N * channels * pixels);
  const masks = new Float32Array(N * pixels);
  const targets = new Float32Array(N * classNames.length);
  for (let n = 0; n < N; n++) {
    const i = indices[n];
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
