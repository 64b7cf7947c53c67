// Global weighted ranked pooling (Qiu 2018, arXiv:1809.08264): between the maximum and the mean.
import { UsageError } from '../engine/errors.ts';
import { max } from '../engine/ops/argmax.ts';
import { div, sumProduct } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { rankWeights } from '../engine/ops/rank-weights.ts';
import type { Tensor } from '../engine/tensor.ts';

/** sum of d^i for i = 0 .. count - 1 */
const weightSum = (d: number, count: number): number => (1 - d ** count) / (1 - d);

// Half a unit in the last place of f32: what the ranks that are left out could add is lost in rounding anyway.
const LOST_SHARE = 2 ** -24;

/**
 * How many of n ranks count: the others have together at most 2^-24 of all weight. For d = 0.9 these are 158, however
 * large the image; for d near 1 all n.   (d^k - d^n) / (1 - d^n) <= 2^-24
 */
export function countingRanks(d: number, n: number): number {
  const rest = d ** n;
  const k = Math.ceil(Math.log(rest + LOST_SHARE * (1 - rest)) / Math.log(d));
  return Math.min(n, Math.max(1, k));
}

/**
 * GWRP_d over the last axis of x [..., n] with values sorted downwards. Returns [...].
 *   GWRP_d(x) = sum_i d^i x_(i) / sum_i d^i,  i = 0 .. n - 1;   d = 0 is the maximum, d = 1 the mean
 * Each element is weighted by d^rank: the same sum without moving a number, and the ranks have no slope. Ranks whose
 * weight is below f32 are taken for 0, see `countingRanks`. Throws UsageError unless d lies in [0, 1].
 */
export function gwrp(x: Tensor, d: number): Tensor {
  if (!(d >= 0 && d <= 1)) throw new UsageError(`gwrp: d is ${d}; it must lie in [0, 1]`);
  const n = x.shape[x.shape.length - 1];
  const lastAxis = [x.shape.length - 1];
  if (d === 0) return max(x, lastAxis);
  if (d === 1) return div(sum(x, lastAxis), n);
  const weights = rankWeights(x, d, countingRanks(d, n));
  return div(sumProduct(x, weights, lastAxis), weightSum(d, n));
}
