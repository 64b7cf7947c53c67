// What keeps a denominator away from 0. In every form sign(0) = +1, as in zennit and in ISNet.
import { detach } from '../engine/create.ts';
import { add, div, meanSquare, mul, sqrt, sub } from '../engine/ops/arithmetic.ts';
import { abs, maximum, notNegative, stabilize, stabilizedDivide } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { perMap } from './maps.ts';

/**
 * `shift`: z + eps sign z.   `clip`: sign z max(|z|, eps).   `normScaled`: z + eps RMS(z) sign z, with the root mean square
 * over all axes but the batch; `normGradient: true` lets gradients through it.
 */
export type Stabilizer =
  | { readonly kind: 'shift'; readonly eps: number }
  | { readonly kind: 'clip'; readonly eps: number }
  | { readonly kind: 'normScaled'; readonly eps: number; readonly normGradient?: boolean };

/** The usual form: z + eps sign z. */
export const shift = (eps: number): Stabilizer => ({ kind: 'shift', eps });

const signOf = (z: Tensor): Tensor => sub(mul(notNegative(z), 2), 1);

/** z, stabilised; of the shape of z. The slope in z is 1 (shift), or 1 where |z| > eps (clip); sign has none. */
export function stabilized(z: Tensor, stabilizer: Stabilizer): Tensor {
  const { eps } = stabilizer;
  if (stabilizer.kind === 'shift') return stabilize(z, eps);
  if (stabilizer.kind === 'clip') return mul(signOf(z), maximum(abs(z), eps));
  const axes = z.shape.map((_, axis) => axis).slice(1);
  const norm = sqrt(meanSquare(z, axes, { keepDims: true }));
  const scale = mul(stabilizer.normGradient ? norm : detach(norm), eps);
  return add(z, mul(signOf(z), scale));
}

/** R / stab(z) for relevance R [K N, ...] of K maps at activations z [N, ...]. */
export function dividedBy(R: Tensor, z: Tensor, stabilizer: Stabilizer): Tensor {
  return stabilizer.kind === 'shift'
    ? perMap((own, denominator) => stabilizedDivide(own, denominator, stabilizer.eps), R, z)
    : perMap(div, R, stabilized(z, stabilizer));
}
