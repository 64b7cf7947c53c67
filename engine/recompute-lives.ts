// When a result of a captured step takes up memory, given that it may be made more than once, and what making it takes.
import { sizeOf } from './shape.ts';
import type { Storage } from './tensor.ts';
import { isCopy, type TracedOp, type TracedStorage, type TraceEntry } from './trace.ts';

/** What runs as one command, with the ops or the copy that it is made of. */
export interface Unit {
  readonly entries: readonly TraceEntry[];
  /** What others made, and it reads. */
  readonly reads: readonly Storage[];
  /** What it makes, and others read. */
  readonly writes: readonly TracedStorage[];
  /** Elements that it needs besides while it runs. */
  readonly tempCount: number;
}

// Multiply-adds that take as long as one number to be read or written: GPUs do more, software adapters fewer.
const PRODUCTS_PER_NUMBER = 16;

/** Numbers that an op moves, or as many as it could in that time. */
function workOf({ op, inputs, inputShapes, shape }: TracedOp): number {
  const sizes = [...inputShapes.slice(0, inputs.length).map(sizeOf), sizeOf(shape)];
  const moved = sizes.reduce((sum, size) => sum + size, 0);
  if (!op.isMemoized) return moved;
  // The sizes m k, k n and m n of a product of matrices have the product (m k n)^2. Of a convolution it is too little.
  const [a, b] = sizes;
  return moved + Math.sqrt(a * b * sizeOf(shape)) / PRODUCTS_PER_NUMBER;
}

/** A result of a unit that others read. */
export class ValueLife {
  readonly storage: TracedStorage;
  readonly count: number;
  /** The ops of its unit that it takes, in order, and what they read of others. */
  readonly ops: readonly TracedOp[];
  readonly inputs: readonly Storage[];
  readonly tempCount: number;
  readonly work: number;
  readonly hasProducts: boolean;
  /** Units in or before which it is made, and units that read it: rising numbers. */
  madeAt: readonly number[];
  uses: readonly number[] = [];

  constructor(storage: TracedStorage, { entries, tempCount }: Unit, position: number) {
    this.storage = storage;
    this.count = storage.elementCount;
    this.tempCount = tempCount;
    this.madeAt = [position];
    const needed = new Set<Storage>([storage]);
    const ops: TracedOp[] = [];
    for (const entry of entries.toReversed()) {
      if (isCopy(entry) || !needed.has(entry.output)) continue;
      ops.unshift(entry);
      for (const input of entry.inputs) needed.add(input);
    }
    for (const { output } of ops) needed.delete(output);
    this.ops = ops;
    this.inputs = [...needed];
    this.work = ops.reduce((sum, op) => sum + workOf(op), 0);
    this.hasProducts = ops.some(({ op }) => op.isMemoized);
  }

  /** The unit that it comes from. */
  get first(): number {
    return this.madeAt[0];
  }

  /** From and to which unit it takes up memory, both included, for each time that it is made and read. */
  *spans(): Generator<readonly [number, number]> {
    const { madeAt, uses } = this;
    let next = 0;
    for (const [i, from] of madeAt.entries()) {
      const end = madeAt[i + 1] ?? Number.POSITIVE_INFINITY;
      let last = -1;
      for (; next < uses.length && uses[next] < end; next++) last = uses[next];
      if (last >= 0) yield [from, last];
    }
  }

  isAliveAt(unit: number): boolean {
    for (const [from, to] of this.spans()) if (from <= unit && unit <= to) return true;
    return false;
  }

  /** The unit that it waits for while this one runs; null if it does not wait. */
  waitsUntil(unit: number): number | null {
    if (this.first > unit || (this.uses.at(-1) ?? 0) <= unit) return null;
    const next = this.uses.findIndex((use) => use >= unit);
    const use = this.uses[next];
    return use === unit || this.madeAt.includes(use) ? null : use;
  }
}
