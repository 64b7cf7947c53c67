// Same numbers, other shapes: reshape, expand and its adjoint sumTo, and sums over axes.
import type { KernelRequest } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { planMap } from '../map-kernel.ts';
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
import { copyReference } from './copy-plan.ts';
import { planReduction, reduceReference } from './reduce-plan.ts';

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
    const strides = [broadcastStrides(x, output)];
    return planMap({ parameters: ['x'], body: 'return x;', functions: '', strides }, output, adapter);
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

interface AxesAttrs {
  /** Axes that are summed, rising. */
  readonly axes: readonly number[];
}

/** The axes as whole numbers from 0, rising, each once. Throws ShapeError for one that there is not. */
export function sortedAxes(where: string, axes: readonly number[], rank: number): number[] {
  return [...new Set(axes.map((axis) => normalizeAxis(where, axis, rank)))].sort((a, b) => a - b);
}

/** The shape with size 1 for the axes, or without them. */
export const reducedShape = (shape: Shape, axes: readonly number[], keepDims: boolean): Shape =>
  keepDims
    ? shape.map((n, axis) => (axes.includes(axis) ? 1 : n))
    : shape.filter((_, axis) => !axes.includes(axis));

export const reduceSumOp = defineOp<AxesAttrs>({
  name: 'reduceSum',
  shape: ([x], { axes }) => reducedShape(x, axes, false),
  reference([x], { axes }, out) {
    reduceReference({ box: x.shape, axes, strides: [stridesOf(x.shape)] }, [x.data], out.data);
  },
  kernel: ({ inputs: [x], attrs: { axes }, adapter }) =>
    planReduction('reduceSum', { box: x, axes, strides: [stridesOf(x)] }, adapter),
  vjp: [(g, [x], _, { axes }) => expand(reshape(g, reducedShape(x.shape, axes, true)), x.shape)],
  examples: [
    { inputs: [[2, 5, 3]], attrs: { axes: [1] } },
    { inputs: [[7]], attrs: { axes: [0] } },
    // Four at a time: along the summed axis, and beside each other.
    { inputs: [[3, 2, 8]], attrs: { axes: [0, 2] } },
    { inputs: [[5, 3, 4]], attrs: { axes: [0] } },
  ],
});

/** Sums with the axes kept as size 1. */
function sumAxes(x: Tensor, axes: readonly number[]): Tensor {
  const long = axes.filter((axis) => x.shape[axis] !== 1);
  const total = long.length === 0 ? x : apply(reduceSumOp, [x], { axes: long });
  return reshape(total, reducedShape(x.shape, axes, true));
}

/** Options of sums, means and maxima. */
export interface ReduceOptions {
  /** Keep the summed axes with size 1; default false. */
  readonly keepDims?: boolean;
}

/** Sum over `axes` (all by default). Throws ShapeError for an axis that x does not have. */
export function sum(x: Tensor, axes?: readonly number[], { keepDims = false }: ReduceOptions = {}): Tensor {
  const chosen = sortedAxes('sum', axes ?? [...x.shape.keys()], x.shape.length);
  return reshape(sumAxes(x, chosen), reducedShape(x.shape, chosen, keepDims));
}

/** Adjoint of `expand`: sums the axes along which `shape` is smaller. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (isSameShape(x.shape, shape)) return x;
  return reshape(sumAxes(x, broadcastAxes(shape, x.shape)), shape);
}

/** Axes of `to` along which a tensor of shape `from` repeats when it broadcasts to it. */
export function broadcastAxes(from: Shape, to: Shape): number[] {
  const lead = to.length - from.length;
  return [...to.keys()].filter((i) => i < lead || (from[i - lead] === 1 && to[i] !== 1));
}
