// Arithmetic on shapes: everything that can be known about a tensor before its numbers exist.
import { ShapeError } from './errors.ts';

/** Sizes of the axes, outermost first; `[]` is a scalar. Data is always contiguous and row-major. */
export type Shape = readonly number[];

/** The largest whole number up to which f32 has them all: indices must stay below. */
export const INDEX_LIMIT = 2 ** 24;

/** The whole numbers from 0 to n - 1. */
export const countTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Number of elements of a tensor of this shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const n of shape) size *= n;
  return size;
}

/** Row-major strides in elements: `[2, 3, 4] -> [12, 4, 1]`. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/** `[2, 3]`, as it stands in error messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Whether two shapes have the same sizes in the same order. */
export function isSameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** Shape of `a op b` under NumPy's broadcasting rule. Throws ShapeError when an axis differs and neither size is 1. */
export function broadcastShapes(where: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const m = a[i - rank + a.length] ?? 1;
    const n = b[i - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new ShapeError(
        `${where}: ${formatShape(a)} and ${formatShape(b)} do not broadcast; sizes must be equal or 1, aligned at the last axis`,
      );
    }
    out[i] = m === 1 ? n : m;
  }
  return out;
}

/** Strides for reading a tensor of shape `from` as if it had shape `to`: 0 along every broadcast axis. */
export function broadcastStrides(from: Shape, to: Shape): number[] {
  const own = stridesOf(from);
  const lead = to.length - from.length;
  return to.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : own[i - lead]));
}

/** Turns `-1` into the last axis and so on. Throws ShapeError when there is no such axis. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  const i = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(i) || i < 0 || i >= rank) {
    throw new ShapeError(
      `${where}: axis ${axis} is out of range for rank ${rank}; use ${-rank} to ${rank - 1}`,
    );
  }
  return i;
}

/** Throws ShapeError unless every size is a non-negative integer. */
export function checkShape(where: string, shape: Shape): void {
  if (!shape.every((n) => Number.isInteger(n) && n >= 0)) {
    throw new ShapeError(`${where}: ${formatShape(shape)} is no shape; sizes are whole numbers from 0 up`);
  }
}
