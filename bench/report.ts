// What becomes of the numbers: a table for people, JSON for comparison.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { describeEnvironment } from '../isnet/environment.ts';
import type { BenchResult } from './measure.ts';

/** Contents of a file in bench/results. */
export interface BenchReport {
  readonly date: string;
  /** Null outside a clone. */
  readonly commit: string | null;
  /** The measured code is not that of `commit`. */
  readonly hasUncommittedChanges: boolean;
  readonly adapter: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cpuCount: number;
  readonly clock: 'wall';
  /** Too few samples to publish. */
  readonly isQuick: boolean;
  readonly results: readonly BenchResult[];
}

/** Results with what they were measured on. */
export function reportOf(device: GpuDevice, results: readonly BenchResult[], isQuick: boolean): BenchReport {
  // Field by field: the environment also holds the command, with paths of this machine.
  const { date, commit, adapter, node, platform, cpu, cpuCount } = describeEnvironment(device);
  const hasUncommittedChanges = commit !== null && hasChanges();
  return {
    date,
    commit,
    hasUncommittedChanges,
    adapter,
    node,
    platform,
    cpu,
    cpuCount,
    clock: 'wall',
    isQuick,
    results,
  };
}

function hasChanges(): boolean {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const changes = execFileSync('git', ['status', '--porcelain', '--untracked-files=no'], {
    cwd,
    encoding: 'utf8',
  });
  return changes.trim() !== '';
}

/** `bench/results/<date>-<adapter>.json`, with a number if there is one of that name already. */
export function resultPath({ date, adapter }: BenchReport): string {
  const name = adapter
    .replace(/ \(.*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  const folder = fileURLToPath(new URL('results', import.meta.url));
  const stem = `${folder}/${date.slice(0, 10)}-${name}`;
  for (let n = 1; ; n++) {
    const path = n === 1 ? `${stem}.json` : `${stem}-${n}.json`;
    if (!existsSync(path)) return path;
  }
}

const columns = ['case', 'rate', 'median', 'min', 'p90', 'samples', 'load', ''] as const;
const widths = [34, 24, 10, 10, 10, 8, 6, 0];

/** Head of the table. */
export const tableHead = (): string => line(columns);

/** Row of a case; times in milliseconds per call. */
export function tableRow({ name, rate, unit, isNoisy, ...row }: BenchResult): string {
  const { medianMs, minMs, p90Ms, sampleCount, loadAverage } = row;
  const cells = [medianMs, minMs, p90Ms].map((ms) => ms.toPrecision(4));
  return line([
    name,
    `${rate.toPrecision(4)} ${unit}`,
    ...cells,
    String(sampleCount),
    loadAverage.toFixed(1),
    isNoisy ? 'noisy' : '',
  ]);
}

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
    .join(' ')
    .trimEnd();
}
