// Intervals of anything that is a function of a sample: images are drawn again with replacement, and the spread is looked at.
import { randomStream } from '../../engine/random-bits.ts';
import type { Estimate } from './estimate.ts';

export interface BootstrapOptions {
  /** Default 1000. */
  readonly resamples?: number;
  readonly seed?: number;
}

/** Statistics of a sample in which image n occurs `weights[n]` times; null where one is not defined for it. */
export type Statistics = (weights: Int32Array) => readonly (number | null)[];

const TAIL = 0.025;

/**
 * The statistics of the whole sample with 95 % percentile intervals (Efron 1979) over resamples. Images are drawn within
 * their stratum, so that every resample has as many of each class as the sample: pass the labels as `strata`, or null to
 * draw from all. Weights instead of copies of images let a statistic sort once. Resamples in which a statistic is not
 * defined do not count for it; where fewer than half remain, or where all agree, there is no interval.
 */
export function bootstrap(
  count: number,
  strata: ArrayLike<number> | null,
  statistics: Statistics,
  { resamples = 1000, seed = 0 }: BootstrapOptions = {},
): Estimate[] {
  const values = statistics(new Int32Array(count).fill(1));
  const found = values.map((): number[] => []);
  const groups = groupsOf(count, strata);
  const weights = new Int32Array(count);
  for (let r = 0; r < resamples; r++) {
    resample(weights, groups, seed, r);
    statistics(weights).forEach((value, s) => {
      if (value !== null) found[s].push(value);
    });
  }
  return values.map((value, s) => {
    const [low, high] = value === null ? [null, null] : percentiles(found[s], resamples);
    return { value, low, high };
  });
}

function resample(weights: Int32Array, groups: readonly number[][], seed: number, r: number): void {
  const random = randomStream(seed, 'bootstrap', r);
  weights.fill(0);
  for (const group of groups) {
    for (let i = 0; i < group.length; i++) weights[group[Math.floor(random.uniform() * group.length)]]++;
  }
}

function groupsOf(count: number, strata: ArrayLike<number> | null): number[][] {
  const groups = new Map<number, number[]>();
  for (let n = 0; n < count; n++) {
    const stratum = strata?.[n] ?? 0;
    const group = groups.get(stratum);
    if (group) group.push(n);
    else groups.set(stratum, [n]);
  }
  return [...groups.values()];
}

function percentiles(values: readonly number[], resamples: number): [number, number] | [null, null] {
  if (values.length === 0 || 2 * values.length < resamples) return [null, null];
  const sorted = Float64Array.from(values).sort();
  const [low, high] = [quantile(sorted, TAIL), quantile(sorted, 1 - TAIL)];
  return sorted[0] === sorted[sorted.length - 1] ? [null, null] : [low, high];
}

/** The middle one of some values in any order, or half way between the two in the middle. */
export const medianOf = (values: readonly number[]): number =>
  quantile(Float64Array.from(values).sort(), 0.5);

/** Between the two nearest of the sorted values, in proportion: what numpy and R call type 7. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}
