// Where the time of a step goes: a timestamp before and after every kernel.
import { DeviceError } from './errors.ts';
import { BUFFER_USAGE, MAP_READ } from './gpu-flags.ts';
import { waitPolitely } from './patience.ts';

/** One kernel launch. */
export interface DispatchTime {
  /** The op, or the ops that were fused, and the kernel. */
  readonly name: string;
  readonly ms: number;
  /** Size of the buffers that it binds: what it moves if it touches each element once. */
  readonly byteCount: number;
}

/** All launches of one name. */
export interface DispatchSummary extends DispatchTime {
  readonly count: number;
  /** Parts of the total time and bytes, in [0, 1]. */
  readonly timeShare: number;
  readonly byteShare: number;
}

// The most queries a set may have; two per launch.
const QUERIES_PER_SET = 4096;

/** Timestamps of the compute passes of one piece of work. */
export class Profiler {
  readonly #device: GPUDevice;
  readonly #sets: GPUQuerySet[] = [];
  readonly #launches: { readonly name: string; readonly byteCount: number }[] = [];

  /** Throws DeviceError where the adapter has no timestamps. */
  constructor(device: GPUDevice) {
    if (!device.features.has('timestamp-query')) {
      throw new DeviceError(
        'profile: this adapter has no timestamps (feature timestamp-query); profile on another, or measure without a profile: npm run bench',
      );
    }
    this.#device = device;
  }

  /** The queries for the pass of one launch. */
  next(name: string, byteCount: number): GPUComputePassTimestampWrites {
    const at = (2 * this.#launches.length) % QUERIES_PER_SET;
    if (at === 0) {
      this.#sets.push(this.#device.createQuerySet({ type: 'timestamp', count: QUERIES_PER_SET }));
    }
    this.#launches.push({ name, byteCount });
    const querySet = this.#sets[this.#sets.length - 1];
    return { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** The launches in order. Call it once, when all is submitted. */
  async times(): Promise<DispatchTime[]> {
    const stamps: bigint[] = [];
    for (const set of this.#sets) {
      const left = 2 * this.#launches.length - stamps.length;
      stamps.push(...(await this.#resolve(set, Math.min(QUERIES_PER_SET, left))));
    }
    return this.#launches.map((launch, i) => ({
      ...launch,
      ms: Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6,
    }));
  }

  /** Gives back the queries. Call it when all is submitted, whatever became of it. */
  destroy(): void {
    for (const set of this.#sets) set.destroy();
  }

  async #resolve(set: GPUQuerySet, count: number): Promise<BigUint64Array> {
    const size = 8 * count;
    const { copySource, copyDestination, mapRead, queryResolve } = BUFFER_USAGE;
    const resolved = this.#device.createBuffer({ size, usage: queryResolve | copySource });
    const staging = this.#device.createBuffer({ size, usage: copyDestination | mapRead });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(set, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    await waitPolitely(staging.mapAsync(MAP_READ));
    const stamps = new BigUint64Array(staging.getMappedRange().slice(0));
    resolved.destroy();
    staging.destroy();
    return stamps;
  }
}

/** Launches by name, those that take longest first. */
export function summarize(times: readonly DispatchTime[]): DispatchSummary[] {
  const byName = new Map<string, { count: number; ms: number; byteCount: number }>();
  const total = { ms: 0, byteCount: 0 };
  for (const { name, ms, byteCount } of times) {
    const sum = byName.get(name) ?? { count: 0, ms: 0, byteCount: 0 };
    byName.set(name, sum);
    sum.count++;
    for (const each of [sum, total]) {
      each.ms += ms;
      each.byteCount += byteCount;
    }
  }
  return [...byName]
    .map(([name, sum]) => ({
      name,
      ...sum,
      // Of launches too short to be timed the total is 0, too.
      timeShare: total.ms > 0 ? sum.ms / total.ms : 0,
      byteShare: sum.byteCount / total.byteCount,
    }))
    .sort((a, b) => b.ms - a.ms);
}
