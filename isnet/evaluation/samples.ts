// A few images of a source as a data set, for whoever draws them.
import { UsageError } from '../../engine/errors.ts';
import type { Dataset } from '../data/dataset.ts';
import type { BatchSource } from '../data/source.ts';
import { rowMaxima } from './scores.ts';

/**
 * The images with these numbers, in this order, with the union of their masks and the first of their labels. The source is
 * read batch by batch up to the last of them. Throws UsageError for a number that it does not have.
 */
export async function samplesOf(source: BatchSource, indices: readonly number[]): Promise<Dataset> {
  const { channels, height, width, maskCount, classNames } = source;
  const pixels = height * width;
  const size = channels * pixels;
  const places = new Map(indices.map((index, place) => [index, place]));
  const images = new Float32Array(indices.length * size);
  const masks = new Float32Array(indices.length * pixels);
  const labels = new Uint8Array(indices.length);
  let missing = places.size;
  for await (const batch of source.epoch({ batchSize: Math.min(64, source.count), shuffle: false })) {
    const shown = rowMaxima(batch.targets, batch.count, classNames.length);
    batch.indices.forEach((index, n) => {
      const place = places.get(index);
      if (place === undefined) return;
      images.set(batch.images.subarray(n * size, (n + 1) * size), place * size);
      for (let m = 0; m < maskCount * pixels; m++) {
        if (batch.masks[n * maskCount * pixels + m] > 0) masks[place * pixels + (m % pixels)] = 1;
      }
      labels[place] = shown[n];
      missing--;
    });
    if (missing === 0) break;
  }
  if (missing > 0) {
    throw new UsageError(`samples: ${missing} of [${indices}] are no images; use 0 to ${source.count - 1}`);
  }
  return { images, masks, labels, count: indices.length, channels, height, width, classNames };
}
