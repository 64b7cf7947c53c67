// Ops that address elements by number: gather and its adjoint, one-hot rows, and choice by a mask.
import { constant } from '../create.ts';
import { ShapeError } from '../errors.ts';
import { planMap } from '../map-kernel.ts';
import { apply, defineOp } from '../op.ts';
import {
  broadcastShapes,
  formatShape,
  INDEX_LIMIT,
  isSameShape,
  normalizeAxis,
  type Shape,
  sizeOf,
  stridesOf,
} from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type Operand, operandsOf } from './arithmetic.ts';
import { expand } from './broadcast.ts';
import { gatherDispatch, type Lines, pickReference } from './pick.ts';
import { spanOf } from './span.ts';

interface AxisAttrs {
  readonly axis: number;
}

function checkIndices(where: string, x: Shape, indices: Shape, axis: number): void {
  if (x.length !== indices.length || x.some((n, i) => i !== axis && n !== indices[i])) {
    throw new ShapeError(
      `${where}: ${formatShape(x)} and indices ${formatShape(indices)} differ outside axis ${axis}; all other sizes must be equal`,
    );
  }
}

/** Beyond this two places would have the same index. */
function checkAddressable(where: string, size: number): void {
  if (size > INDEX_LIMIT) {
    throw new ShapeError(
      `${where}: size ${size}; indices are f32 numbers, which are exact up to ${INDEX_LIMIT} only: split the axis`,
    );
  }
}

/** The lines of x along an axis. */
const linesOf = (x: Shape, axis: number, count: number): Lines => ({
  size: x[axis],
  count,
  inner: sizeOf(x.slice(axis + 1)),
});

export const gatherOp = defineOp<AxisAttrs>({
  name: 'gather',
  shape([x, indices], { axis }) {
    checkIndices('gather', x, indices, axis);
    return indices;
  },
  reference: ([x, indices], { axis }, out) =>
    pickReference(x.data, indices.data, linesOf(x.shape, axis, out.shape[axis]), out.data),
  kernel: ({ inputs: [x], output, attrs: { axis }, adapter }) => ({
    steps: [gatherDispatch(linesOf(x, axis, output[axis]), sizeOf(output), adapter)],
  }),
  vjp: [
    (g, [x, indices], _, { axis }) => scatterAdd(g, indices, axis, x.shape[axis]),
    null, // an index is a whole number: nothing between two of them
  ],
  examples: [
    {
      inputs: [
        [2, 3, 2],
        [2, 2, 2],
      ],
      attrs: { axis: 1 },
      fixed: { 1: [0, 2, 0, 1, 2, 2, 1, 0] },
    },
    { inputs: [[5], [7]], attrs: { axis: 0 }, fixed: { 1: [4, 0, 4, 3, 1, 5, -1] } },
  ],
});

/**
 * out[.., j, ..] = x[.., indices[.., j, ..], ..] along `axis`; all other sizes of x and indices are equal. An index that
 * is not in 0..size-1 gives 0 (the host cannot see it). Throws ShapeError on other sizes.
 */
export const gather = (x: Tensor, indices: Tensor, axis: number): Tensor =>
  apply(gatherOp, [x, indices], { axis: normalizeAxis('gather', axis, x.shape.length) });

interface ScatterAttrs extends AxisAttrs {
  /** Size of the axis that comes out. */
  readonly size: number;
}

export const scatterAddOp = defineOp<ScatterAttrs>({
  name: 'scatterAdd',
  shape([g, indices], { axis, size }) {
    if (!isSameShape(g, indices)) {
      throw new ShapeError(
        `scatterAdd: values are ${formatShape(g)} and indices ${formatShape(indices)}; they must be equal`,
      );
    }
    if (!Number.isInteger(size) || size < 0) {
      throw new ShapeError(`scatterAdd: ${size} is no size of axis ${axis}; pass a whole number from 0 up`);
    }
    checkAddressable('scatterAdd', size);
    return g.map((n, i) => (i === axis ? size : n));
  },
  reference([g, indices], { axis, size }, out) {
    const { count, inner } = linesOf(out.shape, axis, g.shape[axis]);
    out.data.fill(0);
    for (let item = 0; item < g.data.length; item++) {
      const index = indices.data[item];
      const outer = Math.floor(item / (count * inner));
      if (index >= 0 && index < size)
        out.data[(outer * size + index) * inner + (item % inner)] += g.data[item];
    }
  },
  kernel({ inputs: [g], output, attrs: { axis, size }, adapter }) {
    const { count, inner } = linesOf(output, axis, g[axis]);
    const { prelude, params, workgroups } = spanOf(sizeOf(output), adapter);
    const operands = [{ input: 0 }, { input: 1 }, 'output'] as const;
    const fields = { ...params, size, index_count: count, inner };
    return { steps: [{ shader: 'scatter_add', prelude, params: fields, operands, workgroups }] };
  },
  vjp: [
    (g, [, indices], _, { axis }) => gather(g, indices, axis),
    null, // as in gather
  ],
  examples: [
    {
      inputs: [
        [2, 2, 2],
        [2, 2, 2],
      ],
      attrs: { axis: 1, size: 3 },
      fixed: { 1: [0, 2, 0, 1, 2, 2, 1, 0] },
    },
    { inputs: [[7], [7]], attrs: { axis: 0, size: 5 }, fixed: { 1: [4, 0, 4, 3, 1, 5, -1] } },
  ],
});

/**
 * Adjoint of `gather`: zeros with g added at its indices along `axis`, which gets `size` elements; an index that is not
 * in 0..size-1 adds nothing. Every result reads all indices of its line, so lines of many indices are slow. Throws
 * ShapeError.
 */
export const scatterAdd = (g: Tensor, indices: Tensor, axis: number, size: number): Tensor =>
  apply(scatterAddOp, [g, indices], { axis: normalizeAxis('scatterAdd', axis, g.shape.length), size });

interface DepthAttrs {
  readonly depth: number;
}

export const oneHotOp = defineOp<DepthAttrs>({
  name: 'oneHot',
  shape([indices], { depth }) {
    if (!Number.isInteger(depth) || depth < 1) {
      throw new ShapeError(`oneHot: depth ${depth} is no size; pass a whole number from 1 up`);
    }
    checkAddressable('oneHot', depth);
    return [...indices, depth];
  },
  reference([indices], { depth }, out) {
    for (let i = 0; i < out.data.length; i++)
      out.data[i] = indices.data[Math.floor(i / depth)] === i % depth ? 1 : 0;
  },
  kernel({ output, attrs: { depth }, adapter }) {
    const { prelude, params, workgroups } = spanOf(sizeOf(output), adapter);
    const operands = [{ input: 0 }, 'output'] as const;
    return { steps: [{ shader: 'one_hot', prelude, params: { ...params, depth }, operands, workgroups }] };
  },
  vjp: [null], // an index is a whole number
  examples: [
    { inputs: [[2, 2]], attrs: { depth: 3 }, fixed: { 0: [2, 0, 1, 2] } },
    { inputs: [[3]], attrs: { depth: 5 }, fixed: { 0: [4, 5, -1] } },
  ],
});

/**
 * Rows [.., depth] with 1 at each index and 0 elsewhere; a row of zeros where the index is not in 0..depth-1. Throws
 * ShapeError for a depth that is no size.
 */
export const oneHot = (indices: Tensor, depth: number): Tensor => apply(oneHotOp, [indices], { depth });

export const whereOp = defineOp<Record<string, never>>({
  name: 'where',
  shape([mask, a, b]) {
    if (!isSameShape(mask, a) || !isSameShape(a, b)) {
      throw new ShapeError(
        `where: ${[mask, a, b].map(formatShape).join(', ')} differ; mask and values must have one shape`,
      );
    }
    return a;
  },
  reference([mask, a, b], _, out) {
    for (let i = 0; i < out.data.length; i++) out.data[i] = mask.data[i] !== 0 ? a.data[i] : b.data[i];
  },
  kernel({ output, adapter }) {
    const own = stridesOf(output);
    // Not mask != 0, which is false for NaN in some compilers: a NaN in the mask is not 0.
    const body = 'return select(a, b, mask == Vec(0));';
    const map = { parameters: ['mask', 'a', 'b'], body, functions: '', strides: [own, own, own] };
    return planMap(map, output, adapter);
  },
  vjp: [
    null, // a mask only switches
    (g, [mask]) => where(mask, g, 0),
    (g, [mask]) => where(mask, 0, g),
  ],
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      fixed: { 0: [1, 0, 0, 1, 1, 0] },
    },
    { inputs: [[5], [5], [5]], fixed: { 0: [0, 0, 1, -2, 0] } },
  ],
});

/** a where the mask is not 0, else b; all three broadcast, or ShapeError. What is not chosen leaves no trace, not even NaN. */
export function where(mask: Tensor, a: Operand, b: Operand): Tensor {
  const [left, right] = operandsOf(typeof a === 'number' ? constant(mask.device, a) : a, b);
  const shape = broadcastShapes('where', broadcastShapes('where', left.shape, right.shape), mask.shape);
  const inputs = [mask, left, right].map((t) => expand(t, shape));
  return apply(whereOp, inputs, {});
}
