// The kernel plan behind every op that only moves numbers: a copy between two strided boxes.
import type { AdapterProfile, Copy, Dispatch, Operand } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import { spanOf } from './span.ts';

/** Where a box lies in a buffer: flat index of its first element, and the step along each axis. Steps may be negative. */
export interface Layout {
  readonly start: number;
  readonly strides: readonly number[];
}

const MAX_RANK = 6;

/** Drops axes of size 1 and merges neighbours that both layouts walk through in one stride. */
function collapse(box: Shape, from: Layout, to: Layout): { box: number[]; from: number[]; to: number[] } {
  const merged = { box: [] as number[], from: [] as number[], to: [] as number[] };
  box.forEach((n, axis) => {
    if (n === 1) return;
    const last = merged.box.length - 1;
    const x = from.strides[axis];
    const y = to.strides[axis];
    if (last >= 0 && merged.from[last] === x * n && merged.to[last] === y * n) {
      merged.box[last] *= n;
      merged.from[last] = x;
      merged.to[last] = y;
    } else {
      merged.box.push(n);
      merged.from.push(x);
      merged.to.push(y);
    }
  });
  return merged;
}

/** The same copy in items of four neighbours, if both layouts have them: every four must be a vec4 of its buffer. */
function inFours(
  box: readonly number[],
  layouts: readonly Layout[],
): { box: number[]; layouts: Layout[] } | null {
  const last = box.length - 1;
  const areVec4s = layouts.every(
    ({ start, strides }) =>
      start % 4 === 0 && strides.every((n, axis) => (axis === last ? n === 1 : n % 4 === 0)),
  );
  if (!areVec4s || box[last] % 4 !== 0) return null;
  return {
    box: box.map((n, axis) => (axis === last ? n / 4 : n)),
    layouts: layouts.map(({ start, strides }) => ({
      start: start / 4,
      strides: strides.map((n, axis) => (axis === last ? 1 : n / 4)),
    })),
  };
}

/**
 * One step that copies the box [shape] from `operand` to the output: a plain copy where both layouts are one run of
 * neighbours, which needs no kernel, and a dispatch elsewhere. Throws ShapeError beyond 6 true axes.
 */
export function copyStep(
  box: Shape,
  operand: Operand,
  from: Layout,
  to: Layout,
  adapter: AdapterProfile,
): Dispatch | Copy {
  const flat = collapse(box, from, to);
  const rank = flat.box.length;
  const isRun = rank === 0 || (rank === 1 && flat.from[0] === 1 && flat.to[0] === 1);
  if (isRun) return { copy: operand, from: from.start, to: to.start, count: sizeOf(box) };
  if (rank > MAX_RANK) {
    throw new ShapeError(
      `copy: ${formatShape(box)} has more than ${MAX_RANK} axes that do not merge; reshape first`,
    );
  }
  const layouts = [
    { start: from.start, strides: flat.from },
    { start: to.start, strides: flat.to },
  ];
  const fours = inFours(flat.box, layouts);
  const items = fours ?? { box: flat.box, layouts };
  const [x, out] = items.layouts;
  const { prelude, params, workgroups } = spanOf(sizeOf(items.box), adapter);
  const fields: Record<string, number> = { ...params, x_start: x.start, out_start: out.start };
  for (let axis = 0; axis < MAX_RANK; axis++) {
    if (axis > 0) fields[`n${axis}`] = items.box[axis] ?? 1;
    fields[`x${axis}`] = x.strides[axis] ?? 0;
    fields[`out${axis}`] = out.strides[axis] ?? 0;
  }
  const item = fours ? 'vec4<Real>' : 'Real';
  const consts = `${prelude}alias Item = ${item};\nconst RANK = ${Math.max(1, rank)};\n`;
  return {
    shader: 'copy_strided',
    prelude: consts,
    params: fields,
    operands: [operand, 'output'],
    workgroups,
  };
}

/** The same copy on the CPU. */
export function copyReference(
  box: Shape,
  x: Float64Array,
  from: Layout,
  out: Float64Array,
  to: Layout,
  combine: (before: number, value: number) => number = (_, value) => value,
): void {
  const index = new Array<number>(box.length).fill(0);
  const count = sizeOf(box);
  let source = from.start;
  let target = to.start;
  for (let i = 0; i < count; i++) {
    out[target] = combine(out[target], x[source]);
    for (let axis = box.length - 1; axis >= 0; axis--) {
      source += from.strides[axis];
      target += to.strides[axis];
      if (++index[axis] < box[axis]) break;
      source -= from.strides[axis] * box[axis];
      target -= to.strides[axis] * box[axis];
      index[axis] = 0;
    }
  }
}
