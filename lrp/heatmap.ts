// Turns relevance into a picture that does not lie: zero is the neutral colour, the scale is symmetric, and whatever is
// clipped or not a number is counted and shown instead of being smoothed away.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { type ColorMapName, colorizer } from './color-maps.ts';
import type { Picture } from './picture.ts';

/** Size of one relevance map [C, H, W] and how to draw it. */
export interface HeatmapOptions {
  readonly height: number;
  readonly width: number;
  /** Channels to add up, 1 if left out. */
  readonly channels?: number;
  /** 'bwr' if left out: red speaks for the class, blue against it. */
  readonly colorMap?: ColorMapName;
  /** The |R| that gets the end colours. If left out, the map's own maximum; pass one number to compare maps. */
  readonly range?: number;
}

/** A drawn relevance map, with the numbers that belong next to it. */
export interface Heatmap extends Picture {
  /** |R| of the end colours. */
  readonly range: number;
  /** Relevance of all finite pixels together. */
  readonly sum: number;
  /** Pixels beyond the range, drawn in the end colours. */
  readonly clippedCount: number;
  /** NaN or infinite pixels, drawn in `notFiniteColor`. */
  readonly notFiniteCount: number;
}

/**
 * Draws relevance [C, H, W], summed over its channels, on the symmetric scale [-range, range]. A map of zeros is the centre
 * colour everywhere. Throws ShapeError if the sizes do not fit, UsageError for an unknown colour map or a negative range.
 */
export function renderHeatmap(relevance: ArrayLike<number>, options: HeatmapOptions): Heatmap {
  const { height, width, channels = 1, colorMap = 'bwr' } = options;
  const R = sumChannels(relevance, channels, height, width);
  const range = options.range ?? largestMagnitude(R);
  if (!(range >= 0 && Number.isFinite(range))) {
    throw new UsageError(`renderHeatmap: range is ${range}; pass the largest |R| to show, or leave it out`);
  }
  const colorOf = colorizer(colorMap);
  const rgba = new Uint8ClampedArray(4 * R.length);
  let sum = 0;
  let clippedCount = 0;
  let notFiniteCount = 0;
  for (let i = 0; i < R.length; i++) {
    if (Number.isFinite(R[i])) sum += R[i];
    else notFiniteCount++;
    const isClipped = Number.isFinite(R[i]) && Math.abs(R[i]) > range;
    if (isClipped) clippedCount++;
    // Also keeps the quotient finite and, with range 0, zero relevance from becoming 0 / 0.
    const v = isClipped ? Math.sign(R[i]) : R[i] === 0 ? 0 : R[i] / range;
    rgba.set([...colorOf(v), 255], 4 * i);
  }
  return { width, height, rgba, range, sum, clippedCount, notFiniteCount };
}

function sumChannels(
  relevance: ArrayLike<number>,
  channels: number,
  height: number,
  width: number,
): Float64Array {
  const pixelCount = height * width;
  const isSized = [channels, height, width].every((n) => Number.isInteger(n) && n > 0);
  if (!isSized || relevance.length !== channels * pixelCount) {
    throw new ShapeError(
      `renderHeatmap: ${relevance.length} values do not fill [${channels}, ${height}, ${width}]; pass one map and its channels, height and width`,
    );
  }
  const sum = new Float64Array(pixelCount);
  for (let i = 0; i < relevance.length; i++) sum[i % pixelCount] += relevance[i];
  return sum;
}

function largestMagnitude(R: Float64Array): number {
  let largest = 0;
  for (const r of R) if (Number.isFinite(r)) largest = Math.max(largest, Math.abs(r));
  return largest;
}
