// The transpose of a linear map that is given as a function: L^T s without ever running L.
import { adjoint } from './grad.ts';
import { metaTensor } from './meta-device.ts';
import type { Shape } from './shape.ts';
import type { Tensor } from './tensor.ts';

/**
 * L^T s for z = fn(x), fn affine in x (constant terms drop out). `fn` is recorded on an x [shape] without numbers, so
 * only its slopes are computed, and `shape` may have another batch than any forward pass had: relevance for several
 * classes runs through in one pass. Throws ShapeError when s does not have the shape of fn(x).
 */
export function transpose(fn: (x: Tensor) => Tensor, shape: Shape, s: Tensor): Tensor {
  const x = metaTensor(shape, s.device);
  return adjoint(fn(x), [x], s)[0];
}
