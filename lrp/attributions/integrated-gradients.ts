// Gradients along the straight way from a baseline to the image: what the image has made of the baseline.
import { add, div, mul, sub } from '../../engine/ops/arithmetic.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { repeatPerMap } from '../maps.ts';
import { type AttributionOptions, gradientAt, recorded, rowsOf } from './attribution.ts';
import {
  asBatch,
  baselineOf,
  type CopyOptions,
  type CopyRange,
  checkCount,
  copyNumbers,
  overCopies,
} from './copies.ts';

export interface IntegratedGradientsOptions extends AttributionOptions, CopyOptions {
  /** Where the way begins: a number, one image or one per image; default 0, a black image. */
  readonly baseline?: number | Tensor;
  /** Points on the way; default 32. */
  readonly steps?: number;
  /**
   * 'end' of each step, a_k = k / m, as published (default), or 'middle', a_k = (k - 1/2) / m. Where f is smooth the sum is
   * then wrong by 1 / m^2 instead of 1 / m; kinks cost 1 / m in both.
   */
  readonly points?: 'end' | 'middle';
}

/** Sum over a range of points b + a_k (x - b) of the gradients there, [N, ...]. */
function gradientSum(
  model: Module,
  { start, difference, rows }: { start: Tensor; difference: Tensor; rows: Tensor },
  positions: Tensor,
): Tensor {
  const { shape } = difference;
  const count = positions.shape[0];
  const flat = (t: Tensor) => reshape(t, [1, shape[0], -1]);
  const points = asBatch(add(flat(start), mul(flat(difference), positions)), shape.slice(1));
  const logits = inEvaluation(model, () => model.forward(points));
  const gradients = gradientAt(points, { logits, rows: repeatPerMap(rows, count) });
  return reshape(sum(reshape(gradients, [count, -1]), [0]), shape);
}

/**
 * Integrated gradients [N, C, H, W] for a baseline b and m steps:
 *   R_i = (x_i - b_i) 1/m sum_k df/dx_i at b + a_k (x - b),   a_k = k / m        Sundararajan et al. 2017
 * Completeness: sum R -> f(x) - f(b) as m grows. With m = 1 it is gradient x (x - b). Always in evaluation mode;
 * `logits` only settle the target. Throws UsageError for a bad number of steps, and as `gradient` does.
 */
export function integratedGradients(
  model: Module,
  x: Tensor,
  options: IntegratedGradientsOptions = {},
): Tensor {
  const { baseline = 0, steps = 32, points = 'end' } = options;
  checkCount('integratedGradients', 'steps', steps);
  return recorded(x.device, () => {
    const start = baselineOf(x, baseline);
    const way = { start, difference: sub(x, start), rows: rowsOf(model, x, options) };
    const offset = points === 'end' ? 1 : 0.5;
    const positionsOf = (range: CopyRange) => div(add(copyNumbers(x.device, range), offset), steps);
    const run = { ...options, copyCount: steps, passes: 3 };
    const sums = overCopies(model, x, run, (range) => gradientSum(model, way, positionsOf(range)));
    const total = sums.reduce((a, b) => add(a, b));
    return mul(way.difference, div(total, steps));
  });
}
