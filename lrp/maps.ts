// Several maps in one pass: relevance [K N, ...] of K maps (map-major) beside activations [N, ...] of one forward pass.
import { ShapeError } from '../engine/errors.ts';
import { expand, reshape } from '../engine/ops/broadcast.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';

/** Number of maps K when `R` [K N, ...] belongs to activations of shape [N, ...]. Throws ShapeError when it cannot. */
export function mapCount(R: Shape, activation: Shape): number {
  const count = activation.length === 0 ? 1 : R[0] / activation[0];
  if (!Number.isInteger(count) || sizeOf(R) !== count * sizeOf(activation)) {
    throw new ShapeError(
      `lrp: relevance ${formatShape(R)} does not belong to an activation ${formatShape(activation)}; its batch must be a multiple of ${activation[0]}, all else equal`,
    );
  }
  return count;
}

/** Elementwise `op` of R [K N, ...] with an activation [N, ...] that is the same for every map. */
export function perMap(op: (a: Tensor, b: Tensor) => Tensor, R: Tensor, activation: Tensor): Tensor {
  const count = mapCount(R.shape, activation.shape);
  if (count === 1) return op(R, activation);
  const flat = op(reshape(R, [count, -1]), reshape(activation, [-1]));
  return reshape(flat, R.shape);
}

/** The activation [N, ...] once for every map: [K N, ...]. */
export function repeatPerMap(activation: Tensor, count: number): Tensor {
  if (count === 1) return activation;
  const { shape } = activation;
  return reshape(expand(reshape(activation, [1, ...shape]), [count, ...shape]), [
    count * shape[0],
    ...shape.slice(1),
  ]);
}

/** The shape of R at an activation: its own axes with the batch of the relevance. */
export const relevanceShape = (R: Tensor, activation: Tensor): Shape => [
  R.shape[0],
  ...activation.shape.slice(1),
];
