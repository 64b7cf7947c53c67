// Intervals, areas under curves and the bootstrap: numbers of R and the papers, and what is said where there is little to say.
import { describe, expect, test } from 'vitest';
import { auc, handTill, midranks, oneVersusRest } from '../isnet/evaluation/auc.ts';
import { bootstrap, medianOf, quantile } from '../isnet/evaluation/bootstrap.ts';
import {
  mean,
  meanShare,
  pairedDifference,
  proportion,
  undefinedEstimate,
  unpairedDifference,
} from '../isnet/evaluation/estimate.ts';
import { expectClose } from './close.ts';
import { evaluationGolden as golden, round, tripleOf } from './golden-evaluation.ts';

const few = { resamples: 50 };

describe('intervals of proportions', () => {
  test.each(Object.entries<number[]>(golden.wilson))('%s is Wilson, as R has it', (counts, expected) => {
    const [x, n] = counts.split('/').map(Number);
    expectClose(tripleOf(proportion(x, n)), expected, 9);
  });

  test.each(Object.entries<number[]>(golden.newcombe))(
    'pairs %s are Newcombe, method 10',
    (counts, expected) => {
      const [both, onlyFirst, onlySecond, neither] = counts.split(',').map(Number);
      expectClose(tripleOf(pairedDifference({ both, onlyFirst, onlySecond, neither })), expected, 9);
    },
  );

  test('of pairs are those that the papers print', () => {
    // Newcombe 1998 (paired), table III, and Altman et al. 2000, page 52.
    const newcombe = pairedDifference({ both: 36, onlyFirst: 12, onlySecond: 2, neither: 0 });
    expect(tripleOf(newcombe).map((x) => round(x, 4))).toEqual([0.2, 0.0569, 0.3404]);
    const altman = pairedDifference({ both: 14, onlyFirst: 5, onlySecond: 0, neither: 22 });
    expect(tripleOf(altman).map((x) => round(x, 3))).toEqual([0.122, 0.011, 0.226]);
  });

  test('of unpaired differences are those that the paper prints', () => {
    // Newcombe 1998 (unpaired), table II, 56/70 - 48/80.
    const found = unpairedDifference(proportion(56, 70), proportion(48, 80));
    expect(tripleOf(found).map((x) => round(x, 4))).toEqual([0.2, 0.0524, 0.3339]);
  });

  test('of nothing are not defined', () => {
    expect(proportion(0, 0)).toEqual(undefinedEstimate);
    expect(pairedDifference({ both: 0, onlyFirst: 0, onlySecond: 0, neither: 0 })).toEqual(undefinedEstimate);
    expect(unpairedDifference(proportion(1, 2), undefinedEstimate)).toEqual(undefinedEstimate);
  });

  test('of means need two different numbers, and those of shares stay in [0, 1]', () => {
    expect(mean([])).toEqual(undefinedEstimate);
    expect(mean([3])).toEqual({ value: 3, low: null, high: null });
    expect(mean([3, 3, 3])).toEqual({ value: 3, low: null, high: null });
    // s^2 = 1, so 1.96 / sqrt(3) on either side.
    expectClose(tripleOf(mean([1, 2, 3])), [2, 2 - 1.131585, 2 + 1.131585], 5);
    expect(tripleOf(meanShare([0, 1]))).toEqual([0.5, 0, 1]);
  });
});

describe('the area under the curve', () => {
  test('has the midranks of ties', () => {
    expect([...midranks([3, 1, 3, 2, 3])]).toEqual([4, 1, 4, 2, 4]);
    expect([...midranks([7, 7])]).toEqual([1.5, 1.5]);
    expect([...midranks([])]).toEqual([]);
  });

  test('and its interval are those of pROC where scores tie', () => {
    const scores = Array.from({ length: 40 }, (_, n) => round(2 * Math.sin(3 * n), 0) / 2);
    const isPositive = (n: number): boolean => (n * n) % 5 < 2;
    const found = auc(
      scores.filter((_, n) => isPositive(n)),
      scores.filter((_, n) => !isPositive(n)),
    );
    expectClose(tripleOf(found), golden.ties, 9);
  });

  test('counts pairs: by hand', () => {
    // Of 2 x 3 pairs 4 in order and one tied.
    expect(auc([3, 1], [0, 1, 2]).value).toBe(4.5 / 6);
  });

  test('says nothing of its spread where there is nothing to see', () => {
    expect(auc([], [1])).toEqual(undefinedEstimate);
    expect(auc([1], [])).toEqual(undefinedEstimate);
    expect(auc([2, 3], [0, 1])).toEqual({ value: 1, low: null, high: null });
    expect(auc([1, 1], [1, 1])).toEqual({ value: 0.5, low: null, high: null });
    expect(auc([2], [1, 3])).toEqual({ value: 0.5, low: null, high: null });
  });

  test('of a weighted sample is that of the sample with its images repeated', () => {
    const scores = Float64Array.from([1, 2, 2, 3, 0, 2]);
    const kinds = [{ positives: [0, 1, 3], negatives: [2, 4, 5] }];
    const weights = [2, 1, 0, 3, 1, 2];
    const repeated = (images: readonly number[]) =>
      images.flatMap((n) => new Array<number>(weights[n]).fill(scores[n]));
    expectClose(
      [oneVersusRest(scores, kinds)(weights) as number],
      [auc(repeated([0, 1, 3]), repeated([2, 4, 5])).value as number],
      12,
    );
  });

  test('of Hand and Till leaves out classes without images', () => {
    // Classes 0 and 1 by the scores of 0 and of 1; class 2 has no images.
    const scores = Float64Array.from([3, 0, 9, 1, 2, 9, 2, 1, 9]);
    const M = handTill(scores, [[0, 2], [1], []]);
    expect(M([1, 1, 1])).toBe(1);
    expect(M([1, 0, 1])).toBeNull();
  });
});

describe('the bootstrap', () => {
  test('draws within strata: every resample has as many of each', () => {
    const strata = [0, 0, 0, 1, 2, 2];
    bootstrap(
      6,
      strata,
      (weights) => {
        const drawn = [0, 0, 0];
        weights.forEach((w, n) => {
          drawn[strata[n]] += w;
        });
        expect(drawn).toEqual([3, 1, 2]);
        return [];
      },
      few,
    );
  });

  test('has the spread of a mean', () => {
    const values = Array.from({ length: 200 }, (_, n) => Math.sin(n * n));
    const [{ low, high }] = bootstrap(200, null, (weights) => [
      values.reduce((sum, v, n) => sum + v * weights[n], 0) / 200,
    ]);
    const normal = mean(values) as { low: number; high: number };
    expect(Math.abs(((high as number) - (low as number)) / (normal.high - normal.low) - 1)).toBeLessThan(0.1);
  });

  test('leaves out resamples without the statistic, and gives none if most are', () => {
    // Of four images, the first is in 68 % of the resamples, and in 42 % exactly once.
    const [often, rarely] = bootstrap(
      4,
      null,
      (weights) => [weights[0] > 0 ? weights[0] : null, weights[0] === 1 ? weights[1] : null],
      { resamples: 400 },
    );
    expect(often).toMatchObject({ value: 1, low: 1 });
    expect(rarely).toEqual({ value: 1, low: null, high: null });
  });

  test('has the quantiles of numpy', () => {
    expect(quantile([1, 2, 3, 4], 0.025)).toBeCloseTo(1.075, 12);
    expect(quantile([1, 2, 3, 4], 1)).toBe(4);
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(quantile([1, 2, 3], 0.5)).toBe(2);
    expect(quantile([0, 10], 0.9)).toBe(9);
    expect(quantile([7], 0.9)).toBe(7);
    expect(quantile([5], 0.5)).toBe(5);
    expect([medianOf([30, 7, 200]), medianOf([30, 7, 200, 8])]).toEqual([30, 19]);
  });
});
