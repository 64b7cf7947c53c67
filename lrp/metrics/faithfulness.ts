// Does the model care about what the attribution points at? Pixels are replaced, and the score is watched.
//
// All copies go through batched forward passes in evaluation mode; the class is that of the untouched image. Scores of
// an image depend on that image alone.
import { tensor } from '../../engine/create.ts';
import { ShapeError, UsageError } from '../../engine/errors.ts';
import { mean, mul, neg, sub } from '../../engine/ops/arithmetic.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { permute, slice } from '../../engine/ops/layout.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { step } from '../../engine/ops/pointwise.ts';
import { uniform } from '../../engine/ops/random.ts';
import { rank } from '../../engine/ops/sort.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { type AttributionOptions, rowsOf, type Score } from '../attributions/attribution.ts';
import { checkCount, copyNumbers, keyOf } from '../attributions/copies.ts';
import { perturbedScores, planeOf } from '../attributions/perturb.ts';
import { type Order, perPixel, Regions, ranksOf } from './regions.ts';
import { measured, pearson } from './statistics.ts';

export interface FaithfulnessOptions extends AttributionOptions {
  /** What stands in place of a pixel: a number, one image or one per image; default 0. */
  readonly baseline?: number | Tensor;
  /** Default 'logit'. */
  readonly score?: Score;
  /** Memory for one forward pass, see `CopyOptions`. */
  readonly budgetBytes?: number;
}

/** Scores [N, L + 1]: in column k all pixels with a rank [N, P] below k `perStep` are replaced. */
function curveOf(
  model: Module,
  x: Tensor,
  ranks: Tensor,
  { perStep, stepCount, options }: { perStep: number; stepCount: number; options: FaithfulnessOptions },
): Tensor {
  const scores = perturbedScores(model, x, {
    ...options,
    rows: rowsOf(model, x, options),
    copyCount: stepCount + 1,
    isDetached: true,
    masksOf: (range) =>
      step(sub(mul(copyNumbers(x.device, range), perStep), reshape(ranks, [1, ...ranks.shape]))),
  });
  return permute(scores, [1, 0]);
}

/** Area under curves [N, L + 1] by the trapezoid rule, over [0, 1]: 1/L (c_0 / 2 + c_1 + .. + c_L / 2). Returns [N]. */
export function areaUnder(curve: Tensor): Tensor {
  const last = curve.shape[1] - 1;
  const weights = Array.from({ length: last + 1 }, (_, k) => (k === 0 || k === last ? 0.5 : 1) / last);
  return sum(mul(curve, tensor(curve.device, weights, [last + 1])), [1]);
}

export interface PixelFlippingOptions extends FaithfulnessOptions {
  /** Pixels replaced per step; default a 32nd of the image. */
  readonly perStep?: number;
  /** Default 'mostFirst'. */
  readonly order?: Order;
}

/**
 * Pixel flipping for an attribution a [N, C, H, W] (channels summed), most relevant pixels first:
 *   curve [N, L + 1]: f(x^(k)), the first k perStep pixels replaced, k = 0..L, L = ceil(P / perStep)      Bach et al. 2015
 *   area [N]: trapezoid area over [0, 1]; for 'mostFirst' the lower, the more faithful
 * Unlike Quantus the curve begins with the image itself, the area does not grow with L, and the baseline is a constant
 * (default 0). Throws ShapeError or UsageError for a map or a step that does not fit.
 */
export function pixelFlipping(
  model: Module,
  x: Tensor,
  a: Tensor,
  options: PixelFlippingOptions = {},
): { curve: Tensor; area: Tensor } {
  const { pixels } = planeOf(x);
  const { perStep = Math.ceil(pixels / 32), order = 'mostFirst' } = options;
  checkCount('pixelFlipping', 'perStep', perStep);
  return measured(x.device, () => {
    const ranks = ranksOf(perPixel('pixelFlipping', a, x), order);
    const stepCount = Math.ceil(pixels / perStep);
    const curve = curveOf(model, x, ranks, { perStep, stepCount, options });
    return { curve, area: areaUnder(curve) };
  });
}

/** Area over the perturbation curve [N]:   1/(L+1) sum_{k=0..L} (f(x^(0)) - f(x^(k)))        Samek et al. 2017 */
export function aopc(curve: Tensor): Tensor {
  return mean(sub(slice(curve, [0, 0], [curve.shape[0], 1]), curve), [1]);
}

export interface RegionPerturbationOptions extends FaithfulnessOptions {
  /** Height and width of a region; default 8. */
  readonly regionSize?: number;
  /** Most regions L that are replaced; default 100. */
  readonly regionCount?: number;
}

export interface RegionPerturbation {
  /** Scores [N, L + 1] with the first k regions replaced, most and least relevant first. */
  readonly mostFirst: Tensor;
  readonly leastFirst: Tensor;
  /** AOPC [N] of `mostFirst`: the larger, the more faithful. */
  readonly aopc: Tensor;
  /** Area between the curves [N]:   1/(L+1) sum_{k=0..L} (f(least first) - f(most first)) */
  readonly abpc: Tensor;
}

/**
 * Region perturbation: regions go in the order of their summed attribution, AOPC and ABPC are taken over k = 0..L.
 * Samek et al. 2017. Unlike theirs a region gets the baseline instead of noise. Quantus leaves out k = 0. Throws ShapeError
 * for other than images [N, C, H, W] with a map for each.
 */
export function regionPerturbation(
  model: Module,
  x: Tensor,
  a: Tensor,
  options: RegionPerturbationOptions = {},
): RegionPerturbation {
  const { regionSize = 8, regionCount = 100 } = options;
  checkCount('regionPerturbation', 'regionSize', regionSize);
  checkCount('regionPerturbation', 'regionCount', regionCount);
  if (x.shape.length !== 4) {
    throw new ShapeError(
      `regionPerturbation: the input is ${formatShape(x.shape)}; give images [N, C, H, W]`,
    );
  }
  return measured(x.device, () => {
    const regions = new Regions([x.shape[2], x.shape[3]], regionSize);
    const values = regions.sums(perPixel('regionPerturbation', a, x));
    const stepCount = Math.min(regionCount, regions.count);
    const curve = (order: Order) =>
      curveOf(model, x, regions.spread(ranksOf(values, order)), { perStep: 1, stepCount, options });
    const [mostFirst, leastFirst] = [curve('mostFirst'), curve('leastFirst')];
    return { mostFirst, leastFirst, aopc: aopc(mostFirst), abpc: mean(sub(leastFirst, mostFirst), [1]) };
  });
}

export interface FaithfulnessCorrelationOptions extends FaithfulnessOptions {
  /** Random subsets of pixels, the same for all images; default 100. */
  readonly subsets?: number;
  /** Pixels in a subset; default a quarter of the image. */
  readonly subsetSize?: number;
  /** Equal seeds give equal subsets; default 0. */
  readonly seed?: number;
}

/**
 * Faithfulness correlation [N] over random subsets S of pixels:
 *   Pearson(sum_{i in S} a_i,  f(x) - f(x with the baseline in S))        Bhatt et al. 2020
 * Unlike Quantus, subsets take whole pixels, channels summed. 0 where a or f does not vary. Throws as `pixelFlipping` does.
 */
export function faithfulnessCorrelation(
  model: Module,
  x: Tensor,
  a: Tensor,
  options: FaithfulnessCorrelationOptions = {},
): Tensor {
  const { pixels } = planeOf(x);
  const { subsets = 100, subsetSize = Math.ceil(pixels / 4), seed = 0 } = options;
  checkCount('faithfulnessCorrelation', 'subsets', subsets);
  checkCount('faithfulnessCorrelation', 'subsetSize', subsetSize);
  if (subsetSize >= pixels) {
    throw new UsageError(
      `faithfulnessCorrelation: subsets of ${subsetSize} of ${pixels} pixels are all alike; pass fewer than ${pixels}`,
    );
  }
  return measured(x.device, () => {
    const draws = uniform(keyOf('faithfulnessCorrelation', x.device, seed), [subsets, pixels]);
    const masks = step(sub(subsetSize, rank(draws)));
    const scores = perturbedScores(model, x, {
      ...options,
      rows: rowsOf(model, x, options),
      copyCount: subsets,
      isDetached: true,
      masksOf: ({ first, count }) => reshape(slice(masks, [first, 0], [count, pixels]), [count, 1, pixels]),
    });
    // f(x) is the same for all subsets, so it does not matter to a correlation.
    const losses = neg(permute(scores, [1, 0]));
    return pearson(matmul(perPixel('faithfulnessCorrelation', a, x), masks, { transposeB: true }), losses);
  });
}
