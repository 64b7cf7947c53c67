// Does the attribution stay when the image hardly changes?
import { max } from '../../engine/ops/argmax.ts';
import { add, div, mean, mul, sqrt, square, sub } from '../../engine/ops/arithmetic.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { concat, slice } from '../../engine/ops/layout.ts';
import { maximum } from '../../engine/ops/pointwise.ts';
import { uniform } from '../../engine/ops/random.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { type Attribution, type AttributionTarget, rowsOf } from '../attributions/attribution.ts';
import { asBatch, checkCount, keyOf, overCopies } from '../attributions/copies.ts';
import { repeatPerMap } from '../maps.ts';
import { asRows, measured } from './statistics.ts';

export interface SensitivityOptions {
  /** Default 'predicted': the class of the untouched image, for all its copies. */
  readonly target?: AttributionTarget;
  /** Changes lie in [-radius, radius] for each pixel; default 0.02, for images in [0, 1]. */
  readonly radius?: number;
  /** Copies of each image; default 10. */
  readonly samples?: number;
  /** Equal seeds give equal changes; default 0. */
  readonly seed?: number;
  /** Memory for one pass, see `CopyOptions`. */
  readonly budgetBytes?: number;
}

/** Length of each row, [K, N] for [K, N, n]. */
const lengths = (t: Tensor): Tensor => sqrt(sum(square(t), [2]));

/**
 * Sensitivity of an attribution a to changes d ~ U(-radius, radius), each [N]:
 *   maximum, average over samples of |a(x + d) - a(x)| / |a(x)|        Yeh et al. 2019 (max-sensitivity)
 * Radius and samples are Captum's defaults; Quantus takes 0.2 and 200. All images get the same changes, so that no score
 * depends on the rest of the batch. For options of the attribution, wrap it: `(m, x, o) => smoothGrad(m, x, { ...o, seed })`.
 * Throws UsageError for bad samples or seed, and what the attribution throws.
 */
export function sensitivity(
  model: Module,
  x: Tensor,
  attribution: Attribution,
  options: SensitivityOptions = {},
): { maximum: Tensor; average: Tensor } {
  const { radius = 0.02, samples = 10, seed = 0, target, budgetBytes } = options;
  checkCount('sensitivity', 'samples', samples);
  return measured(x.device, () => {
    const [N, size] = [x.shape[0], sizeOf(x.shape.slice(1))];
    const rows = rowsOf(model, x, { target });
    const original = asRows(attribution(model, x, { target: rows }));
    const unit = uniform(keyOf('sensitivity', x.device, seed), [samples, 1, size]);
    const changes = mul(sub(mul(unit, 2), 1), radius);
    const before = reshape(original, [1, ...original.shape]);
    const scale = maximum(lengths(before), 1e-12);
    const run = { copyCount: samples, passes: 3, budgetBytes, isDetached: true };
    const parts = overCopies(model, x, run, ({ first, count }) => {
      const part = slice(changes, [first, 0, 0], [count, 1, size]);
      const copies = asBatch(add(reshape(x, [1, N, size]), part), x.shape.slice(1));
      const maps = attribution(model, copies, { target: repeatPerMap(rows, count) });
      return div(lengths(sub(reshape(maps, [count, N, -1]), before)), scale);
    });
    const relative = concat(parts, 0);
    return { maximum: max(relative, [0]), average: mean(relative, [0]) };
  });
}
