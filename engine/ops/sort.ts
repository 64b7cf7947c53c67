// Sorting along the last axis. The order is found by merging; sorted values are gathered by it, so they have a slope.
import type { Dispatch, KernelPlan, KernelRequest, Operand } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, isSameShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { gatherDispatch, pickReference } from './pick.ts';
import { INDEX_LIMIT } from './pool-window.ts';
import { spanOf } from './span.ts';

/** Options of `sort` and `argsort`. */
export interface SortOptions {
  /** Largest first; default false. */
  readonly descending?: boolean;
}

interface SortAttrs {
  readonly descending: boolean;
}

function lastAxis(where: string, x: Shape): number {
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

function planSort({ inputs: [x], attrs: { descending }, adapter }: KernelRequest<SortAttrs>): KernelPlan {
  const n = lastAxis('argsort', x);
  const rows = sizeOf(x) / n;
  const passes = Math.max(0, Math.ceil(Math.log2(n / RUN)));
  const itemsOut = 'alias Out = vec2u;\nfn finish(item: vec2u) -> Out { return item; }\n';
  const placesOut = 'alias Out = Real;\nfn finish(item: vec2u) -> Out { return Real(item.y); }\n';
  const step = (pass: number): Dispatch => {
    const runs = Math.ceil(n / RUN);
    const width = RUN * 2 ** (pass - 1);
    const chunk = Math.min(2 * width, CHUNK[adapter.family]);
    const chunks = Math.ceil(n / chunk);
    const from: Operand = pass === 0 ? { input: 0 } : { temp: (pass - 1) % 2 };
    const to: Operand = pass === passes ? 'output' : { temp: pass % 2 };
    const span = spanOf(rows * (pass === 0 ? runs : chunks), adapter);
    const functions = span.prelude + (pass === passes ? placesOut : itemsOut);
    return {
      shader: pass === 0 ? 'sort_runs' : 'sort_merge',
      prelude: pass === 0 ? `${functions}const IS_DESCENDING = ${descending};\n` : functions,
      params: { ...span.params, n, runs, chunks, chunk, width },
      operands: [from, to],
      workgroups: span.workgroups,
    };
  };
  return {
    steps: Array.from({ length: passes + 1 }, (_, pass) => step(pass)),
    // Items are pairs of words.
    temps: new Array<number>(Math.min(2, passes)).fill(2 * rows * n),
  };
}

export const argsortOp = defineOp<SortAttrs>({
  name: 'argsort',
  shape([x]) {
    lastAxis('argsort', x);
    return x;
  },
  reference([x], { descending }, out) {
    const n = x.shape.at(-1) as number;
    const sign = descending ? -1 : 1;
    for (let start = 0; start < x.data.length; start += n) {
      const row = x.data.subarray(start, start + n);
      // NaN is the largest number; `sort` is stable.
      const compare = (i: number, j: number) => {
        const [a, b] = [row[i], row[j]];
        if (Number.isNaN(a) || Number.isNaN(b))
          return sign * (Number(Number.isNaN(a)) - Number(Number.isNaN(b)));
        return a === b ? 0 : a < b ? -sign : sign;
      };
      out.data.set([...row.keys()].sort(compare), start);
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
