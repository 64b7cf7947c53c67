// Whether a tensor is known to hold no negative number, because of how it was made. Rules that treat the two signs of their
// input apart need only one half then: behind a ReLU, which is nearly everywhere, they cost half as much.
import type { Tensor } from '../engine/tensor.ts';

/** Ops whose results are never below 0, whatever they are given. */
const rectifying: ReadonlySet<string> = new Set([
  'relu',
  'abs',
  'square',
  'sigmoid',
  'softplus',
  'softmax',
  'step',
  'dropoutMask',
]);

/** Ops that make no negative number of numbers that are not. */
const preserving: ReadonlySet<string> = new Set([
  'add',
  'mul',
  'reshape',
  'permute',
  'expand',
  'concat',
  'slice',
  'pad',
  'avgPool',
  'maximum',
]);

/** Ops that pick among the numbers of their first input; the others are places. */
const picking: ReadonlySet<string> = new Set(['poolGather', 'gather']);

/** Whether no element of t can be below 0. False where nothing is known, such as for an image. NaN is not asked about. */
export function isRectified(t: Tensor): boolean {
  const { origin } = t;
  if (!origin) return false;
  const { op, inputs } = origin;
  if (rectifying.has(op.name)) return true;
  if (picking.has(op.name)) return isRectified(inputs[0]);
  return preserving.has(op.name) && inputs.every(isRectified);
}
