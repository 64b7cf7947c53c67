// Where the time of repeated work goes, kernel by kernel: alike for training steps and for benchmarks.
import type { GpuDevice } from '../engine/gpu-device.ts';
import { type DispatchSummary, type DispatchTime, summarize } from '../engine/profiler.ts';
import { medianOf } from './evaluation/bootstrap.ts';

/** The kernels of one run of some work. */
export interface KernelProfile {
  /** Runs that were timed; the time of a launch is the median of its times in them. */
  readonly runCount: number;
  /** The launches of one run by name, the most expensive first. */
  readonly kernels: readonly DispatchSummary[];
}

// The first runs compile; of the others we take as many as give a median.
const WARM_RUNS = 2;
const TIMED_RUNS = 5;

/**
 * Times every kernel in a few calls of `run`, which may be async and launches the same kernels in each. Rejects with DeviceError
 * where the adapter has no timestamps.
 */
export async function profileRuns(device: GpuDevice, run: (i: number) => unknown): Promise<KernelProfile> {
  const runs: DispatchTime[][] = [];
  for (let i = 0; i < WARM_RUNS + TIMED_RUNS; i++) {
    const launches = await device.profileDispatches(() => run(i));
    if (i >= WARM_RUNS) runs.push(launches);
  }
  return { runCount: TIMED_RUNS, kernels: summarize(typicalRun(runs)) };
}

/** Not the mean: where a software adapter was interrupted once, the smallest kernel would lead the table. */
function typicalRun(runs: readonly (readonly DispatchTime[])[]): DispatchTime[] {
  return runs[0].map((launch, i) => {
    return { ...launch, ms: medianOf(runs.flatMap((launches) => launches[i]?.ms ?? [])) };
  });
}

/** Whose kernels a table shows, and what a run of it is called. */
export interface KernelTableTitle {
  readonly name: string;
  readonly run: 'step' | 'call';
}

const ROW_COUNT = 10;

/** The ten kernels that take longest, as a table with a line of totals above; times and launches are those of one run. */
export function kernelTable({ name, run }: KernelTableTitle, { runCount, kernels }: KernelProfile): string {
  if (kernels.length === 0) return `${name}: no kernels, only copies`;
  const sum = (pick: (kernel: DispatchSummary) => number) =>
    kernels.reduce((total, kernel) => total + pick(kernel), 0);
  const [ms, launches] = [sum((kernel) => kernel.ms), sum(({ count }) => count)];
  const head = `${name}: ${ms.toFixed(2)} ms a ${run} in ${launches} launches of ${kernels.length} kinds, medians of ${runCount} ${run}s`;
  const columns = [`ms/${run}`, 'time', 'bytes', 'GB/s', 'launches', 'op (kernel)'];
  const rows = kernels.slice(0, ROW_COUNT).map(cellsOf);
  return [head, '', ...aligned([columns, ...rows])].join('\n');
}

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;

const cellsOf = ({ name, ms, byteCount, count, timeShare, byteShare }: DispatchSummary): string[] => [
  ms.toFixed(3),
  percent(timeShare),
  percent(byteShare),
  ms > 0 ? (byteCount / ms / 1e6).toFixed(2) : '-',
  String(count),
  name,
];

/** Lines in which the cells of a column end below one another; those of the last begin so. */
function aligned(lines: readonly (readonly string[])[]): string[] {
  const last = lines[0].length - 1;
  const widths = lines[0].map((_, i) => Math.max(...lines.map((cells) => cells[i].length)));
  return lines.map((cells) =>
    cells.map((cell, i) => `  ${i < last ? cell.padStart(widths[i]) : cell}`).join(''),
  );
}
