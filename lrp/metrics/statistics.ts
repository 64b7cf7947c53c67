// Rows of numbers: what the metrics have in common. A row [n] of [N, n] is one image, and never sees another row.
import { add, div, mean, mul, sqrt, square, sub } from '../../engine/ops/arithmetic.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { abs, sign } from '../../engine/ops/pointwise.ts';
import { argsort, invertOrder, rank } from '../../engine/ops/sort.ts';
import { scope, withoutRecording } from '../../engine/scope.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';

/** Runs a measurement: nothing is recorded, and nothing stays but the result. */
export function measured<T>(device: Device, fn: () => T): T {
  return scope(device, () => withoutRecording(device, fn));
}

/** [N, ...] as rows [N, n]. */
export const asRows = (t: Tensor): Tensor => reshape(t, [t.shape[0], -1]);

/** 1 where t is 0, else 0. */
export const isZero = (t: Tensor): Tensor => sub(1, abs(sign(t)));

/** part / whole, and 0 where the whole is 0: nothing has no share. */
export const shareOf = (part: Tensor, whole: Tensor): Tensor =>
  div(mul(part, sub(1, isZero(whole))), add(whole, isZero(whole)));

/** Pearson's correlation of the rows of a and b [N, n]. Returns [N]; 0 where one of them does not vary. */
export function pearson(a: Tensor, b: Tensor): Tensor {
  const centered = (t: Tensor) => sub(t, mean(t, [1], { keepDims: true }));
  const [x, y] = [centered(a), centered(b)];
  const size = (t: Tensor) => sqrt(sum(square(t), [1]));
  return shareOf(sum(mul(x, y), [1]), mul(size(x), size(y)));
}

/**
 * Rank of each element in its row [N, n], from 0 up; equal elements share the mean of their ranks. Stable orders from
 * both ends rank equal elements in opposite ways, so that the mean of the two is the mean rank.
 */
export function averageRank(x: Tensor): Tensor {
  const fromBelow = invertOrder(argsort(x));
  const fromAbove = sub(x.shape[1] - 1, rank(x));
  return mul(add(fromBelow, fromAbove), 0.5);
}

/** Spearman's rank correlation of the rows of a and b [N, n], ties by mean ranks. Returns [N]; 0 for a constant row. */
export const spearman = (a: Tensor, b: Tensor): Tensor => pearson(averageRank(a), averageRank(b));
