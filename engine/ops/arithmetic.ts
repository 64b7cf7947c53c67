// Arithmetic: elementwise ops, which take tensors or numbers and broadcast, sums of products, and means.
import { constant } from '../create.ts';
import { UsageError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { broadcastShapes, broadcastStrides, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import {
  broadcastAxes,
  expand,
  type ReduceOptions,
  reducedShape,
  reshape,
  sortedAxes,
  sum,
  sumTo,
} from './broadcast.ts';
import { binaryOp, unaryOp } from './elementwise.ts';
import { planReduction, type Reduction, reduceReference } from './reduce-plan.ts';

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
  vjp: [(g, [a, b]) => sumProductTo(g, b, a.shape), (g, [a, b]) => sumProductTo(g, a, b.shape)],
});

interface AxesAttrs {
  /** Axes of the common shape that are summed, rising. */
  readonly axes: readonly number[];
}

/** The sum of products as the reduction kernel sees it. */
function productReduction(a: Shape, b: Shape, axes: readonly number[]): Reduction {
  const box = broadcastShapes('sumProduct', a, b);
  return { box, axes, strides: [broadcastStrides(a, box), broadcastStrides(b, box)] };
}

export const sumProductOp = defineOp<AxesAttrs>({
  name: 'sumProduct',
  shape: ([a, b], { axes }) => reducedShape(broadcastShapes('sumProduct', a, b), axes, false),
  reference([a, b], { axes }, out) {
    reduceReference(productReduction(a.shape, b.shape, axes), [a.data, b.data], out.data);
  },
  kernel: ({ inputs: [a, b], attrs: { axes }, adapter }) =>
    planReduction('sumProduct', productReduction(a, b, axes), adapter),
  vjp: [
    (g, [a, b], _, { axes }) => sumProductTo(besideTerms(g, a, b, axes), b, a.shape),
    (g, [a, b], _, { axes }) => sumProductTo(besideTerms(g, a, b, axes), a, b.shape),
  ],
  examples: [
    { inputs: [[7], [7]], attrs: { axes: [0] } },
    {
      inputs: [
        [2, 3, 8],
        [2, 1, 8],
      ],
      attrs: { axes: [1, 2] },
    },
    {
      inputs: [
        [4, 1, 3],
        [5, 1],
      ],
      attrs: { axes: [0, 2] },
    },
    {
      inputs: [
        [3, 2, 4],
        [3, 2, 4],
      ],
      attrs: { axes: [0] },
    },
  ],
});

/** The gradient of the sums in a shape that broadcasts with the terms. */
const besideTerms = (g: Tensor, a: Tensor, b: Tensor, axes: readonly number[]): Tensor =>
  reshape(g, reducedShape(broadcastShapes('sumProduct', a.shape, b.shape), axes, true));

/**
 * sum of a * b over `axes` of their common shape (all by default), without the products in memory. Throws ShapeError for
 * shapes that do not broadcast and axes that there are not.
 */
export function sumProduct(
  a: Tensor,
  b: Tensor,
  axes?: readonly number[],
  { keepDims = false }: ReduceOptions = {},
): Tensor {
  const box = broadcastShapes('sumProduct', a.shape, b.shape);
  const chosen = sortedAxes('sumProduct', axes ?? [...box.keys()], box.length);
  const long = chosen.filter((axis) => box[axis] !== 1);
  const total = long.length === 0 ? mul(a, b) : apply(sumProductOp, [a, b], { axes: long });
  return reshape(total, reducedShape(box, chosen, keepDims));
}

/** Adjoint of a broadcast factor: a * b, summed along the axes where `shape` is smaller and repeated where it is larger. */
export function sumProductTo(a: Tensor, b: Tensor, shape: Shape): Tensor {
  const box = broadcastShapes('sumProduct', a.shape, b.shape);
  const total = sumProduct(a, b, broadcastAxes(shape, box), { keepDims: true });
  return expand(reshape(total, total.shape.slice(box.length - shape.length)), shape);
}

/** a * b, elementwise */
export const mul = (a: Operand, b: Operand): Tensor => apply(mulOp, operandsOf(a, b), none);

export const divOp = binaryOp({
  name: 'div',
  reference: (a, b) => a / b,
  wgsl: 'return a / b;',
  vjp: [
    (g, [a, b]) => sumTo(div(g, b), a.shape),
    // d(a/b)/db = -(a/b)/b: the quotient is a graph node, so the second derivative sees it.
    (g, [, b], quotient) => neg(div(sumProductTo(g, quotient, b.shape), b)),
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

/** Mean of x^2 over `axes` (all by default), without the squares in memory. Throws ShapeError for an axis that x does not have. */
export function meanSquare(x: Tensor, axes?: readonly number[], options?: ReduceOptions): Tensor {
  const total = sumProduct(x, x, axes, options);
  return div(total, sizeOf(x.shape) / sizeOf(total.shape));
}

/** Mean over `axes` (all by default); NaN where there is nothing. Throws ShapeError for an axis that x does not have. */
export function mean(x: Tensor, axes?: readonly number[], options?: ReduceOptions): Tensor {
  const total = sum(x, axes, options);
  return div(total, sizeOf(x.shape) / sizeOf(total.shape));
}
