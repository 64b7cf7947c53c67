// Maxima by their place: the slope goes to the first winner, because the maximum is gathered.
import type { ShaderName } from '../../shaders/catalogue.ts';
import type { Dispatch, KernelPlan, KernelRequest } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, INDEX_LIMIT, normalizeAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type ReduceOptions, reducedShape, reshape, sortedAxes } from './broadcast.ts';
import { gather } from './indexing.ts';
import { permute } from './layout.ts';
import { beats, beatsWgsl } from './pick.ts';
import { partsOf } from './reduce-plan.ts';
import { shareRows, teamFor } from './row-teams.ts';
import { spanOf } from './span.ts';

interface AxisAttrs {
  readonly axis: number;
}

function planArgmax({ inputs: [x], output, attrs: { axis }, adapter }: KernelRequest<AxisAttrs>): KernelPlan {
  const size = x[axis];
  const inner = sizeOf(x.slice(axis + 1));
  const results = sizeOf(output);
  const team = inner === 1 && adapter.family === 'gpu' ? teamFor(size) : 1;
  // Cut in turns of the team.
  const turns = partsOf(Math.ceil(size / team), results * team, adapter);
  const fields = { size, inner, parts: turns.parts, part_size: turns.partSize * team };
  const step = (shader: ShaderName, count: number, operands: Dispatch['operands']): Dispatch => {
    const isShared = shader === 'argmax_rows';
    const { prelude, params, workgroups } = isShared
      ? shareRows(count, team, adapter)
      : spanOf(count, adapter);
    return {
      shader,
      prelude: prelude + beatsWgsl(1),
      params: { ...params, count, ...fields },
      operands,
      workgroups,
    };
  };
  const first = team > 1 ? 'argmax_rows' : 'argmax';
  if (turns.parts === 1) return { steps: [step(first, results, [{ input: 0 }, 'output'])] };
  return {
    temps: [results * turns.parts],
    steps: [
      step(first, results * turns.parts, [{ input: 0 }, { temp: 0 }]),
      step('argmax_parts', results, [{ input: 0 }, { temp: 0 }, 'output']),
    ],
  };
}

export const argmaxOp = defineOp<AxisAttrs>({
  name: 'argmax',
  shape([x], { axis }) {
    if (!(x[axis] >= 1) || x[axis] > INDEX_LIMIT) {
      throw new ShapeError(
        `argmax: axis ${axis} of ${formatShape(x)} must have 1 to 2^24 elements; f32 counts no further`,
      );
    }
    return x.filter((_, i) => i !== axis);
  },
  reference([x], { axis }, out) {
    const size = x.shape[axis];
    const inner = sizeOf(x.shape.slice(axis + 1));
    for (let item = 0; item < out.data.length; item++) {
      const start = Math.floor(item / inner) * size * inner + (item % inner);
      let winner = 0;
      for (let r = 1; r < size; r++) {
        if (beats(x.data[start + r * inner], x.data[start + winner * inner])) winner = r;
      }
      out.data[item] = winner;
    }
  },
  kernel: planArgmax,
  vjp: [null], // a place does not move with the values, except in jumps
  examples: [
    { inputs: [[2, 5, 3]], attrs: { axis: 1 } },
    { inputs: [[7]], attrs: { axis: 0 } },
    // Long enough to be cut into parts, the last one shorter.
    { inputs: [[3, 211]], attrs: { axis: 1 } },
  ],
});

/** Place of the first maximum along `axis`, which is dropped; NaN counts as the largest number. No slope. */
export const argmax = (x: Tensor, axis: number): Tensor =>
  apply(argmaxOp, [x], { axis: normalizeAxis('argmax', axis, x.shape.length) });

/** x with the chosen axes as one middle axis: [outer, size, inner]. */
function asLines(x: Tensor, chosen: readonly number[]): Tensor {
  const first = Math.min(...chosen);
  const isRun = Math.max(...chosen) - first + 1 === chosen.length;
  if (isRun) {
    const sizes = (from: number, to?: number) => sizeOf(x.shape.slice(from, to));
    const end = first + chosen.length;
    return reshape(x, [sizes(0, first), sizes(first, end), sizes(end)]);
  }
  const rest = [...x.shape.keys()].filter((axis) => !chosen.includes(axis));
  const sizeAlong = (axes: readonly number[]) => sizeOf(axes.map((axis) => x.shape[axis]));
  return reshape(permute(x, [...rest, ...chosen]), [sizeAlong(rest), sizeAlong(chosen), 1]);
}

/**
 * Maximum over `axes` (all by default). The slope goes to the first winner in row-major order, and NaN counts as the
 * largest number. Throws ShapeError when there is nothing to choose from.
 */
export function max(x: Tensor, axes?: readonly number[], { keepDims = false }: ReduceOptions = {}): Tensor {
  const chosen = sortedAxes('max', axes ?? [...x.shape.keys()], x.shape.length);
  if (chosen.length === 0) return x;
  const lines = asLines(x, chosen);
  const [outer, , inner] = lines.shape;
  const winners = reshape(argmax(lines, 1), [outer, 1, inner]);
  return reshape(gather(lines, winners, 1), reducedShape(x.shape, chosen, keepDims));
}
