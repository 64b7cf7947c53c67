// Two results side by side, and which of their differences are more than noise.
import { readFileSync } from 'node:fs';
import { UsageError } from '../engine/errors.ts';
import type { BenchResult } from './measure.ts';
import type { Origin } from './report.ts';

/** The part of a report that is compared. Files from before p10 was kept have the minimum instead. */
export interface Comparable extends Pick<Origin, 'date' | 'commit' | 'adapter'> {
  readonly results: readonly (Pick<BenchResult, 'name' | 'medianMs' | 'minMs' | 'p90Ms'> & {
    readonly p10Ms?: number;
  })[];
}

/** A case of both results. */
export interface ComparedCase {
  readonly name: string;
  readonly beforeMs: number;
  readonly afterMs: number;
  /** Above 1: the second is faster. */
  readonly speedup: number;
  /** The ranges p10-p90 do not meet. */
  readonly isBeyondSpread: boolean;
}

/** A file of results. Throws UsageError when it is none. */
export function readReport(path: string): Comparable {
  const advice = 'give a file of `npm run bench -- --json`';
  let report: unknown;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`compare: ${path} cannot be read (${reason}); ${advice}`, { cause });
  }
  if (!isObject(report) || !Array.isArray(report.results) || report.results.length === 0)
    throw new UsageError(`compare: ${path} holds no cases; ${advice}`);
  if (!isComparable(report))
    throw new UsageError(`compare: ${path} lacks its date, adapter or times; ${advice}`);
  return report;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

function isComparable(report: unknown): report is Comparable {
  if (!isObject(report) || !Array.isArray(report.results)) return false;
  const { date, commit, adapter, results } = report;
  const isHead = typeof date === 'string' && typeof adapter === 'string';
  return isHead && (commit === null || typeof commit === 'string') && results.every(isComparableRow);
}

function isComparableRow(row: unknown): boolean {
  if (!isObject(row)) return false;
  const times = [row.medianMs, row.p90Ms, row.p10Ms ?? row.minMs];
  return typeof row.name === 'string' && times.every((time) => typeof time === 'number');
}

/** The cases that both have, in the order of the second. */
export function compareReports(before: Comparable, after: Comparable): ComparedCase[] {
  const old = new Map(before.results.map((result) => [result.name, result]));
  return after.results.flatMap((now) => {
    const then = old.get(now.name);
    if (!then) return [];
    const low = (result: typeof now) => result.p10Ms ?? result.minMs;
    return [
      {
        name: now.name,
        beforeMs: then.medianMs,
        afterMs: now.medianMs,
        speedup: then.medianMs / now.medianMs,
        isBeyondSpread: low(now) > then.p90Ms || low(then) > now.p90Ms,
      },
    ];
  });
}

/** The comparison as a table, with the cases that only one of them has below it. */
export function comparisonTable(before: Comparable, after: Comparable): string {
  const describe = ({ date, commit, adapter }: Comparable) =>
    `${date.slice(0, 16)}  ${commit?.slice(0, 10) ?? 'no commit'}  ${adapter}`;
  const rows = compareReports(before, after).map(({ name, beforeMs, afterMs, speedup, isBeyondSpread }) => {
    const mark = isBeyondSpread ? (speedup > 1 ? 'faster' : 'slower') : '';
    return line([name, beforeMs.toPrecision(4), afterMs.toPrecision(4), `${speedup.toFixed(2)}x`, mark]);
  });
  const lines = [
    `a: ${describe(before)}`,
    `b: ${describe(after)}`,
    'median milliseconds per call; a word only where the ranges p10-p90 do not meet',
    '',
    line(['case', 'a', 'b', 'speed-up', '']),
    ...rows,
  ];
  const names = (report: Comparable) => new Set(report.results.map(({ name }) => name));
  const [a, b] = [names(before), names(after)];
  const onlyA = [...a].filter((name) => !b.has(name));
  const onlyB = [...b].filter((name) => !a.has(name));
  if (onlyA.length > 0) lines.push('', `only in a: ${onlyA.join(', ')}`);
  if (onlyB.length > 0) lines.push('', `only in b: ${onlyB.join(', ')}`);
  if (before.adapter !== after.adapter)
    lines.push('', 'the adapters differ: this compares machines, not code');
  return lines.join('\n');
}

const widths = [36, 10, 10, 10];

function line([name, a, b, speedup, mark]: readonly string[]): string {
  return `${name.padEnd(widths[0])} ${a.padStart(widths[1])} ${b.padStart(widths[2])} ${speedup.padStart(widths[3])}  ${mark}`.trimEnd();
}
