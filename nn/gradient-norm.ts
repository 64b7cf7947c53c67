// The size of a gradient as a whole, and keeping it within bounds.
import { UsageError } from '../engine/errors.ts';
import { add, div, mul, neg, sqrt, sumProduct } from '../engine/ops/arithmetic.ts';
import { maximum } from '../engine/ops/pointwise.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { blocksOf } from './flat-parameters.ts';

/** Euclidean norm over all gradients together. Returns []. Throws UsageError where there is none: who has no tensor has no device. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  if (gradients.length === 0) throw new UsageError('globalNorm: no gradients; pass at least one');
  return normOf(blocksOf(gradients).map((block) => block.join(gradients)));
}

const normOf = (blocks: readonly Tensor[]): Tensor =>
  sqrt(blocks.map((g) => sumProduct(g, g)).reduce((a, b) => add(a, b)));

/** The blocks of a gradient, scaled down together so that their norm is at most `maxNorm`. */
export function clip(blocks: readonly Tensor[], maxNorm: number): Tensor[] {
  if (!(maxNorm > 0)) {
    throw new UsageError(`clipByGlobalNorm: maxNorm is ${maxNorm}; use a number above 0, or do not clip`);
  }
  if (blocks.length === 0) return [];
  const ratio = div(maxNorm, add(normOf(blocks), 1e-6));
  const factor = neg(maximum(neg(ratio), -1));
  return blocks.map((g) => mul(g, factor));
}

/**
 * Scales gradients down together so that their global norm is at most `maxNorm`: g min(1, maxNorm / (norm + 1e-6)).
 * Throws UsageError unless maxNorm is above 0. A step that clips does it with fewer copies: `step`'s `clipNorm`.
 */
export function clipByGlobalNorm(device: Device, gradients: readonly Tensor[], maxNorm: number): Tensor[] {
  return withoutRecording(device, () =>
    scope(device, () => {
      const blocks = blocksOf(gradients);
      const clipped = clip(
        blocks.map((block) => block.join(gradients)),
        maxNorm,
      );
      return blocks.flatMap((block, i) => block.split(clipped[i]));
    }),
  );
}
