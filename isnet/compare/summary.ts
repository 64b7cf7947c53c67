// What the seeds of a comparison say together.
import { type Estimate, undefinedEstimate, Z_95 } from '../evaluation/estimate.ts';
import type { CellResult } from './cell.ts';

/** Mean over seeds with its 95 % interval, and how far single seeds stray. */
export interface Spread extends Estimate {
  /** Sample standard deviation; null for fewer than two seeds. */
  readonly deviation: number | null;
  readonly count: number;
}

/** One method on one benchmark, over all seeds that are there. */
export interface MethodSummary {
  readonly benchmark: string;
  readonly method: string;
  readonly seeds: readonly number[];
  /** By test set, in the order of the benchmark. */
  readonly accuracy: Readonly<Record<string, Spread>>;
  readonly backgroundShare: Spread | null;
  readonly gradCamBackgroundShare: Spread | null;
  /** Of all seeds together; null if a cell does not say. */
  readonly gradCamMaps: { readonly explained: number; readonly empty: number } | null;
  readonly trainMsPerImage: Spread;
  readonly inferenceMs: Spread;
  /** Whether the times were all taken with no other training beside. */
  readonly isTimedAlone: boolean;
  readonly parameters: CellResult['parameters'];
  /** What repeats each seed. */
  readonly commands: readonly string[];
}

/** Student's t for 1, 2, .. degrees of freedom: the quantile that leaves 2.5 % above it. */
const T_95 = [
  12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
  2.200985, 2.178813, 2.160369, 2.144787, 2.13145, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963, 2.079614,
  2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.04523, 2.042272,
] as const;

/** Beyond the table by the first two terms of its expansion about the normal quantile (Abramowitz and Stegun 26.7.5). */
function studentQuantile(freedom: number): number {
  const tabled = T_95[freedom - 1];
  if (tabled !== undefined) return tabled;
  const [z, v] = [Z_95, freedom];
  return z + (z ** 3 + z) / (4 * v) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * v ** 2);
}

/** Mean +- t s / sqrt(n), as for numbers that are normal. One number has no interval. */
export function spreadOf(values: readonly number[]): Spread {
  const n = values.length;
  if (n === 0) return { ...undefinedEstimate, deviation: null, count: 0 };
  const value = values.reduce((a, b) => a + b, 0) / n;
  if (n === 1) return { value, low: null, high: null, deviation: null, count: 1 };
  const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - value) ** 2, 0) / (n - 1));
  const half = (studentQuantile(n - 1) * deviation) / Math.sqrt(n);
  return { value, low: value - half, high: value + half, deviation, count: n };
}

/** The interval of a share, which cannot leave [0, 1]. */
function shareSpread(values: readonly number[]): Spread {
  const spread = spreadOf(values);
  const { low, high } = spread;
  return {
    ...spread,
    low: low === null ? null : Math.max(0, low),
    high: high === null ? null : Math.min(1, high),
  };
}

/** One summary for each benchmark and method that has a cell, in the order of their first cells. */
export function summarizeCells(cells: readonly CellResult[]): MethodSummary[] {
  const groups = new Map<string, CellResult[]>();
  for (const cell of cells) {
    const key = JSON.stringify([cell.benchmark, cell.method]);
    groups.set(key, [...(groups.get(key) ?? []), cell]);
  }
  return [...groups.values()].map(summaryOf);
}

function mapsOf(cells: readonly CellResult[]): MethodSummary['gradCamMaps'] {
  const maps = cells.map(({ gradCamMaps }) => gradCamMaps).filter((x) => x !== undefined);
  if (maps.length < cells.length) return null;
  const total = (of: 'explained' | 'empty') => maps.reduce((sum, cell) => sum + cell[of], 0);
  return { explained: total('explained'), empty: total('empty') };
}

function summaryOf(cells: readonly CellResult[]): MethodSummary {
  const [{ benchmark, method, accuracy, parameters }] = cells;
  const shareOf = (name: 'backgroundShare' | 'gradCamBackgroundShare'): Spread | null => {
    const shares = cells.map((cell) => cell[name]).filter((x) => x !== null);
    return shares.length === cells.length ? shareSpread(shares) : null;
  };
  return {
    benchmark,
    method,
    seeds: cells.map(({ seed }) => seed),
    accuracy: Object.fromEntries(
      Object.keys(accuracy).map((set) => [set, shareSpread(cells.map((cell) => cell.accuracy[set]))]),
    ),
    backgroundShare: shareOf('backgroundShare'),
    gradCamBackgroundShare: shareOf('gradCamBackgroundShare'),
    gradCamMaps: mapsOf(cells),
    trainMsPerImage: spreadOf(cells.map(({ trainSecondsPerImage }) => 1000 * trainSecondsPerImage)),
    inferenceMs: spreadOf(cells.map(({ inferenceMs }) => inferenceMs)),
    isTimedAlone: cells.every(({ jobs }) => jobs === 1),
    parameters,
    commands: cells.map(({ command }) => command),
  };
}
