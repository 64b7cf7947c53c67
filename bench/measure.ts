// The harness: checks a case against the CPU, warms it up, and times it until there are enough samples.
import { loadavg } from 'node:os';
import Benchmark from 'benchmark';
import { CpuDevice } from '../engine/cpu-device.ts';
import { readAll } from '../engine/create.ts';
import { DeviceError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { waitPolitely } from '../engine/patience.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release } from '../engine/tensor.ts';
import type { BenchCase, Workload } from './case.ts';

/** A measured case. Times are wall clock per call, from the first command to an idle queue. */
export interface BenchResult {
  readonly family: string;
  readonly name: string;
  readonly size: string;
  readonly unit: string;
  /** Of the median call, in `unit`. */
  readonly rate: number;
  readonly medianMs: number;
  readonly minMs: number;
  readonly p90Ms: number;
  readonly sampleCount: number;
  /** Calls that were encoded before each wait for the queue. */
  readonly callsPerWait: number;
  /** Largest difference from the CPU reference, relative to its largest number. */
  readonly checkedError: number;
  /** Processes that wanted a core in the last minute, ours included. */
  readonly loadAverage: number;
  readonly isNoisy: boolean;
}

export interface MeasureOptions {
  /** Few short samples: to see that everything runs, not to publish. */
  readonly isQuick?: boolean;
}

const SAMPLE_COUNT = 20;
const QUICK_SAMPLE_COUNT = 5;
// A wait costs up to a millisecond: it must be lost in what it waits for.
const WAIT_MS = 40;
const QUICK_WAIT_MS = 5;
const MOST_CALLS_PER_WAIT = 500;
const NOISY_RATIO = 1.5;

/** Checks and times one case. Throws DeviceError when the GPU's result is wrong: a fast wrong answer has no speed. */
export async function measure(
  device: GpuDevice,
  bench: BenchCase,
  { isQuick = false }: MeasureOptions = {},
): Promise<BenchResult> {
  const checkedError = await checkedErrorOf(device, bench);
  const workload = bench.prepare(device, false);
  try {
    const run = (callCount: number): Promise<void> => runAndWait(device, workload, callCount);
    // Twice: the first call compiles kernels and fills the buffer pool.
    await run(2);
    const startMs = performance.now();
    await run(1);
    const onceMs = performance.now() - startMs;
    const wanted = Math.ceil((isQuick ? QUICK_WAIT_MS : WAIT_MS) / onceMs);
    const callsPerWait = Math.min(MOST_CALLS_PER_WAIT, wanted);
    await run(callsPerWait);
    const samples = await sample(() => run(callsPerWait), isQuick ? QUICK_SAMPLE_COUNT : SAMPLE_COUNT);
    const times = samples.map((seconds) => (1000 * seconds) / callsPerWait).sort((a, b) => a - b);
    const { family, name, size, unit, workPerCall } = bench;
    const [medianMs, minMs, p90Ms] = [quantile(times, 0.5), times[0], quantile(times, 0.9)];
    return {
      family,
      name,
      size,
      unit,
      rate: (1000 * workPerCall) / medianMs,
      medianMs,
      minMs,
      p90Ms,
      sampleCount: times.length,
      callsPerWait,
      checkedError,
      loadAverage: loadavg()[0],
      isNoisy: p90Ms > NOISY_RATIO * medianMs,
    };
  } finally {
    workload.close();
    device.trim();
  }
}

/** Value below which the share `q` of ascending numbers lies, interpolated between neighbours. */
export function quantile(ascending: readonly number[], q: number): number {
  const at = q * (ascending.length - 1);
  const below = ascending[Math.floor(at)];
  return below + (at % 1) * (ascending[Math.ceil(at)] - below);
}

async function runAndWait(device: GpuDevice, { call }: Workload, callCount: number): Promise<void> {
  // `void`, because what a scope returns outlives it: the outputs of all calls would pile up.
  for (let i = 0; i < callCount; i++) scope(device, () => void call());
  device.flush();
  await waitPolitely(device.raw.queue.onSubmittedWorkDone());
}

/** Seconds per run of `work`, by Benchmark.js: it times runs until it has the samples, and one second more. */
function sample(work: () => Promise<void>, sampleCount: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const bench = new Benchmark({
      defer: true,
      minSamples: sampleCount,
      minTime: WAIT_MS / 1000,
      maxTime: sampleCount < SAMPLE_COUNT ? 0 : 1,
      fn(deferred: { resolve(): void }) {
        work().then(
          () => deferred.resolve(),
          (error) => {
            bench.abort();
            reject(error);
          },
        );
      },
      onComplete: () => resolve(bench.stats.sample),
    });
    bench.run({ async: true });
  });
}

async function checkedErrorOf(device: GpuDevice, bench: BenchCase): Promise<number> {
  const [found, expected] = [await resultOf(device, bench), await resultOf(new CpuDevice(), bench)];
  let largest = 0;
  let error = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]));
    // NaN must count as wrong, and Math.max hands it on.
    error = Math.max(error, Math.abs(found[i] - expected[i]));
  }
  const relative = error / largest;
  if (!(relative <= bench.tolerance)) {
    throw new DeviceError(
      `bench: ${bench.name} is off the CPU reference by ${relative} of its largest number, ${bench.tolerance} is allowed; run \`npm test\` on this adapter`,
    );
  }
  return relative;
}

async function resultOf(device: Device, bench: BenchCase): Promise<ArrayLike<number>> {
  const workload = bench.prepare(device, true);
  const result = scope(device, workload.result);
  const [values] = await readAll([result]);
  release(result);
  workload.close();
  return values;
}
