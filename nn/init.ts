// Initial weights: Kaiming's rules (He et al. 2015, arXiv:1502.01852), as PyTorch applies them.
import { tensor } from '../engine/create.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Init, own } from './module.ts';

/** Inputs per output unit of a weight [O, I, ...]: the product of all sizes but the first. */
function fanIn(shape: Shape): number {
  return sizeOf(shape.slice(1));
}

function drawn(init: Init, shape: Shape, draw: () => number): Tensor {
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = draw();
  return own(tensor(init.device, values, shape));
}

/** Uniform in [-bound, bound) with bound = gain sqrt(3 / fan). Default gain sqrt(2), for ReLU networks. */
export function kaimingUniform(
  init: Init,
  shape: Shape,
  { gain = Math.SQRT2, fan = fanIn(shape) } = {},
): Tensor {
  const bound = gain * Math.sqrt(3 / fan);
  return drawn(init, shape, () => bound * (2 * init.random.uniform() - 1));
}

/** Normal with standard deviation gain / sqrt(fan). */
export function kaimingNormal(
  init: Init,
  shape: Shape,
  { gain = Math.SQRT2, fan = fanIn(shape) } = {},
): Tensor {
  const deviation = gain / Math.sqrt(fan);
  return drawn(init, shape, () => deviation * init.random.normal());
}

/** A parameter or buffer filled with one number. */
export function filled(init: Init, shape: Shape, value: number): Tensor {
  return drawn(init, shape, () => value);
}
