// The gradient, averaged over noisy copies of the image.
import { detach, tensor } from '../../engine/create.ts';
import { max } from '../../engine/ops/argmax.ts';
import { add, div, mul, neg } from '../../engine/ops/arithmetic.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { slice } from '../../engine/ops/layout.ts';
import { normal } from '../../engine/ops/random.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { repeatPerMap } from '../maps.ts';
import { type AttributionOptions, gradientAt, recorded, rowsOf } from './attribution.ts';
import { asBatch, type CopyOptions, type CopyRange, checkCount, keyOf, overCopies } from './copies.ts';

export interface SmoothGradOptions extends AttributionOptions, CopyOptions {
  /** Copies, the image itself among them; default 20. */
  readonly samples?: number;
  /** Standard deviation of the noise, relative to the range max - min of each image; default 0.1. */
  readonly noiseLevel?: number;
  /** Equal seeds give equal noise; default 0. */
  readonly seed?: number;
}

/**
 * Noise [copies, 1, size] of deviation 1; the first copy has none. All images of a batch get the same noise, so that no
 * map depends on which other images are in the batch, or where.
 */
function noiseOf(x: Tensor, samples: number, seed: number): Tensor {
  const key = keyOf('smoothGrad', x.device, seed);
  const gates = new Array<number>(samples).fill(1).with(0, 0);
  const noise = normal(key, [samples, 1, sizeOf(x.shape.slice(1))]);
  return mul(noise, tensor(x.device, gates, [samples, 1, 1]));
}

/**
 * SmoothGrad [N, C, H, W] over n copies with noise e_k ~ N(0, (level (max x - min x))^2):
 *   R_i = 1/n sum_k df/dx_i at x + e_k,   e_1 = 0        Smilkov et al. 2017
 * Unlike theirs one copy has no noise, as in zennit: n = 1 is the gradient. No slope flows through the size of the
 * noise. Always in evaluation mode; `logits` only settle the target. Throws UsageError for bad samples or seed.
 */
export function smoothGrad(model: Module, x: Tensor, options: SmoothGradOptions = {}): Tensor {
  const { samples = 20, noiseLevel = 0.1, seed = 0 } = options;
  checkCount('smoothGrad', 'samples', samples);
  return recorded(x.device, () => {
    const { shape } = x;
    const flat = reshape(x, [1, shape[0], -1]);
    const range = add(max(flat, [2], { keepDims: true }), max(neg(flat), [2], { keepDims: true }));
    const deviation = detach(mul(range, noiseLevel));
    const noise = noiseOf(x, samples, seed);
    const rows = rowsOf(model, x, options);
    const sumOf = ({ first, count }: CopyRange) => {
      const part = slice(noise, [first, 0, 0], [count, 1, flat.shape[2]]);
      const copies = asBatch(add(flat, mul(part, deviation)), shape.slice(1));
      const logits = inEvaluation(model, () => model.forward(copies));
      const gradients = gradientAt(copies, { logits, rows: repeatPerMap(rows, count) });
      return reshape(sum(reshape(gradients, [count, -1]), [0]), shape);
    };
    const sums = overCopies(model, x, { ...options, copyCount: samples, passes: 3 }, sumOf);
    return div(
      sums.reduce((a, b) => add(a, b)),
      samples,
    );
  });
}
