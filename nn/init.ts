// Initial parameters, by PyTorch's formulas: each is a function of the shape, so that a network can say which it wants.
import { constant, tensor } from '../engine/create.ts';
import { expand } from '../engine/ops/broadcast.ts';
import { withoutRecording } from '../engine/scope.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Init, own } from './module.ts';

/** A way to make a parameter: what layers take as `initialWeight` and `initialBias`. */
export type Initial = (init: Init, shape: Shape) => Tensor;

/** Inputs per output unit of a weight [O, I, ...]: the product of all sizes but the first. */
export function fanIn(shape: Shape): number {
  return sizeOf(shape.slice(1));
}

/** Outputs per input unit of a weight [O, I, ...]: the product of all sizes but the second. */
export function fanOut(shape: Shape): number {
  return shape[0] * sizeOf(shape.slice(2));
}

function drawn({ device, isBlank }: Init, shape: Shape, draw: () => number): Tensor {
  // Blank parameters are loaded next: drawing the weights of a VGG would take longer than loading them.
  if (isBlank || device.kind === 'meta') {
    return withoutRecording(device, () => own(expand(constant(device, 0), shape)));
  }
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = draw();
  return own(tensor(device, values, shape));
}

/** Uniform in [-bound, bound) with bound = gain sqrt(3 / fan). Default gain sqrt(2), for ReLU networks. */
export function kaimingUniform(
  init: Init,
  shape: Shape,
  { gain = Math.SQRT2, fan = fanIn(shape) } = {},
): Tensor {
  return uniformWithin(gain * Math.sqrt(3 / fan))(init, shape);
}

/** Normal with standard deviation gain / sqrt(fan). Kaiming's rule: He et al. 2015, arXiv:1502.01852 */
export function kaimingNormal(
  init: Init,
  shape: Shape,
  { gain = Math.SQRT2, fan = fanIn(shape) } = {},
): Tensor {
  return normalOf(gain / Math.sqrt(fan))(init, shape);
}

/** `kaimingNormal` by the outputs: keeps the variance of gradients instead of that of activations. */
export const kaimingNormalByOutputs: Initial = (init, shape) =>
  kaimingNormal(init, shape, { fan: fanOut(shape) });

/** Uniform in [-bound, bound) with bound = sqrt(6 / (fan in + fan out)).   Glorot and Bengio 2010 */
export const xavierUniform: Initial = (init, shape) =>
  uniformWithin(Math.sqrt(6 / (fanIn(shape) + fanOut(shape))))(init, shape);

/** Uniform in [-1 / sqrt(fan in), 1 / sqrt(fan in)): what torch.nn.Linear does unless told otherwise. */
export const linearUniform: Initial = (init, shape) =>
  uniformWithin(1 / Math.sqrt(fanIn(shape)))(init, shape);

/** Uniform in [-bound, bound). */
export const uniformWithin =
  (bound: number): Initial =>
  (init, shape) =>
    drawn(init, shape, () => bound * (2 * init.random.uniform() - 1));

/** Normal with this standard deviation. */
export const normalOf =
  (deviation: number): Initial =>
  (init, shape) =>
    drawn(init, shape, () => deviation * init.random.normal());

/** A parameter or buffer filled with one number. */
export function filled(init: Init, shape: Shape, value: number): Tensor {
  return drawn(init, shape, () => value);
}

/** Zeros. */
export const zeros: Initial = (init, shape) => filled(init, shape, 0);
