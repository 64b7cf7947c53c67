// Ops that only move numbers: permute; slice and its adjoint pad; concat.
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, isSameShape, normalizeAxis, type Shape, stridesOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { copyReference, copyStep, type Layout } from './copy-plan.ts';

interface PermuteAttrs {
  readonly order: readonly number[];
}

const packed = (shape: Shape): Layout => ({ start: 0, strides: stridesOf(shape) });

function permutedLayout(x: Shape, order: readonly number[]): Layout {
  const strides = stridesOf(x);
  return { start: 0, strides: order.map((axis) => strides[axis]) };
}

export const permuteOp = defineOp<PermuteAttrs>({
  name: 'permute',
  shape([x], { order }) {
    if (
      order.length !== x.length ||
      new Set(order).size !== x.length ||
      order.some((a) => x[a] === undefined)
    ) {
      throw new ShapeError(
        `permute: [${order}] does not order the axes of ${formatShape(x)}; name each axis once`,
      );
    }
    return order.map((axis) => x[axis]);
  },
  reference: ([x], { order }, out) =>
    copyReference(out.shape, x.data, permutedLayout(x.shape, order), out.data, packed(out.shape)),
  kernel: ({ inputs: [x], output, attrs: { order }, adapter }) => ({
    steps: [copyStep(output, { input: 0 }, permutedLayout(x, order), packed(output), adapter)],
  }),
  vjp: [
    (g, _, __, { order }) =>
      permute(
        g,
        order.map((_, axis) => order.indexOf(axis)),
      ),
  ],
  examples: [
    { inputs: [[2, 3, 4]], attrs: { order: [2, 0, 1] } },
    // Runs of whole vec4s, and runs that are none.
    { inputs: [[2, 3, 8]], attrs: { order: [1, 0, 2] } },
    { inputs: [[2, 3, 6]], attrs: { order: [1, 0, 2] } },
  ],
});

/** Reorders axes: out.shape[i] = x.shape[order[i]]. Throws ShapeError unless each axis is named once. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  return order.every((axis, i) => axis === i) && order.length === x.shape.length
    ? x
    : apply(permuteOp, [x], { order });
}

interface BoxAttrs {
  /** First index along each axis. */
  readonly starts: readonly number[];
  readonly shape: Shape;
}

/** Layout of the box that begins at `starts` inside a packed tensor. */
function boxLayout(whole: Shape, starts: readonly number[]): Layout {
  const strides = stridesOf(whole);
  return { start: starts.reduce((flat, n, axis) => flat + n * strides[axis], 0), strides };
}

function checkBox(where: string, whole: Shape, starts: readonly number[], box: Shape): void {
  const fits =
    starts.length === whole.length &&
    box.length === whole.length &&
    [...starts, ...box, ...whole].every((n) => Number.isInteger(n) && n >= 0) &&
    whole.every((n, axis) => starts[axis] + box[axis] <= n);
  if (!fits) {
    throw new ShapeError(
      `${where}: box ${formatShape(box)} at [${starts.join(', ')}] does not lie in ${formatShape(whole)}; give one start and size per axis`,
    );
  }
}

/** Whether the box is the whole tensor. A wrong start is not: it must reach the op, to be refused there. */
const isWhole = (x: Tensor, starts: readonly number[], shape: Shape): boolean =>
  isSameShape(x.shape, shape) && starts.length === shape.length && starts.every((n) => n === 0);

export const sliceOp = defineOp<BoxAttrs>({
  name: 'slice',
  shape([x], { starts, shape }) {
    checkBox('slice', x, starts, shape);
    return shape;
  },
  reference: ([x], { starts }, out) =>
    copyReference(out.shape, x.data, boxLayout(x.shape, starts), out.data, packed(out.shape)),
  kernel: ({ inputs: [x], output, attrs: { starts }, adapter }) => ({
    steps: [copyStep(output, { input: 0 }, boxLayout(x, starts), packed(output), adapter)],
  }),
  vjp: [(g, [x], _, { starts }) => pad(g, starts, x.shape)],
  examples: [
    { inputs: [[4, 5]], attrs: { starts: [1, 2], shape: [2, 3] } },
    // Whole vec4s at both ends, and a start amid one.
    { inputs: [[3, 12]], attrs: { starts: [1, 4], shape: [2, 8] } },
    { inputs: [[3, 12]], attrs: { starts: [1, 2], shape: [2, 8] } },
  ],
});

/** The box [shape] that begins at index `starts`. Throws ShapeError when it leaves the tensor. */
export function slice(x: Tensor, starts: readonly number[], shape: Shape): Tensor {
  return isWhole(x, starts, shape) ? x : apply(sliceOp, [x], { starts, shape });
}

export const padOp = defineOp<BoxAttrs>({
  name: 'pad',
  shape([x], { starts, shape }) {
    checkBox('pad', shape, starts, x);
    return shape;
  },
  reference: ([x], { starts }, out) =>
    copyReference(x.shape, x.data, packed(x.shape), out.data, boxLayout(out.shape, starts)),
  kernel: ({ inputs: [x], output, attrs: { starts }, adapter }) => ({
    steps: [{ clear: 'output' }, copyStep(x, { input: 0 }, packed(x), boxLayout(output, starts), adapter)],
  }),
  vjp: [(g, [x], _, { starts }) => slice(g, starts, x.shape)],
  examples: [
    { inputs: [[2, 3]], attrs: { starts: [1, 0], shape: [4, 5] } },
    { inputs: [[2, 4]], attrs: { starts: [1, 4], shape: [3, 8] } },
  ],
});

/** Zeros [shape] with x laid in at index `starts`: the adjoint of `slice`. Throws ShapeError when x does not fit in. */
export function pad(x: Tensor, starts: readonly number[], shape: Shape): Tensor {
  return isWhole(x, starts, shape) ? x : apply(padOp, [x], { starts, shape });
}

interface ConcatAttrs {
  readonly axis: number;
}

/** First index of each part along the axis. */
function offsetsOf(parts: readonly Shape[], axis: number): number[] {
  let offset = 0;
  return parts.map((part) => {
    const start = offset;
    offset += part[axis];
    return start;
  });
}

const startsAt = (rank: number, axis: number, start: number): number[] =>
  Array.from({ length: rank }, (_, i) => (i === axis ? start : 0));

export const concatOp = defineOp<ConcatAttrs>({
  name: 'concat',
  shape(parts, { axis }) {
    const [first] = parts;
    const fits = parts.every(
      (part) => part.length === first.length && part.every((n, i) => i === axis || n === first[i]),
    );
    if (!fits) {
      throw new ShapeError(
        `concat: ${parts.map(formatShape).join(', ')} differ outside axis ${axis}; all other sizes must be equal`,
      );
    }
    return first.map((n, i) => (i === axis ? parts.reduce((sum, part) => sum + part[axis], 0) : n));
  },
  reference(parts, { axis }, out) {
    const offsets = offsetsOf(
      parts.map((part) => part.shape),
      axis,
    );
    parts.forEach(({ shape, data }, i) => {
      const to = boxLayout(out.shape, startsAt(shape.length, axis, offsets[i]));
      copyReference(shape, data, packed(shape), out.data, to);
    });
  },
  kernel({ inputs, output, attrs: { axis }, adapter }) {
    const offsets = offsetsOf(inputs, axis);
    const steps = inputs.map((part, i) => {
      const to = boxLayout(output, startsAt(part.length, axis, offsets[i]));
      return copyStep(part, { input: i }, packed(part), to, adapter);
    });
    return { steps };
  },
  vjp: [
    (g, parts, _, { axis }, index) => {
      const { shape } = parts[index];
      const offset = offsetsOf(
        parts.map((part) => part.shape),
        axis,
      )[index];
      return slice(g, startsAt(shape.length, axis, offset), shape);
    },
  ],
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 1],
        [2, 4],
      ],
      attrs: { axis: 1 },
    },
    {
      inputs: [
        [1, 3],
        [2, 3],
      ],
      attrs: { axis: 0 },
    },
  ],
});

/** Joins tensors along `axis`. Throws ShapeError when other sizes differ, or there is nothing to join. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  if (parts.length === 0) throw new ShapeError('concat: there are no tensors; pass at least one');
  const along = normalizeAxis('concat', axis, parts[0].shape.length);
  return parts.length === 1 ? parts[0] : apply(concatOp, parts, { axis: along });
}
