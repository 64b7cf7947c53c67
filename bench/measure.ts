// The harness: checks a case against the CPU, warms it up, and times it until there are enough samples.
import { loadavg } from 'node:os';
import Benchmark from 'benchmark';
import { CpuDevice } from '../engine/cpu-device.ts';
import { readAll } from '../engine/create.ts';
import { DeviceError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release } from '../engine/tensor.ts';
import { medianOf, quantile } from '../isnet/evaluation/bootstrap.ts';
import { type KernelProfile, profileRuns } from '../isnet/kernel-profile.ts';
import { msPerCall } from '../isnet/take-turns.ts';
import type { BenchCase } from './case.ts';
import { type Ceilings, ceilingShare } from './ceiling.ts';
import { deviceMs } from './device-time.ts';

/** A measured case. Times are wall clock per call, from the first command to an idle queue, unless they say otherwise. */
export interface BenchResult {
  readonly family: string;
  readonly name: string;
  readonly size: string;
  readonly unit: string;
  /** Of the median call, in `unit`. */
  readonly rate: number;
  /** Share of what the adapter can do at best, in the same unit; null where there is no such ceiling. */
  readonly ceilingShare: number | null;
  readonly medianMs: number;
  readonly minMs: number;
  readonly p10Ms: number;
  readonly p90Ms: number;
  /** Compute passes per call by the device's own clock; null where it has none, or nothing to measure. */
  readonly deviceMs: number | null;
  readonly sampleCount: number;
  /** Calls that were encoded before each wait for the queue. */
  readonly callsPerWait: number;
  /** Largest difference from the CPU reference, relative to its largest number. */
  readonly checkedError: number;
  /** Processes that wanted a core in the last minute, ours included. */
  readonly loadAverage: number;
  readonly isNoisy: boolean;
  /** Kernels of a few calls, where they were asked for. */
  readonly profile?: KernelProfile;
}

export interface MeasureOptions {
  /** Few short samples: to see that everything runs, not to publish. */
  readonly isQuick?: boolean;
  readonly ceilings?: Ceilings;
  /** Also says which kernels the time goes to; rejects with DeviceError where the adapter has no timestamps. */
  readonly isProfiled?: boolean;
}

const SAMPLE_COUNT = 20;
const QUICK_SAMPLE_COUNT = 5;
// Slow calls get fewer samples than that, so that the whole table is done in minutes.
const MOST_MS = 6000;
const FEWEST_SAMPLES = 5;
const QUICK_MOST_MS = 100;
const QUICK_FEWEST_SAMPLES = 2;
// Few: the device's clock does not see what disturbs ours.
const DEVICE_SAMPLE_COUNT = 5;
const QUICK_DEVICE_SAMPLE_COUNT = 1;
// A wait costs up to a millisecond: it must be lost in what it waits for.
const WAIT_MS = 40;
const QUICK_WAIT_MS = 5;
const MOST_CALLS_PER_WAIT = 500;
const NOISY_RATIO = 1.5;

/** Checks and times one case. Throws DeviceError when the GPU's result is wrong: a fast wrong answer has no speed. */
export async function measure(
  device: GpuDevice,
  bench: BenchCase,
  { isQuick = false, ceilings, isProfiled = false }: MeasureOptions = {},
): Promise<BenchResult> {
  const checkedError = await checkedErrorOf(device, bench);
  const workload = bench.prepare(device, false);
  try {
    const run = (callCount: number): Promise<number> => msPerCall({ device, call: workload.call }, callCount);
    // Twice: the first call compiles kernels and fills the buffer pool.
    await run(2);
    const onceMs = await run(1);
    const wanted = Math.ceil((isQuick ? QUICK_WAIT_MS : WAIT_MS) / onceMs);
    const callsPerWait = Math.min(MOST_CALLS_PER_WAIT, wanted);
    if (callsPerWait > 1) await run(callsPerWait);
    const samples = await sample(() => run(callsPerWait), sampleCountFor(onceMs * callsPerWait, isQuick));
    const times = samples.map((seconds) => (1000 * seconds) / callsPerWait);
    const onDevice = await medianDeviceMs(device, () => run(callsPerWait), isQuick);
    return {
      ...summaryOf(bench, times, ceilings),
      deviceMs: onDevice === null ? null : onDevice / callsPerWait,
      callsPerWait,
      checkedError,
      profile: isProfiled ? await profileRuns(device, () => run(1)) : undefined,
    };
  } finally {
    workload.close();
    device.trim();
  }
}

/** What a table says of the times of a case, in milliseconds per call. */
export function summaryOf(
  { family, name, size, unit, workPerCall }: Omit<BenchCase, 'prepare' | 'tolerance'>,
  timesMs: readonly number[],
  ceilings?: Ceilings,
): Omit<BenchResult, 'deviceMs' | 'callsPerWait' | 'checkedError'> {
  const times = timesMs.toSorted((a, b) => a - b);
  const [medianMs, p10Ms, p90Ms] = [0.5, 0.1, 0.9].map((q) => quantile(times, q));
  const rate = (1000 * workPerCall) / medianMs;
  return {
    family,
    name,
    size,
    unit,
    rate,
    ceilingShare: ceilingShare(rate, unit, ceilings),
    medianMs,
    minMs: times[0],
    p10Ms,
    p90Ms,
    sampleCount: times.length,
    loadAverage: loadavg()[0],
    isNoisy: p90Ms > NOISY_RATIO * medianMs,
  };
}

function sampleCountFor(ms: number, isQuick: boolean): number {
  const [most, spentMs, fewest] = isQuick
    ? [QUICK_SAMPLE_COUNT, QUICK_MOST_MS, QUICK_FEWEST_SAMPLES]
    : [SAMPLE_COUNT, MOST_MS, FEWEST_SAMPLES];
  return Math.max(fewest, Math.min(most, Math.floor(spentMs / ms)));
}

async function medianDeviceMs(
  device: GpuDevice,
  work: () => Promise<unknown>,
  isQuick: boolean,
): Promise<number | null> {
  const samples: number[] = [];
  while (samples.length < (isQuick ? QUICK_DEVICE_SAMPLE_COUNT : DEVICE_SAMPLE_COUNT)) {
    const ms = await deviceMs(device, work);
    if (ms === null) return null;
    samples.push(ms);
  }
  return medianOf(samples);
}

/** Seconds per run of `work`, by Benchmark.js: it times runs until it has the samples and, of many, 0.8 seconds have passed. */
function sample(work: () => Promise<unknown>, sampleCount: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const bench = new Benchmark({
      defer: true,
      minSamples: sampleCount,
      minTime: WAIT_MS / 1000,
      // In seconds, and reached by the samples alone unless they are short.
      maxTime: sampleCount < SAMPLE_COUNT ? 0 : 0.8,
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
