// How well scores put images in order: the area under the ROC curve, DeLong's interval for it, and Hand and Till's mean
// over pairs of classes.
import {
  type Estimate,
  meanOf,
  meanOfDefined,
  undefinedEstimate,
  withoutInterval,
  Z_95,
} from './estimate.ts';

/** Ranks from 1 up, in the order of the input; equal values share the mean of their ranks. */
export function midranks(values: ArrayLike<number>): Float64Array {
  const order = orderOf(values);
  const ranks = new Float64Array(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to]] === values[order[from]]) to++;
    // Positions from..to-1 are ranks from+1..to.
    for (let i = from; i < to; i++) ranks[order[i]] = (from + 1 + to) / 2;
  }
  return ranks;
}

/** Positions of the values, smallest first. */
function orderOf(values: ArrayLike<number>): Uint32Array {
  return Uint32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b]);
}

/**
 * Area under the ROC curve: the chance that a positive scores above a negative, equal scores counting half, with DeLong's
 * interval (DeLong et al. 1988, by the midranks of Sun and Xu 2014), cut to [0, 1] as in pROC. Undefined without
 * positives or without negatives. No interval where there is one of a kind, or where the kinds do not overlap at all:
 * DeLong's variance is then 0, which says nothing.
 */
export function auc(positives: readonly number[], negatives: readonly number[]): Estimate {
  const [P, N] = [positives.length, negatives.length];
  if (P === 0 || N === 0) return undefinedEstimate;
  const ranks = midranks([...positives, ...negatives]);
  const [ranksOfPositives, ranksOfNegatives] = [midranks(positives), midranks(negatives)];
  // For each image, the share of the other kind that it is in right order with.
  const above = positives.map((_, i) => (ranks[i] - ranksOfPositives[i]) / N);
  const below = negatives.map((_, j) => 1 - (ranks[P + j] - ranksOfNegatives[j]) / P);
  const value = meanOf(above);
  const variance = varianceOf(above) / P + varianceOf(below) / N;
  if (!(variance > 0)) return withoutInterval(value);
  const half = Z_95 * Math.sqrt(variance);
  return { value, low: Math.max(0, value - half), high: Math.min(1, value + half) };
}

/** Sample variance; NaN for one value. */
function varianceOf(values: readonly number[]): number {
  const center = meanOf(values);
  return values.reduce((sum, v) => sum + (v - center) ** 2, 0) / (values.length - 1);
}

/** Images of two kinds, sorted once by a score, for AUCs of many resamples. */
interface SortedKinds {
  /** Numbers of the images, lowest score first, and positives first among equal ones. */
  readonly images: Uint32Array;
  readonly isPositive: Uint8Array;
  /** 1 where the score is that of the image before. */
  readonly isTied: Uint8Array;
}

/** A statistic of a sample in which image n occurs `weights[n]` times; null where it is not defined. */
type Weighted = (weights: ArrayLike<number>) => number | null;

function sortKinds(
  scores: ArrayLike<number>,
  positives: readonly number[],
  negatives: readonly number[],
): SortedKinds {
  // Sorting is stable, so equal scores stay in this order.
  const all = [...positives, ...negatives];
  const order = orderOf(all.map((image) => scores[image]));
  const images = Uint32Array.from(order, (i) => all[i]);
  return {
    images,
    isPositive: Uint8Array.from(order, (i) => (i < positives.length ? 1 : 0)),
    isTied: Uint8Array.from(images, (image, i) => (i > 0 && scores[image] === scores[images[i - 1]] ? 1 : 0)),
  };
}

/** The area under the curve of a weighted sample; null without images of either kind. */
function weightedArea(
  { images, isPositive, isTied }: SortedKinds,
  weights: ArrayLike<number>,
): number | null {
  let area = 0;
  let positives = 0;
  let negatives = 0;
  // Positives of the run of equal scores under way. They come first in it, and count half against its negatives.
  let tied = 0;
  for (let i = 0; i < images.length; i++) {
    if (isTied[i] === 0) tied = 0;
    const w = weights[images[i]];
    if (isPositive[i] === 1) {
      area += w * negatives;
      positives += w;
      tied += w;
    } else {
      area += (w * tied) / 2;
      negatives += w;
    }
  }
  return positives === 0 || negatives === 0 ? null : area / (positives * negatives);
}

/** Mean area of the sorted kinds that have an area. */
function meanArea(all: readonly SortedKinds[]): Weighted {
  return (weights) => meanOfDefined(all.map((kinds) => weightedArea(kinds, weights)));
}

const columnOf = (scores: Float64Array, K: number, k: number): Float64Array =>
  Float64Array.from({ length: scores.length / K }, (_, n) => scores[n * K + k]);

/** Numbers of the images that show a class, and of those that do not; of others it is not known. */
export interface Kinds {
  readonly positives: readonly number[];
  readonly negatives: readonly number[];
}

/** Mean over classes of the AUC of one class against the rest; scores [N, K], `kinds` per class. */
export function oneVersusRest(scores: Float64Array, kinds: readonly Kinds[]): Weighted {
  return meanArea(
    kinds.map(({ positives, negatives }, k) =>
      sortKinds(columnOf(scores, kinds.length, k), positives, negatives),
    ),
  );
}

/**
 * Hand and Till's M (Hand and Till 2001, eq. 7), over the pairs of classes that have images:
 *   M = 2 / (K (K - 1)) sum_{i < j} (A(i|j) + A(j|i)) / 2
 * where A(i|j) is the AUC of class i against class j by the score of i; scores [N, K], images of each class.
 */
export function handTill(scores: Float64Array, images: readonly (readonly number[])[]): Weighted {
  const K = images.length;
  return meanArea(
    images.flatMap((own, i) => {
      const column = columnOf(scores, K, i);
      return images.flatMap((other, j) => (j === i ? [] : [sortKinds(column, own, other)]));
    }),
  );
}
