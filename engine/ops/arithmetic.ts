// Elementwise arithmetic. Every op takes tensors or numbers, and broadcasts.
import { constant } from '../create.ts';
import { UsageError } from '../errors.ts';
import { apply } from '../op.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { sum, sumTo } from './broadcast.ts';
import { binaryOp, unaryOp } from './elementwise.ts';

/** A tensor, or a number that stands for a scalar tensor. */
export type Operand = Tensor | number;

const none = {};

/** The operands as tensors of one device; numbers follow the tensor they stand beside. Throws UsageError for two numbers. */
export function operandsOf(a: Operand, b: Operand): [Tensor, Tensor] {
  if (typeof a !== 'number') return [a, typeof b === 'number' ? constant(a.device, b) : b];
  if (typeof b !== 'number') return [constant(b.device, a), b];
  throw new UsageError(`elementwise op: both operands are numbers, ${a} and ${b}; one must be a tensor`);
}

export const addOp = binaryOp({
  name: 'add',
  reference: (a, b) => a + b,
  wgsl: 'return a + b;',
  vjp: [(g, [a]) => sumTo(g, a.shape), (g, [, b]) => sumTo(g, b.shape)],
});

/** a + b */
export const add = (a: Operand, b: Operand): Tensor => apply(addOp, operandsOf(a, b), none);

export const subOp = binaryOp({
  name: 'sub',
  reference: (a, b) => a - b,
  wgsl: 'return a - b;',
  vjp: [(g, [a]) => sumTo(g, a.shape), (g, [, b]) => neg(sumTo(g, b.shape))],
});

/** a - b */
export const sub = (a: Operand, b: Operand): Tensor => apply(subOp, operandsOf(a, b), none);

export const mulOp = binaryOp({
  name: 'mul',
  reference: (a, b) => a * b,
  wgsl: 'return a * b;',
  vjp: [(g, [a, b]) => sumTo(mul(g, b), a.shape), (g, [a, b]) => sumTo(mul(g, a), b.shape)],
});

/** a * b, elementwise */
export const mul = (a: Operand, b: Operand): Tensor => apply(mulOp, operandsOf(a, b), none);

export const divOp = binaryOp({
  name: 'div',
  reference: (a, b) => a / b,
  wgsl: 'return a / b;',
  vjp: [
    (g, [a, b]) => sumTo(div(g, b), a.shape),
    // d(a/b)/db = -(a/b)/b: the quotient is a graph node, so the second derivative sees it.
    (g, [, b], quotient) => neg(sumTo(div(mul(g, quotient), b), b.shape)),
  ],
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      range: [0.5, 2],
    },
    {
      inputs: [
        [5, 1],
        [2, 1, 3],
      ],
      range: [0.5, 2],
    },
  ],
});

/** a / b, elementwise */
export const div = (a: Operand, b: Operand): Tensor => apply(divOp, operandsOf(a, b), none);

export const negOp = unaryOp({
  name: 'neg',
  reference: (x) => -x,
  wgsl: 'return -x;',
  vjp: (g) => neg(g),
});

/** -x */
export const neg = (x: Tensor): Tensor => apply(negOp, [x], none);

export const squareOp = unaryOp({
  name: 'square',
  reference: (x) => x * x,
  wgsl: 'return x * x;',
  vjp: (g, [x]) => mul(g, mul(x, 2)),
});

/** x^2 */
export const square = (x: Tensor): Tensor => apply(squareOp, [x], none);

export const sqrtOp = unaryOp({
  name: 'sqrt',
  reference: Math.sqrt,
  wgsl: 'return sqrt(x);',
  vjp: (g, _, root) => div(mul(g, 0.5), root),
  range: [0.5, 2],
});

/** Square root of x >= 0. */
export const sqrt = (x: Tensor): Tensor => apply(sqrtOp, [x], none);

/** Mean over `axes` (all by default); NaN where there is nothing. Throws ShapeError for an axis that x does not have. */
export function mean(x: Tensor, axes?: readonly number[], options?: { readonly keepDims?: boolean }): Tensor {
  const total = sum(x, axes, options);
  return div(total, sizeOf(x.shape) / sizeOf(total.shape));
}
