// The kernel plan behind sums over any axes, of numbers or of products, and how long axes are shared out.
import {
  type AdapterProfile,
  type Dispatch,
  GPU_THREADS,
  type KernelPlan,
  type Operand,
} from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import { shareRows, teamFor } from './row-teams.ts';
import { spanOf } from './span.ts';

/** Below this many results a long axis is cut into parts, so that all threads have work. */
const WANTED_THREADS = { gpu: GPU_THREADS, software: 64 };
const SHORTEST_PART = 64;
/** Terms from which on a sum does not fit the cache of a core. */
const LARGE = 2 ** 16;

/** Into how many parts an axis is cut, and how long they are (the last may be shorter), when there are `results` such axes. */
export function partsOf(
  size: number,
  results: number,
  adapter: AdapterProfile,
): { readonly parts: number; readonly partSize: number } {
  const wanted = Math.floor(WANTED_THREADS[adapter.family] / Math.max(1, results));
  const partSize = Math.ceil(size / Math.max(1, Math.min(wanted, Math.floor(size / SHORTEST_PART))));
  // Counted back from the size of a part, so that no part is empty, unless the axis is.
  return { parts: size === 0 ? 1 : Math.ceil(size / partSize), partSize };
}

/** A box of terms: its shape, which axes are summed, and how the operands (one, or two that are multiplied) lie in it. */
export interface Reduction {
  readonly box: Shape;
  readonly axes: readonly number[];
  /** Strides of each operand along the axes of the box. */
  readonly strides: readonly (readonly number[])[];
}

interface Axis {
  size: number;
  readonly isSummed: boolean;
  /** Of each operand. */
  strides: readonly number[];
}

const AXIS_LIMIT = 3;

/** The axes of the box, without those of size 1, and neighbours as one where all operands walk on evenly. */
function collapse({ box, axes, strides }: Reduction): Axis[] {
  const merged: Axis[] = [];
  box.forEach((size, axis) => {
    if (size === 1) return;
    const own = strides.map((of) => of[axis]);
    const isSummed = axes.includes(axis);
    const last = merged.at(-1);
    if (last?.isSummed === isSummed && own.every((stride, i) => last.strides[i] === stride * size)) {
      last.size *= size;
      last.strides = own;
    } else merged.push({ size, isSummed, strides: own });
  });
  return merged;
}

/** The same axes counted in items of four numbers, if they can be: the innermost must run on evenly, in fours. */
function inFours(axes: readonly Axis[]): Axis[] | null {
  const last = axes.at(-1);
  if (!last || last.size % 4 !== 0 || last.strides.some((stride) => stride !== 1)) return null;
  const outer = axes.slice(0, -1);
  if (outer.some(({ strides }) => strides.some((stride) => stride % 4 !== 0))) return null;
  const quarter = outer.map((axis) => ({ ...axis, strides: axis.strides.map((stride) => stride / 4) }));
  return [...quarter, { ...last, size: last.size / 4 }];
}

/** Sizes and strides by the kernel's names; missing axes have the size 1. */
function axisFields(kept: readonly Axis[], summed: readonly Axis[]): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const [size, stride, axes] of [
    ['k', 'kept', [kept[0], ...aligned(kept.slice(1), AXIS_LIMIT - 1)]],
    ['q', 'summed', aligned(summed, AXIS_LIMIT)],
  ] as const) {
    axes.forEach((own, axis) => {
      if (axis > 0) fields[`${size}${axis}`] = own?.size ?? 1;
      fields[`a_${stride}${axis}`] = own?.strides[0] ?? 0;
      fields[`b_${stride}${axis}`] = own?.strides[1] ?? 0;
    });
  }
  return fields;
}

/** As many axes as wanted, the innermost last. */
const aligned = (axes: readonly Axis[], count: number): (Axis | undefined)[] => [
  ...new Array<undefined>(count - axes.length).fill(undefined),
  ...axes,
];

/** How the terms of a sum are cut into parts; see reduce.wgsl. */
interface Cut {
  readonly parts: number;
  readonly partSize: number;
  readonly lanes: number;
}

function cut(sums: number, summed: readonly Axis[], isInner: boolean, adapter: AdapterProfile): Cut {
  const size = sizeOf(summed.map((axis) => axis.size));
  const { parts, partSize } = partsOf(size, sums, adapter);
  if (!isInner && adapter.family === 'software' && sums * size >= LARGE) {
    // Down long columns every number lies in another page of memory: few rows at a time stay in the cache.
    return { parts: Math.ceil(size / SHORTEST_PART), partSize: SHORTEST_PART, lanes: 1 };
  }
  if (parts === 1 || !isInner) return { parts, partSize, lanes: 1 };
  // Threads side by side read numbers side by side: those of a subgroup. GPUs have teams for it.
  const lanes = Math.max(4, adapter.subgroupSize);
  if (summed.length > 1 || parts < lanes) return { parts, partSize, lanes: 1 };
  const bundleSize = Math.ceil(size / Math.floor(parts / lanes));
  const share = Math.ceil(bundleSize / lanes);
  return { parts: Math.ceil(size / (share * lanes)) * lanes, partSize: share, lanes };
}

/** WGSL: where sum `o` begins, and run `run` of it from there: a run goes along the innermost summed axis, number 2. */
const PLACES = `fn kept_at(o: u32) -> vec2u {
  // The innermost axis is number 2; the outermost takes what is left.
  var rest = o;
  var i = vec2u(0u);
  if (params.k2 > 1u) {
    i += (rest % params.k2) * vec2u(params.a_kept2, params.b_kept2);
    rest /= params.k2;
  }
  if (params.k1 > 1u) {
    i += (rest % params.k1) * vec2u(params.a_kept1, params.b_kept1);
    rest /= params.k1;
  }
  return i + rest * vec2u(params.a_kept0, params.b_kept0);
}
fn run_at(run: u32) -> vec2u {
  let i0 = run / params.q1;
  let i1 = run - i0 * params.q1;
  return i0 * vec2u(params.a_summed0, params.b_summed0)
    + i1 * vec2u(params.a_summed1, params.b_summed1);
}
`;

/** Along what the kernel's threads are shared out, and how terms are cut: the same fields but for teams. */
function launchOf(
  sums: number,
  size: number,
  summed: readonly Axis[],
  isInner: boolean,
  adapter: AdapterProfile,
) {
  if (isInner && adapter.family === 'gpu' && size > 0) {
    const team = teamFor(size);
    // In turns of the team, which is as long as a part's lines are.
    const turns = partsOf(Math.ceil(size / team), sums * team, adapter);
    const [parts, partSize] = [turns.parts, turns.partSize * team];
    const { prelude, params, workgroups } = shareRows(sums * parts, team, adapter);
    const fields = { ...params, count: sums * parts, parts, part_size: partSize, size };
    return { shader: 'reduce_rows', prelude, params: fields, workgroups, parts } as const;
  }
  const { parts, partSize, lanes } = cut(sums, summed, isInner, adapter);
  const { prelude, params, workgroups } = spanOf(sums * parts, adapter);
  const cutFields = { sums, parts, part_size: partSize, lanes, size, is_part_inner: Number(isInner) };
  return { shader: 'reduce', prelude, params: { ...params, ...cutFields }, workgroups, parts } as const;
}

const numbers = (count: number): string => (count === 4 ? 'vec4<Real>' : 'Real');

/** Sums over the axes: of the numbers in `from`, or of the products of two such. Parts go to temporary buffers. */
function passes(
  where: string,
  reduction: Reduction,
  from: readonly Operand[],
  firstTemp: number,
  adapter: AdapterProfile,
): { steps: Dispatch[]; temps: number[] } {
  const plain = collapse(reduction);
  const fours = inFours(plain);
  const axes = fours ?? plain;
  const kept = axes.filter(({ isSummed }) => !isSummed);
  const summed = axes.filter(({ isSummed }) => isSummed);
  if (Math.max(kept.length, summed.length) > AXIS_LIMIT) {
    throw new ShapeError(
      `${where}: axes [${reduction.axes}] of ${formatShape(reduction.box)} alternate with more than ${AXIS_LIMIT} runs of others; sum in two steps`,
    );
  }
  const isInner = axes.at(-1)?.isSummed ?? true;
  const sums = sizeOf(kept.map(({ size }) => size));
  const size = sizeOf(summed.map((axis) => axis.size));
  const { shader, prelude, params, workgroups, parts } = launchOf(sums, size, summed, isInner, adapter);
  // Where terms come in fours, four of a sum become one number, or four sums stay side by side.
  const isFolded = fours !== null && isInner;
  const numbersPerSum = fours && !isFolded ? 4 : 1;
  const types = `alias Item = ${numbers(fours ? 4 : 1)};
alias Out = ${numbers(numbersPerSum)};
fn finish(total: Item) -> Out { return ${isFolded ? 'dot(total, Item(1))' : 'total'}; }
`;
  const first: Dispatch = {
    shader,
    operandsShader: from.length === 2 ? 'product_terms' : 'sum_terms',
    prelude: prelude + types + PLACES,
    params: { ...params, ...axisFields(kept, summed) },
    operands: [...from, parts === 1 ? 'output' : { temp: firstTemp }],
    workgroups,
  };
  if (parts === 1) return { steps: [first], temps: [] };
  const results = sums * numbersPerSum;
  const partial: Reduction = isInner
    ? { box: [results, parts], axes: [1], strides: [[parts, 1]] }
    : { box: [parts, results], axes: [0], strides: [[results, 1]] };
  const rest = passes(where, partial, [{ temp: firstTemp }], firstTemp + 1, adapter);
  return { steps: [first, ...rest.steps], temps: [results * parts, ...rest.temps] };
}

/** Sums over the axes of the box: of input 0, or of the products of inputs 0 and 1. Throws ShapeError. */
export function planReduction(where: string, reduction: Reduction, adapter: AdapterProfile): KernelPlan {
  const from = reduction.strides.map((_, input) => ({ input }));
  return passes(where, reduction, from, 0, adapter);
}

/** The same sums in f64: out[kept] = sum over the axes of the product of the operands. */
export function reduceReference(
  { box, axes, strides }: Reduction,
  operands: readonly Float64Array[],
  out: Float64Array,
): void {
  const kept = [...box.keys()].filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const sizes = order.map((axis) => box[axis]);
  const count = sizeOf(axes.map((axis) => box[axis]));
  const index = new Array<number>(order.length).fill(0);
  for (let o = 0; o < out.length; o++) {
    let total = 0;
    for (let r = 0; r < count; r++) {
      let product = 1;
      operands.forEach((data, k) => {
        let i = 0;
        order.forEach((axis, j) => {
          i += index[j] * strides[k][axis];
        });
        product *= data[i];
      });
      total += product;
      for (let j = order.length - 1; j >= 0 && ++index[j] === sizes[j]; j--) index[j] = 0;
    }
    out[o] = total;
  }
}
