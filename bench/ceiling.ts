// What the adapter can do at best, as far as this library can tell: the yardstick for every other row.
import type { GpuDevice } from '../engine/gpu-device.ts';
import { BUFFER_USAGE } from '../engine/gpu-flags.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { waitPolitely } from '../engine/patience.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { release } from '../engine/tensor.ts';
import { gigabytes, randomTensor } from './case.ts';

/** The best rate found, and of what. */
export interface Ceiling {
  readonly rate: number;
  readonly what: string;
}

/** Ceilings by unit. Rows in other units have none. */
export type Ceilings = Readonly<Record<'GFLOP/s' | 'GB/s', Ceiling>>;

// Software adapters peak at the sizes that fit their cache, GPUs at those that fill them.
const SIZES = { software: [256, 512], gpu: [1024, 2048, 4096] } as const;
const COPY_BYTES = 2 ** 26;
const SPENT_MS = 200;
const FEWEST_RUNS = 5;

/**
 * The fastest of this library's square products, and of copies between two buffers of 64 MiB (a read and a write each).
 * The minimum of the times and not the median: a ceiling is what an undisturbed moment allows.
 */
export async function measureCeilings(device: GpuDevice): Promise<Ceilings> {
  return { 'GFLOP/s': await bestMatmul(device), 'GB/s': await bestCopy(device) };
}

/** Share of its ceiling that a rate is; null for units without one. */
export function ceilingShare(rate: number, unit: string, ceilings: Ceilings | undefined): number | null {
  const ceiling = ceilings && unit in ceilings ? ceilings[unit as keyof Ceilings] : undefined;
  return ceiling ? rate / ceiling.rate : null;
}

async function bestMatmul(device: GpuDevice): Promise<Ceiling> {
  let best: Ceiling = { rate: 0, what: '' };
  for (const n of SIZES[device.profile.family]) {
    const a = randomTensor(device, 'ceiling/a', [n, n]);
    const b = randomTensor(device, 'ceiling/b', [n, n]);
    // Several products per wait on small sizes: the wait is no part of the ceiling.
    const callCount = Math.max(1, Math.round((512 / n) ** 3));
    const ms = await fastestMs(device, () => {
      for (let i = 0; i < callCount; i++)
        scope(device, () => void withoutRecording(device, () => matmul(a, b)));
      device.flush();
    });
    const rate = (callCount * 2 * n ** 3) / 1e6 / ms;
    if (rate > best.rate) best = { rate, what: `matmul of ${n}` };
    release(a);
    release(b);
  }
  device.trim();
  return best;
}

async function bestCopy(device: GpuDevice): Promise<Ceiling> {
  const { raw } = device;
  const size = Math.min(COPY_BYTES, raw.limits.maxBufferSize);
  const usage = BUFFER_USAGE.copySource | BUFFER_USAGE.copyDestination;
  const [from, to] = [0, 1].map(() => raw.createBuffer({ size, usage }));
  const ms = await fastestMs(device, () => {
    const encoder = raw.createCommandEncoder();
    for (let i = 0; i < 4; i++) encoder.copyBufferToBuffer(from, 0, to, 0, size);
    raw.queue.submit([encoder.finish()]);
  });
  from.destroy();
  to.destroy();
  return {
    rate: (4 * 2 * 1000 * gigabytes(size / 4)) / ms,
    what: `copyBufferToBuffer of ${size / 2 ** 20} MiB`,
  };
}

async function fastestMs(device: GpuDevice, submit: () => void): Promise<number> {
  let fastest = Number.POSITIVE_INFINITY;
  let spentMs = 0;
  // The first run compiles.
  for (let run = -1; run < FEWEST_RUNS || spentMs < SPENT_MS; run++) {
    const startMs = performance.now();
    submit();
    await waitPolitely(device.raw.queue.onSubmittedWorkDone());
    const ms = performance.now() - startMs;
    if (run < 0) continue;
    spentMs += ms;
    fastest = Math.min(fastest, ms);
  }
  return fastest;
}
