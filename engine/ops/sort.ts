// Sorting along the last axis. The order is found by merging; sorted values are gathered by it, so they have a slope.
import type { AdapterProfile, Dispatch, KernelPlan, KernelRequest, Operand } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, INDEX_LIMIT, isSameShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { gatherDispatch, pickReference } from './pick.ts';
import { spanOf } from './span.ts';

/** Options of `sort` and `argsort`. */
export interface SortOptions {
  /** Largest first; default false. */
  readonly descending?: boolean;
}

interface SortAttrs {
  readonly descending: boolean;
}

/** Length of the last axis. Throws ShapeError when there is none, or f32 cannot count it. */
export function lastAxis(where: string, x: Shape): number {
  const n = x.at(-1);
  if (n === undefined || n > INDEX_LIMIT) {
    throw new ShapeError(
      `${where}: the last axis of ${formatShape(x)} must exist and have at most 2^24 elements; f32 counts no further`,
    );
  }
  return n;
}

/** Elements that one thread sorts alone; sort_runs.wgsl is written out for it, so more would be a long program. */
const RUN = 8;
/** Places that one thread fills in a merge: enough to share the search for where to begin. */
const CHUNK = { gpu: 8, software: 64 };

/** WGSL text of `key_of`: a whole number that orders like the number, both zeros alike and NaN above all. */
export const keyWgsl = `fn key_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  // The bits of -0 are 0x80000000, so that both zeros get this key; NaN comes with either sign.
  let key = select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
  return select(key, 0xffffffffu, (bits & 0x7fffffffu) > 0x7f800000u);
}
`;

/** Where the items of a sort come from: an operand of the plan, with `In` and `item_of` for sort_runs.wgsl. */
interface SortSource {
  readonly operand: Operand;
  readonly wgsl: string;
}

/** Input 0 of the op, as numbers. */
export const numbersIn = ({ descending }: Required<SortOptions>): SortSource => ({
  operand: { input: 0 },
  wgsl: `${keyWgsl}alias In = f32;
fn item_of(x: f32, place: u32) -> vec2u { return vec2u(${descending ? '~' : ''}key_of(x), place); }
`,
});

/** A sort of [rows, n] items, and what becomes of them. */
interface SortRequest {
  readonly rows: number;
  readonly n: number;
  /** Length of a row of the output. */
  readonly outN: number;
  readonly source: SortSource;
  /** Which temporary buffers of the plan it may use: as many as `sortTemps` says. */
  readonly temps: readonly [number, number];
  /** WGSL text of the last pass: `Out`, and `put(row, rank, item)`, which writes to the output. */
  readonly put: string;
  readonly adapter: AdapterProfile;
}

const passCount = (n: number): number => Math.max(0, Math.ceil(Math.log2(n / RUN)));

/** Sizes of the temporary buffers of `sortSteps`: items are pairs of words. */
export const sortTemps = (rows: number, n: number): number[] =>
  new Array<number>(Math.min(2, passCount(n))).fill(2 * rows * n);

const putItems = `alias Out = vec2u;
fn put(row: u32, rank: u32, item: vec2u) { out[row * params.n + rank] = item; }
`;

/** Sorts runs of 8 and merges them, twice as long in each pass. */
export function sortSteps({ rows, n, outN, source, temps, put, adapter }: SortRequest): Dispatch[] {
  const passes = passCount(n);
  const runs = Math.ceil(n / RUN);
  return Array.from({ length: passes + 1 }, (_, pass) => {
    const width = RUN * 2 ** (pass - 1);
    const chunk = Math.min(2 * width, CHUNK[adapter.family]);
    const chunks = Math.ceil(n / chunk);
    const span = spanOf(rows * (pass === 0 ? runs : chunks), adapter);
    const functions = (pass === 0 ? source.wgsl : '') + (pass === passes ? put : putItems);
    return {
      shader: pass === 0 ? 'sort_runs' : 'sort_merge',
      prelude: span.prelude + functions,
      params: { ...span.params, n, runs, chunks, chunk, width, out_n: outN },
      operands: [
        pass === 0 ? source.operand : { temp: temps[(pass - 1) % 2] },
        pass === passes ? 'output' : { temp: temps[pass % 2] },
      ],
      workgroups: span.workgroups,
    };
  });
}

function planSort({ inputs: [x], attrs: { descending }, adapter }: KernelRequest<SortAttrs>): KernelPlan {
  const n = lastAxis('argsort', x);
  const rows = sizeOf(x) / n;
  const put = `alias Out = Real;
fn put(row: u32, rank: u32, item: vec2u) { out[row * params.n + rank] = Real(item.y); }
`;
  const source = numbersIn({ descending });
  return {
    steps: sortSteps({ rows, n, outN: n, source, temps: [0, 1], put, adapter }),
    temps: sortTemps(rows, n),
  };
}

/** Places of the numbers of a row in the order of their size. Stable; NaN is the largest number. */
export function orderOf(row: Float64Array, descending: boolean): number[] {
  const sign = descending ? -1 : 1;
  const compare = (i: number, j: number) => {
    const [a, b] = [row[i], row[j]];
    if (Number.isNaN(a) || Number.isNaN(b)) return sign * (Number(Number.isNaN(a)) - Number(Number.isNaN(b)));
    return a === b ? 0 : a < b ? -sign : sign;
  };
  // `sort` is stable.
  return [...row.keys()].sort(compare);
}

export const argsortOp = defineOp<SortAttrs>({
  name: 'argsort',
  shape([x]) {
    lastAxis('argsort', x);
    return x;
  },
  reference([x], { descending }, out) {
    const n = x.shape.at(-1) as number;
    for (let start = 0; start < x.data.length; start += n) {
      out.data.set(orderOf(x.data.subarray(start, start + n), descending), start);
    }
  },
  kernel: planSort,
  vjp: [null], // an order does not change with the values, except in jumps
  examples: [
    { inputs: [[3, 5]], attrs: { descending: true } },
    { inputs: [[2, 83]], attrs: { descending: false } },
    {
      inputs: [[20]],
      attrs: { descending: true },
      fixed: { 0: [0, 1, 0, 2, 1, -1, -0, 2, 2, 0, 1, -1, 3, 3, 0, 1, 2, 0, 1, 3] },
    },
  ],
});

/**
 * Places of the elements of x [.., n] in the order of their size along the last axis: out[.., k] is where the k-th is.
 * Stable. NaN is the largest number: first if descending, else last. No slope.
 */
export const argsort = (x: Tensor, { descending = false }: SortOptions = {}): Tensor =>
  apply(argsortOp, [x], { descending });

export const invertOrderOp = defineOp<Record<string, never>>({
  name: 'invertOrder',
  shape([order]) {
    lastAxis('invertOrder', order);
    return order;
  },
  reference([order], _, out) {
    const n = order.shape.at(-1) as number;
    for (let i = 0; i < order.data.length; i++) out.data[i - (i % n) + order.data[i]] = i % n;
  },
  kernel({ inputs: [order], adapter }) {
    const { prelude, params, workgroups } = spanOf(sizeOf(order), adapter);
    const fields = { ...params, n: lastAxis('invertOrder', order) };
    return {
      steps: [
        { shader: 'invert_order', prelude, params: fields, operands: [{ input: 0 }, 'output'], workgroups },
      ],
    };
  },
  vjp: [null], // an index is a whole number
  examples: [
    { inputs: [[2, 3]], fixed: { 0: [2, 0, 1, 0, 2, 1] } },
    { inputs: [[5]], fixed: { 0: [4, 2, 0, 1, 3] } },
  ],
});

/** Inverse of each permutation in the rows of `order` [.., n]: out[.., order[.., j]] = j. */
export const invertOrder = (order: Tensor): Tensor => apply(invertOrderOp, [order], {});

export const reorderOp = defineOp<Record<string, never>>({
  name: 'reorder',
  shape([x, order]) {
    lastAxis('reorder', x);
    if (!isSameShape(x, order)) {
      throw new ShapeError(
        `reorder: x is ${formatShape(x)} and the order ${formatShape(order)}; they must be equal, use gather to pick some`,
      );
    }
    return x;
  },
  reference([x, order], _, out) {
    const n = x.shape.at(-1) as number;
    pickReference(x.data, order.data, { size: n, count: n, inner: 1 }, out.data);
  },
  kernel({ inputs: [x], adapter }) {
    const n = lastAxis('reorder', x);
    return { steps: [gatherDispatch({ size: n, count: n, inner: 1 }, sizeOf(x), adapter)] };
  },
  vjp: [
    // Not scatterAdd, which compares every element with every index: 784 steps per element instead of two.
    (g, [, order]) => reorder(g, invertOrder(order)),
    null, // an index is a whole number
  ],
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      fixed: { 1: [2, 0, 1, 0, 2, 1] },
    },
    { inputs: [[5], [5]], fixed: { 1: [4, 2, 0, 1, 3] } },
  ],
});

/** out[.., k] = x[.., order[.., k]] for rows of permutations; its slope needs no `scatterAdd`. Throws ShapeError. */
export const reorder = (x: Tensor, order: Tensor): Tensor => apply(reorderOp, [x, order], {});

/** x [.., n] sorted along the last axis; NaN is the largest number, and equal elements keep their order. */
export const sort = (x: Tensor, options?: SortOptions): Tensor => reorder(x, argsort(x, options));

/** Position of each element of x [.., n] in the descending order of its row: 0 is the largest. No slope. */
export const rank = (x: Tensor): Tensor => invertOrder(argsort(x, { descending: true }));
