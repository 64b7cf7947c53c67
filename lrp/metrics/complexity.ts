// Is the attribution short? A few pixels that carry all are easier to read than many that carry a little.
import { tensor } from '../../engine/create.ts';
import { add, mul, neg } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { abs, log } from '../../engine/ops/pointwise.ts';
import { sort } from '../../engine/ops/sort.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { asRows, shareOf } from './statistics.ts';

/** Keeps the logarithm of an empty pixel finite; 0 log(tiny) is 0. */
const TINY = 1e-12;

/**
 * Sparseness [N], the Gini index of |a| sorted ascending, i = 1..n; 0 when all are equal, towards 1 when one has all:
 *   sum_i (2i - n - 1) |a|_(i) / (n sum |a|)        Chalasani et al. 2020
 * Unlike Quantus we do not add 1e-7 to |a|; a map of zeros has 0.
 */
export function sparseness(a: Tensor): Tensor {
  const magnitude = sort(abs(asRows(a)));
  const n = magnitude.shape[1];
  // Divided by n on the host: weights beyond 2^24 would lose their ends.
  const weights = Float64Array.from({ length: n }, (_, i) => (2 * (i + 1) - n - 1) / n);
  return shareOf(sum(mul(magnitude, tensor(a.device, weights, [n])), [1]), sum(magnitude, [1]));
}

/**
 * Complexity [N], the entropy of the shares of |a|; from 0 for one pixel to log n for equal ones:
 *   -sum_i q_i log(q_i + 1e-12),   q = |a| / sum |a|        Bhatt et al. 2020
 * As in Quantus; a map of zeros has 0.
 */
export function entropy(a: Tensor): Tensor {
  const magnitude = abs(asRows(a));
  const q = shareOf(magnitude, sum(magnitude, [1], { keepDims: true }));
  return neg(sum(mul(q, log(add(q, TINY))), [1]));
}
