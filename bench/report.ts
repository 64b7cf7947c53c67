// What becomes of the numbers: a table for people, JSON for comparison.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../engine/errors.ts';
import { writeFileAtomically } from '../engine/files.ts';
import type { Device } from '../engine/tensor.ts';
import { describeEnvironment } from '../isnet/environment.ts';
import type { Ceilings } from './ceiling.ts';
import type { BenchResult } from './measure.ts';

/** What was measured, where and when: the head of every file in bench/results. */
export interface Origin {
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
}

/** What all files of results have in common. */
export interface Report extends Origin {
  /** False when an error or Ctrl-C ended the run: cases are missing. */
  readonly isComplete: boolean;
}

/** Contents of a file that `npm run bench -- --json` writes. */
export interface BenchReport extends Report {
  /** Clock of all times but `deviceMs`. */
  readonly clock: 'wall';
  /** Too few samples to publish. */
  readonly isQuick: boolean;
  readonly ceilings: Ceilings;
  readonly results: readonly BenchResult[];
}

/** The head of a file of results. */
export function originOf(device: Device): Origin {
  // Field by field: the environment also holds the command, with paths of this machine.
  const { date, commit, adapter, node, platform, cpu, cpuCount } = describeEnvironment(device);
  const root = fileURLToPath(new URL('..', import.meta.url));
  const hasUncommittedChanges = commit !== null && hasChanges(root);
  return { date, commit, hasUncommittedChanges, adapter, node, platform, cpu, cpuCount };
}

/** Whether files of the clone at `cwd` differ from its commit. Results do not count: a run that writes them anew changes no code. */
export function hasChanges(cwd: string): boolean {
  const paths = ['--', '.', ':!bench/results'];
  const changes = execFileSync('git', ['status', '--porcelain', '--untracked-files=no', ...paths], {
    cwd,
    encoding: 'utf8',
  });
  return changes.trim() !== '';
}

/** `bench/results/<date>-<adapter>.json`, with a kind before the adapter if given, and a number if there is such a file. */
export function resultPath({ date, adapter }: Origin, kind = ''): string {
  const name = adapter
    .replace(/ \(.*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  const folder = fileURLToPath(new URL('results', import.meta.url));
  const stem = `${folder}/${date.slice(0, 10)}-${kind && `${kind}-`}${name}`;
  for (let n = 1; ; n++) {
    const path = n === 1 ? `${stem}.json` : `${stem}-${n}.json`;
    if (!existsSync(path)) return path;
  }
}

/**
 * Where `--json` wants the results: a file by name, or that of `resultPath`; undefined without it. Makes the folder. Throws
 * UsageError if no file can be written there: to be asked before measuring, because minutes later the results would be lost.
 */
export function resultFile(json: string | true | undefined, origin: Origin, kind = ''): string | undefined {
  if (json === undefined) return undefined;
  const path = json === true ? resultPath(origin, kind) : json;
  try {
    mkdirSync(dirname(path), { recursive: true });
    // Tried, because permissions do not tell: a folder may be read-only for everybody.
    rmdirSync(mkdtempSync(join(dirname(path), '.writable-')));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`bench: cannot write '${path}' (${reason}); name another file`, { cause });
  }
  // What is renamed to the path would replace a device, too.
  if (existsSync(path) && !statSync(path).isFile())
    throw new UsageError(`bench: '${path}' is no file; name a file for the results`);
  return path;
}

/** Writes a report as JSON and says where. Throws DataError when it cannot be written. */
export async function writeReport(report: Report, path: string): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(report, null, 2)}\n`, { where: 'bench' });
  console.log(`\nresults: ${relative('', path)}`);
}

/** Lines above the table: the device, and what shares are shares of. */
export function describeRun({ adapter, cpu, cpuCount, node }: Origin, ceilings: Ceilings): string {
  const parts = Object.entries(ceilings).map(
    ([unit, { rate, what }]) => `${rate.toPrecision(3)} ${unit} (${what})`,
  );
  return [
    `adapter: ${adapter}`,
    `host: ${cpu}, ${cpuCount} cores, Node ${node}`,
    `ceilings that \`of top\` is a share of, measured now: ${parts.join(', ')}`,
  ].join('\n');
}

const columns = ['case', 'rate', 'of top', 'median', 'p10-p90', 'device', 'samples', 'load', ''] as const;
const widths = [36, 24, 7, 10, 20, 10, 8, 6, 0];

/** Head of the table. */
export const tableHead = (): string => line(columns);

/** Row of a case; times in milliseconds per call. */
export function tableRow({ name, rate, unit, isNoisy, ...row }: BenchResult): string {
  const { ceilingShare, medianMs, p10Ms, p90Ms, deviceMs, sampleCount, loadAverage } = row;
  return line([
    name,
    `${rate.toPrecision(4)} ${unit}`,
    ceilingShare === null ? '' : `${(100 * ceilingShare).toFixed(0)} %`,
    medianMs.toPrecision(4),
    `${p10Ms.toPrecision(4)}-${p90Ms.toPrecision(4)}`,
    deviceMs === null ? '' : deviceMs.toPrecision(4),
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
