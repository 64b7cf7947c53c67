// Masks with a margin: a neuron at the edge of an object sees what lies beside it, so that a mask as tight as the object's
// outline forbids the neurons that see its outline. Half the first kernel is enough.
import { UsageError } from '../../engine/errors.ts';
import type { Dataset } from './dataset.ts';

/** Throws UsageError unless it is a whole number from 0 up. */
function checkMargin(margin: number): void {
  if (Number.isInteger(margin) && margin >= 0) return;
  throw new UsageError(`maskMargin: ${margin} pixels; use a whole number from 0 up`);
}

/** Where the pixels `start`, `start + stride`, ... lie. */
interface Line {
  readonly start: number;
  readonly stride: number;
  readonly count: number;
}

/** Writes 1 for every pixel of the line that has foreground at most `margin` places before or behind it. */
function spread(source: Float32Array, target: Float32Array, line: Line, margin: number): void {
  const { start, stride, count } = line;
  const last = start + (count - 1) * stride;
  for (const [from, step] of [
    [start, stride],
    [last, -stride],
  ]) {
    let reach = -1;
    for (let i = 0, at = from; i < count; i++, at += step) {
      if (source[at] === 1) reach = i + margin;
      if (i <= reach) target[at] = 1;
    }
  }
}

/**
 * Masks with 1 wherever a pixel of the foreground is at most `margin` rows and columns away: `masks` is any number of planes
 * [height, width] of 0 and 1. Empty masks stay empty. Throws UsageError for a margin that is not a whole number from 0 up.
 */
export function withMargin(masks: Float32Array, height: number, width: number, margin: number): Float32Array {
  checkMargin(margin);
  if (margin === 0) return masks;
  const size = height * width;
  const wide = masks.slice();
  for (let start = 0; start < masks.length; start += width) {
    spread(masks, wide, { start, stride: 1, count: width }, margin);
  }
  const grown = wide.slice();
  for (let plane = 0; plane < masks.length; plane += size) {
    for (let column = 0; column < width; column++) {
      spread(wide, grown, { start: plane + column, stride: width, count: height }, margin);
    }
  }
  return grown;
}

/**
 * The data set with a margin round its masks; see `withMargin`. An image whose mask no longer leaves any background counts for
 * classification only (`hasMask`). Throws UsageError for a margin that is not a whole number from 0 up.
 */
export function withMaskMargin(dataset: Dataset, margin: number): Dataset {
  const { count, height, width } = dataset;
  const masks = withMargin(dataset.masks, height, width, margin);
  if (margin === 0) return dataset;
  const size = height * width;
  const hasMask = Uint8Array.from({ length: count }, (_, n) => dataset.hasMask?.[n] ?? 1);
  let filledCount = 0;
  for (let n = 0; n < count; n++) {
    if (masks.subarray(n * size, (n + 1) * size).includes(0)) continue;
    filledCount++;
    hasMask[n] = 0;
    masks.fill(0, n * size, (n + 1) * size);
  }
  return filledCount === 0 ? { ...dataset, masks } : { ...dataset, masks, hasMask };
}
