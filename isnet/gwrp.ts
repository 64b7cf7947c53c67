// Global weighted ranked pooling (Qiu 2018, arXiv:1809.08264): between the maximum and the mean.
import { UsageError } from '../engine/errors.ts';
import { div, mul, sub } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { exp, step } from '../engine/ops/pointwise.ts';
import { rank } from '../engine/ops/sort.ts';
import type { Tensor } from '../engine/tensor.ts';

/** sum of d^i for i = 0 .. count - 1 */
const weightSum = (d: number, count: number): number => (d === 1 ? count : (1 - d ** count) / (1 - d));

/**
 * GWRP_d over the last axis of x [..., n] with values sorted downwards. Returns [...].
 *   GWRP_d(x) = sum_i d^i x_(i) / sum_i d^i,  i = 0 .. n - 1;   d = 0 is the maximum, d = 1 the mean
 * Each element is weighted by d^rank: the same sum without moving a number, and the ranks have no slope.
 */
export function gwrp(x: Tensor, d: number): Tensor {
  if (!(d >= 0 && d <= 1)) throw new UsageError(`gwrp: d is ${d}; it must lie in [0, 1]`);
  const n = x.shape[x.shape.length - 1];
  const lastAxis = [x.shape.length - 1];
  if (d === 1) return div(sum(x, lastAxis), n);
  const ranks = rank(x);
  const weights = d === 0 ? step(sub(1, ranks)) : exp(mul(ranks, Math.log(d)));
  return div(sum(mul(x, weights), lastAxis), weightSum(d, n));
}
