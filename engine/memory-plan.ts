// Which results of a recorded step share a buffer: those that are not needed at the same time.

/** A result that needs `size` bytes from job `first` to job `last`, both included. */
export interface Lifetime {
  readonly size: number;
  readonly first: number;
  readonly last: number;
}

/** The buffers of a step, and which one each result lies in. */
export interface MemoryPlan {
  /** Bytes of each buffer. */
  readonly sizes: readonly number[];
  /** Number of the buffer of each lifetime, in their order. */
  readonly bufferOf: readonly number[];
  /** Number of the lifetime that each buffer is as large as. */
  readonly largest: readonly number[];
}

/**
 * Shares buffers among results: the largest goes first, each into the first buffer that is free during its life. A buffer
 * is as large as its first, hence largest, result.   Greedy by size: Pisarchyk and Lee 2020, arXiv:2001.03288, 4.3
 */
export function planMemory(lifetimes: readonly Lifetime[]): MemoryPlan {
  const sizes: number[] = [];
  const tenants: Lifetime[][] = [];
  const bufferOf = new Array<number>(lifetimes.length);
  const largest: number[] = [];
  const bySize = lifetimes.map((_, i) => i).sort((a, b) => lifetimes[b].size - lifetimes[a].size);
  for (const i of bySize) {
    const own = lifetimes[i];
    const isFree = (other: Lifetime) => own.last < other.first || other.last < own.first;
    let buffer = tenants.findIndex((others) => others.every(isFree));
    if (buffer < 0) {
      buffer = tenants.push([]) - 1;
      sizes.push(own.size);
      largest.push(i);
    }
    tenants[buffer].push(own);
    bufferOf[i] = buffer;
  }
  return { sizes, bufferOf, largest };
}
