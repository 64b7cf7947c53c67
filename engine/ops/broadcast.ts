// Same numbers, other shapes: reshape, expand and its adjoint sumTo, and the sums and means built on them.
import type { KernelRequest } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import {
  broadcastStrides,
  checkShape,
  formatShape,
  isSameShape,
  normalizeAxis,
  type Shape,
  sizeOf,
  stridesOf,
} from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { copyDispatch, copyReference } from './copy-plan.ts';
import { planReduction } from './reduce-plan.ts';

interface ShapeAttrs {
  readonly shape: Shape;
}

export const reshapeOp = defineOp<ShapeAttrs>({
  name: 'reshape',
  shape([x], { shape }) {
    checkShape('reshape', shape);
    if (sizeOf(x) !== sizeOf(shape)) {
      throw new ShapeError(
        `reshape: ${formatShape(x)} has ${sizeOf(x)} elements and ${formatShape(shape)} ${sizeOf(shape)}; they must be equal`,
      );
    }
    return shape;
  },
  reference: ([x], _, out) => out.data.set(x.data),
  kernel: () => ({ steps: [] }),
  vjp: [(g, [x]) => reshape(g, x.shape)],
  examples: [{ inputs: [[2, 3]], attrs: { shape: [3, 2] } }],
  isView: true,
});

/** The same numbers under another shape; one size may be -1 and is worked out. No copy. Throws ShapeError. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((size, n) => (n === -1 ? size : size * n), 1);
  const missing = sizeOf(x.shape) / known;
  if (shape.includes(-1) && !Number.isInteger(missing)) {
    throw new ShapeError(
      `reshape: ${formatShape(x.shape)} does not fill ${formatShape(shape)}; its ${sizeOf(x.shape)} elements must be a multiple of ${known}`,
    );
  }
  const resolved = shape.map((n) => (n === -1 ? missing : n));
  return isSameShape(x.shape, resolved) ? x : apply(reshapeOp, [x], { shape: resolved });
}

export const expandOp = defineOp<ShapeAttrs>({
  name: 'expand',
  shape([x], { shape }) {
    checkShape('expand', shape);
    const lead = shape.length - x.length;
    if (lead < 0 || x.some((n, i) => n !== 1 && n !== shape[lead + i])) {
      throw new ShapeError(
        `expand: ${formatShape(x)} cannot become ${formatShape(shape)}; only axes of size 1 and new leading axes can grow`,
      );
    }
    return shape;
  },
  reference([x], { shape }, out) {
    const from = { start: 0, strides: broadcastStrides(x.shape, shape) };
    copyReference(shape, x.data, from, out.data, { start: 0, strides: stridesOf(shape) });
  },
  kernel({ inputs: [x], output, adapter }: KernelRequest<ShapeAttrs>) {
    const from = { start: 0, strides: broadcastStrides(x, output) };
    return {
      steps: [copyDispatch(output, { input: 0 }, from, { start: 0, strides: stridesOf(output) }, adapter)],
    };
  },
  vjp: [(g, [x]) => sumTo(g, x.shape)],
  examples: [
    { inputs: [[3, 1]], attrs: { shape: [2, 3, 4] } },
    { inputs: [[]], attrs: { shape: [5] } },
  ],
});

/** Repeats axes of size 1, and adds leading axes, until the shape is reached. Throws ShapeError if it cannot be. */
export function expand(x: Tensor, shape: Shape): Tensor {
  return isSameShape(x.shape, shape) ? x : apply(expandOp, [x], { shape });
}

export const reduceSumOp = defineOp<Record<string, never>>({
  name: 'reduceSum',
  shape([x]) {
    if (x.length !== 3)
      throw new ShapeError(`reduceSum: ${formatShape(x)} is not [outer, size, inner]; use sum`);
    return [x[0], x[2]];
  },
  reference([x], _, out) {
    const [outer, size, inner] = x.shape;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let total = 0;
        for (let r = 0; r < size; r++) total += x.data[(o * size + r) * inner + i];
        out.data[o * inner + i] = total;
      }
    }
  },
  kernel: (request) =>
    planReduction(
      request,
      'const START = Real(0);\nfn combine(a: Real, b: Real) -> Real { return a + b; }\n',
    ),
  vjp: [(g, [x]) => expand(reshape(g, [x.shape[0], 1, x.shape[2]]), x.shape)],
  examples: [{ inputs: [[2, 5, 3]] }, { inputs: [[1, 7, 1]] }],
});

/** Sums over runs of neighbouring axes, innermost run first, each seen as [outer, size, inner]. */
function sumAxes(x: Tensor, axes: readonly number[]): Tensor {
  let result = x;
  const shape = [...x.shape];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (!axes.includes(axis)) continue;
    let first = axis;
    while (first > 0 && axes.includes(first - 1)) first--;
    const size = sizeOf(shape.slice(first, axis + 1));
    shape.fill(1, first, axis + 1);
    if (size !== 1) {
      const inner = sizeOf(shape.slice(axis + 1));
      result = apply(reduceSumOp, [reshape(result, [sizeOf(shape.slice(0, first)), size, inner])], {});
    }
    axis = first;
  }
  return reshape(result, shape);
}

/** Options of sums, means and maxima. */
export interface ReduceOptions {
  /** Keep the summed axes with size 1; default false. */
  readonly keepDims?: boolean;
}

/** Sum over `axes` (all by default). Throws ShapeError for an axis that x does not have. */
export function sum(x: Tensor, axes?: readonly number[], { keepDims = false }: ReduceOptions = {}): Tensor {
  const chosen = (axes ?? x.shape.map((_, i) => i)).map((axis) => normalizeAxis('sum', axis, x.shape.length));
  const kept = sumAxes(x, chosen);
  return keepDims
    ? kept
    : reshape(
        kept,
        x.shape.filter((_, i) => !chosen.includes(i)),
      );
}

/** Adjoint of `expand`: sums the axes along which `shape` is smaller. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (isSameShape(x.shape, shape)) return x;
  const lead = x.shape.length - shape.length;
  const axes = x.shape
    .map((_, i) => i)
    .filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  return reshape(sumAxes(x, axes), shape);
}
