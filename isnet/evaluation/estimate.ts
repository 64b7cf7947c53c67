// A number with its 95 % interval, and the closed-form intervals of proportions, their differences and of means.
//
// Where there is nothing to count, or where a method says nothing about the spread, there is null and not a guess: JSON
// has no NaN, and an interval of width zero would claim a certainty that nobody has.

/** A number and its 95 % interval. */
export interface Estimate {
  /** Null if it is not defined, as the recall of a class without images. */
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** The quantile of the normal distribution that leaves 2.5 % above it. */
export const Z_95 = 1.959963984540054;

/** What there is to say about nothing. */
export const undefinedEstimate: Estimate = { value: null, low: null, high: null };

/** A number whose interval is not known. */
export const withoutInterval = (value: number | null): Estimate => ({ value, low: null, high: null });

/**
 * A proportion with Wilson's score interval (Wilson 1927):   (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
 * It never leaves [0, 1] and has a width at p = 0 and p = 1 too. Undefined for n = 0.
 */
export function proportion(successes: number, n: number): Estimate {
  if (n === 0) return undefinedEstimate;
  const p = successes / n;
  const square = Z_95 ** 2 / n;
  const center = p + square / 2;
  const half = Math.sqrt((p * (1 - p) * Z_95 ** 2) / n + square ** 2 / 4);
  // At the ends the exact bound is the end itself, which rounding misses by a little.
  const low = successes === 0 ? 0 : (center - half) / (1 + square);
  const high = successes === n ? 1 : (center + half) / (1 + square);
  return { value: p, low, high };
}

/** The same images classified twice: how many were right both times, only the first, only the second, never. */
export interface PairedCounts {
  readonly both: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly neither: number;
}

/**
 * Difference of two proportions over the same images, first minus second, with Newcombe's interval (Newcombe 1998, Stat.
 * Med. 17, 2635-2650, method 10): Wilson's intervals of both, combined by squares, with the correlation phi of the pairs.
 * Undefined without images.
 */
export function pairedDifference({ both, onlyFirst, onlySecond, neither }: PairedCounts): Estimate {
  const n = both + onlyFirst + onlySecond + neither;
  if (n === 0) return undefinedEstimate;
  const margins = [both + onlyFirst, onlySecond + neither, both + onlySecond, onlyFirst + neither];
  const product = margins.reduce((a, b) => a * b, 1);
  const determinant = both * neither - onlyFirst * onlySecond;
  // Newcombe's continuity correction: a positive association counts only as far as it exceeds n / 2.
  const corrected = determinant > 0 ? Math.max(0, determinant - n / 2) : determinant;
  const phi = product === 0 ? 0 : corrected / Math.sqrt(product);
  return combined(proportion(margins[0], n), proportion(margins[2], n), phi);
}

/** Difference of two proportions over different images, with Newcombe's interval (Newcombe 1998, Stat. Med. 17, 873-890, method 10). */
export const unpairedDifference = (first: Estimate, second: Estimate): Estimate => combined(first, second, 0);

function combined(first: Estimate, second: Estimate, phi: number): Estimate {
  const [p1, l1, u1] = numbersOf(first);
  const [p2, l2, u2] = numbersOf(second);
  const half = (a: number, b: number): number => Math.sqrt(Math.max(0, a * a - 2 * phi * a * b + b * b));
  const value = p1 - p2;
  return Number.isNaN(value)
    ? undefinedEstimate
    : { value, low: value - half(p1 - l1, u2 - p2), high: value + half(p2 - l2, u1 - p1) };
}

const numbersOf = ({ value, low, high }: Estimate) =>
  [value ?? Number.NaN, low ?? Number.NaN, high ?? Number.NaN] as const;

/**
 * Mean of numbers in [0, 1], +- z s / sqrt(n) with the sample deviation s, cut to [0, 1]. No interval for fewer than two
 * numbers or for equal ones.
 */
export function meanShare(values: readonly number[]): Estimate {
  const { value, low, high } = mean(values);
  return {
    value,
    low: low === null ? null : Math.max(0, low),
    high: high === null ? null : Math.min(1, high),
  };
}

/** NaN for none. */
export const meanOf = (values: readonly number[]): number =>
  values.reduce((a, b) => a + b, 0) / values.length;

/** Mean, +- z s / sqrt(n). No interval for fewer than two numbers or for equal ones; undefined for none. */
export function mean(values: readonly number[]): Estimate {
  const n = values.length;
  if (n === 0) return undefinedEstimate;
  const value = meanOf(values);
  const variance = values.reduce((a, b) => a + (b - value) ** 2, 0) / (n - 1);
  if (!(variance > 0)) return withoutInterval(value);
  const half = Z_95 * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half };
}

/** Mean of the numbers that are defined; null if none is. */
export function meanOfDefined(values: readonly (number | null)[]): number | null {
  const defined = values.filter((value) => value !== null);
  return defined.length === 0 ? null : meanOf(defined);
}
