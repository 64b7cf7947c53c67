// What the methods do with masks: one per image out of several, masks as a loss, and images without their background.

import { max } from '../../engine/ops/argmax.ts';
import { mean, mul, square, sub } from '../../engine/ops/arithmetic.ts';
import { concat, slice } from '../../engine/ops/layout.ts';
import { softplus } from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { BatchSource, HostBatch } from '../data/source.ts';
import { meanWhere } from '../heatmap-loss.ts';
import type { Batch } from '../objective.ts';

/** The mask of each image [N, 1, H, W]: of one per class, what any of them covers. */
export function imageMasks({ masks }: Pick<Batch, 'masks'>): Tensor {
  return masks.shape[1] === 1 ? masks : max(masks, [1], { keepDims: true });
}

/** [2N, C, H, W]: the images, then the same with black where no mask is. `halfOf` takes apart what a model makes of both. */
export const imagesAndObjects = (batch: Batch): Tensor =>
  concat([batch.images, mul(batch.images, imageMasks(batch))], 0);

/** A half of the first axis: the first or the second. */
export function halfOf(t: Tensor, which: 0 | 1): Tensor {
  const [count, ...rest] = t.shape;
  return slice(t, [(which * count) / 2, ...rest.map(() => 0)], [count / 2, ...rest]);
}

/** Mean of losses per image [N] over the images that have a mask: []. */
export const overMasked = (perImage: Tensor, { hasMask }: Pick<Batch, 'hasMask'>): Tensor =>
  meanWhere(perImage, hasMask ?? null);

/**
 * Binary cross-entropy of logits z [N, 1, H, W] and masks M, over pixels and then over the images that have one: [].
 *   mean_i log(1 + e^z_i) - M_i z_i
 */
export function maskLoss(logits: Tensor, batch: Batch): Tensor {
  const perPixel = sub(softplus(logits), mul(logits, imageMasks(batch)));
  return overMasked(mean(perPixel, [1, 2, 3]), batch);
}

/** Mean of (A - M)^2 over pixels, for maps A [N, 1, H, W], and then over the images that have a mask: []. */
export function maskError(maps: Tensor, batch: Batch): Tensor {
  return overMasked(mean(square(sub(maps, imageMasks(batch))), [1, 2, 3]), batch);
}

/** Sets the pixels of a batch to 0 that no mask covers, in its own arrays; an image without a mask is left as it is. */
function withoutBackground(batch: HostBatch, channels: number, maskCount: number): HostBatch {
  const { count, images, masks, hasMask } = batch;
  const pixels = masks.length / (count * maskCount);
  for (let n = 0; n < count; n++) {
    if (hasMask[n] === 0) continue;
    for (let i = 0; i < pixels; i++) {
      let isForeground = false;
      for (let m = 0; m < maskCount; m++) isForeground ||= masks[(n * maskCount + m) * pixels + i] > 0;
      if (isForeground) continue;
      for (let c = 0; c < channels; c++) images[(n * channels + c) * pixels + i] = 0;
    }
  }
  return batch;
}

/** The same images, order and augmentation, with the background 0: what the masked-input method sees. */
export function maskedSource(source: BatchSource): BatchSource {
  const { count, channels, height, width, classNames, isMultiLabel, maskCount, mayLackMasks } = source;
  const masked = (batch: HostBatch) => withoutBackground(batch, channels, maskCount);
  async function* each(batches: AsyncIterable<HostBatch>): AsyncGenerator<HostBatch, void> {
    for await (const batch of batches) yield masked(batch);
  }
  return {
    count,
    channels,
    height,
    width,
    classNames,
    isMultiLabel,
    maskCount,
    mayLackMasks,
    get labels() {
      return source.labels;
    },
    epoch: (options) => each(source.epoch(options)),
    batch: async (indices) => masked(await source.batch(indices)),
  };
}
