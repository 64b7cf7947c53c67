// The kernel plan behind sums over one axis, and how long axes are shared out.
import type { AdapterProfile, KernelPlan, KernelRequest } from '../dispatch.ts';
import { spanOf } from './span.ts';

/** Below this many results a long axis is cut into parts, so that all threads have work. */
const WANTED_THREADS = { gpu: 16384, software: 64 };
const SHORTEST_PART = 64;

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

/** Reduces [outer, size, inner] to [outer, inner]; `functions` declares START and `combine`. */
export function planReduction(
  { inputs: [x], adapter }: KernelRequest<unknown>,
  functions: string,
): KernelPlan {
  const [outer, size, inner] = x;
  const results = outer * inner;
  const { parts, partSize } = partsOf(size, results, adapter);
  const step = (count: number, params: Record<string, number>) => {
    const span = spanOf(count, adapter);
    return {
      shader: 'reduce' as const,
      prelude: span.prelude + functions,
      params: { ...span.params, inner, ...params },
      workgroups: span.workgroups,
    };
  };
  if (parts === 1) {
    const all = step(results, { size, parts: 1, part_size: size });
    return { steps: [{ ...all, operands: [{ input: 0 }, 'output'] }] };
  }
  const first = step(results * parts, { size, parts, part_size: partSize });
  const second = step(results, { size: parts, parts: 1, part_size: parts });
  return {
    temps: [results * parts],
    steps: [
      { ...first, operands: [{ input: 0 }, { temp: 0 }] },
      { ...second, operands: [{ temp: 0 }, 'output'] },
    ],
  };
}
