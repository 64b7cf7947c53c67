// Severity: rank correlation against that of LRP's metrics and written-out samples, within images and over all regions.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { rankCorrelation } from '../isnet/experts/rank-correlation.ts';
import { correlationWithin, type JudgedRegion, severityAgreement } from '../isnet/experts/severity.ts';
import { spearman } from '../lrp/metrics/statistics.ts';

const device = new CpuDevice();
const once = (values: readonly unknown[]): number[] => values.map(() => 1);
const regions = (densities: readonly number[], severities: readonly (number | null)[]): JudgedRegion[] =>
  densities.map((density, r) => ({ density, severity: severities[r] }));

describe('rank correlation', () => {
  // Few values, hence many ties.
  const pairs = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 4 })), {
    minLength: 2,
    maxLength: 12,
  });

  test('is that of the metrics of heatmaps, wherever it is defined', () => {
    fc.assert(
      fc.property(pairs, (sample) => {
        const [a, b] = [sample.map(([x]) => x), sample.map(([, y]) => y)];
        const found = rankCorrelation(a, b)(once(sample));
        if (new Set(b).size === 1) {
          expect(found).toBeNull();
          return;
        }
        const n = sample.length;
        expect(found).toBeCloseTo(
          dataOf(spearman(tensor(device, a, [1, n]), tensor(device, b, [1, n])))[0],
          9,
        );
      }),
      { seed: 1 },
    );
  });

  test('of pairs that occur several times is that of the sample written out', () => {
    const weights = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(pairs, weights, (sample, counts) => {
        const written = sample.flatMap((pair, i) => Array.from({ length: counts[i] }, () => pair));
        const of = (those: typeof sample) =>
          rankCorrelation(
            those.map(([x]) => x),
            those.map(([, y]) => y),
          );
        expect(of(sample)(counts)).toEqual(of(written)(once(written)));
      }),
      { seed: 2 },
    );
  });

  test('is 1 or -1 for orders that are the same or turned round, 0 for densities without an order', () => {
    expect(rankCorrelation([1, 5, 9], [2, 3, 40])([1, 1, 1])).toBe(1);
    expect(rankCorrelation([1, 5, 9], [0, -3, -40])([1, 2, 1])).toBe(-1);
    expect(rankCorrelation([7, 7, 7], [1, 2, 3])([1, 1, 1])).toBe(0);
  });
});

describe('severity', () => {
  test('within an image needs three graded regions and two severities', () => {
    expect(correlationWithin(regions([3, 2, 1], [30, 20, 10]))).toBe(1);
    expect(correlationWithin(regions([3, 2, 1], [30, 20, null]))).toBeNull();
    expect(correlationWithin(regions([3, 2, 1, 9], [30, 20, 10, null]))).toBe(1);
    expect(correlationWithin(regions([3, 2, 1], [5, 5, 5]))).toBeNull();
    expect(correlationWithin([])).toBeNull();
  });

  test('a map that is the same everywhere agrees with no order, and counts', () => {
    const flat = regions([0, 0, 0], [1, 2, 3]);
    expect(correlationWithin(flat)).toBe(0);
    expect(severityAgreement([flat, regions([1, 2, 3], [1, 2, 3])]).severityCorrelation.value).toBe(0.5);
  });

  test('within images and over all regions are two things: the scale of a map counts in one of them alone', () => {
    // Each heatmap is in order, but the image with the mild regions has ten times the relevance.
    const images = [regions([10, 20, 30], [1, 2, 3]), regions([1, 2, 3], [4, 5, 6])];
    const found = severityAgreement(images);
    expect(found.severityCorrelation.value).toBe(1);
    // Ranks 4 5 6 1 2 3 against 1 2 .. 6: 1 - 6 * 54 / (6 * 35).
    expect(found.pooledSeverityCorrelation.value).toBeCloseTo(1 - 54 / 35, 12);
    expect(found).toMatchObject({ severityCount: 2, pooledSeverityCount: 6 });
  });

  test('over all regions counts images with too few regions of their own', () => {
    const found = severityAgreement([regions([1], [1]), regions([2, 3], [2, 3]), regions([9], [null])]);
    expect(found).toMatchObject({ severityCount: 0, pooledSeverityCount: 3 });
    expect(found.severityCorrelation).toEqual({ value: null, low: null, high: null });
    expect(found.pooledSeverityCorrelation.value).toBe(1);
  });

  test('intervals come from drawing images again, and hold the numbers', () => {
    const images = Array.from({ length: 20 }, (_, n) =>
      regions([1, 2, 3], n % 4 === 0 ? [3, 2, 1] : [1, 2, 3]),
    );
    const { severityCorrelation, pooledSeverityCorrelation } = severityAgreement(images);
    // 15 of 20 are in order: (15 - 5) / 20, and two binomial deviations are 2 * 2 * sqrt(0.75 * 0.25 / 20) = 0.39.
    expect(severityCorrelation.value).toBe(0.5);
    expect(severityCorrelation.low).toBeCloseTo(0.5 - 0.39, 0);
    for (const { value, low, high } of [severityCorrelation, pooledSeverityCorrelation]) {
      expect(low).toBeLessThan(value as number);
      expect(high).toBeGreaterThan(value as number);
      expect(low).toBeGreaterThan(-1);
      expect(high).toBeLessThanOrEqual(1);
    }
    expect(severityAgreement(images)).toEqual(severityAgreement(images));
  });

  test('of no image, of one, and of nothing graded is NaN-free', () => {
    const nothing = { value: null, low: null, high: null };
    for (const images of [[], [regions([1, 2], [null, null])]]) {
      expect(severityAgreement(images)).toEqual({
        severityCorrelation: nothing,
        severityCount: 0,
        pooledSeverityCorrelation: nothing,
        pooledSeverityCount: 0,
      });
    }
    // One image drawn again is the same image: no interval.
    const one = severityAgreement([regions([1, 2, 3], [1, 3, 2])]);
    expect(one.severityCorrelation).toEqual({ value: 0.5, low: null, high: null });
    expect(one.pooledSeverityCorrelation).toEqual({ value: 0.5, low: null, high: null });
  });
});
