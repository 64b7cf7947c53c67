// What logits say about a model: numbers of scikit-learn and pROC, and what is said where there is little to say.
import { describe, expect, test } from 'vitest';
import { binOf } from '../isnet/evaluation/calibration.ts';
import { classify } from '../isnet/evaluation/classify.ts';
import {
  pairedDifference,
  proportion,
  undefinedEstimate,
  unpairedDifference,
} from '../isnet/evaluation/estimate.ts';
import { accuracyGap, worstGroupOf } from '../isnet/evaluation/model.ts';
import { logOddsOf, probabilitiesOf, type Scores } from '../isnet/evaluation/scores.ts';
import { expectClose } from './close.ts';
import { evaluationGolden as golden, round, tripleOf } from './golden-evaluation.ts';

const few = { resamples: 50 };

/** Scores of images with one label each. */
function scoresOf(labels: readonly number[], logits: readonly (readonly number[])[]): Scores {
  const K = logits[0].length;
  const targets = new Uint8Array(labels.length * K);
  labels.forEach((label, n) => {
    targets[n * K + label] = 1;
  });
  return {
    count: labels.length,
    classNames: Array.from({ length: K }, (_, k) => `class ${k}`),
    logits: Float64Array.from(logits.flat()),
    targets,
    known: new Uint8Array(labels.length * K).fill(1),
    isMultiLabel: false,
  };
}

/** The formulas of tests/golden-tools/evaluation_numbers.py. */
function singleScores(): Scores {
  const cycle = [0, 0, 0, 1, 1, 2, 3, 0, 1, 2];
  const labels = Array.from({ length: 120 }, (_, n) => cycle[n % 10]);
  return scoresOf(
    labels,
    labels.map((label, n) =>
      [0, 1, 2, 3].map(
        (k) => round(2 * Math.sin(1.7 * n + 2.3 * k + 0.5 * n * k), 3) + (label === k ? 1.5 : 0),
      ),
    ),
  );
}

function severalScores(): Scores {
  const entries = Array.from({ length: 150 }, (_, i) => [Math.floor(i / 3), i % 3] as const);
  return {
    count: 50,
    classNames: ['a', 'b', 'c'],
    logits: Float64Array.from(entries, ([n, k]) => round(2 * Math.sin(0.9 * n + 1.1 * k), 1)),
    targets: Uint8Array.from(entries, ([n, k]) =>
      Math.sin(0.9 * n + 1.1 * k + 0.8 * Math.sin(5 * n)) > 0.3 * k ? 1 : 0,
    ),
    known: Uint8Array.from(entries, ([n, k]) => ((n + 2 * k) % 7 === 0 ? 0 : 1)),
    isMultiLabel: true,
  };
}

describe('images with one label', () => {
  const found = classify(singleScores(), few);
  const { single } = golden;

  test('have the counts of scikit-learn', () => {
    expect(found.confusion).toEqual(single.confusion);
    expect(found.count).toBe(120);
  });

  test.each(['accuracy', 'balancedAccuracy', 'macroF1', 'macroAuc', 'handTill'] as const)(
    'have the %s of scikit-learn',
    (key) => {
      expectClose([found[key]?.value as number], [single[key]], 9);
    },
  );

  test.each(['precision', 'recall', 'f1'] as const)('have the %s by class of scikit-learn', (key) => {
    expectClose(
      found.classes.map((each) => each[key].value as number),
      single[key],
      9,
    );
  });

  test.each([0, 1, 2, 3])('have the AUC of class %d and its DeLong interval of pROC', (k) => {
    expectClose(tripleOf(found.classes[k].auc), single.auc[k], 9);
  });

  test('have the calibration of scikit-learn', () => {
    const { ece, brier, logLoss, bins } = found.calibration;
    expectClose(
      [ece, brier, logLoss].map(({ value }) => value as number),
      [single.ece, single.brier, single.logLoss],
      9,
    );
    const filled = bins.filter(({ count }) => count > 0);
    expect(filled.map(({ count }) => count)).toEqual(single.binSizes);
    expectClose(
      filled.map(({ accuracy }) => accuracy as number),
      single.binAccuracy,
      9,
    );
    expectClose(
      filled.map(({ confidence }) => confidence as number),
      single.binConfidence,
      9,
    );
  });

  test('have bootstrap intervals about as wide as the closed forms', () => {
    const { macroAuc, balancedAccuracy } = classify(singleScores(), { resamples: 400 });
    for (const { value, low, high } of [macroAuc, balancedAccuracy] as {
      value: number;
      low: number;
      high: number;
    }[]) {
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
      // A proportion of .58 of 120 images has .09 on either side, an AUC of .8 a little less.
      expect(high - low).toBeGreaterThan(0.08);
      expect(high - low).toBeLessThan(0.26);
    }
  });

  test('give the same intervals for the same seed, and others for another', () => {
    expect(classify(singleScores(), few)).toEqual(found);
    expect(classify(singleScores(), { ...few, seed: 1 }).macroF1).not.toEqual(found.macroF1);
  });
});

describe('images with several labels', () => {
  const found = classify(severalScores(), few);
  const { several } = golden;

  test.each([0, 1, 2])('have the AUC of label %d over the images of which it is known, as pROC', (k) => {
    expectClose(tripleOf(found.classes[k].auc), several.auc[k], 9);
  });

  test('have the numbers of scikit-learn over known labels', () => {
    expectClose(
      found.classes.map(({ f1 }) => f1.value as number),
      several.f1,
      9,
    );
    const mean3 = (values: number[]): number => values.reduce((a, b) => a + b) / 3;
    const { accuracy, balancedAccuracy, macroF1, calibration } = found;
    expectClose(
      [accuracy, balancedAccuracy, macroF1, calibration.logLoss, calibration.brier].map(
        ({ value }) => value as number,
      ),
      [several.accuracy, mean3(several.balanced), mean3(several.f1), several.logLoss, several.brier],
      9,
    );
  });

  test('have no confusion matrix and no pairs of rivals', () => {
    expect(found.confusion).toBeNull();
    expect(found.handTill).toBeNull();
  });
});

describe('degenerate samples', () => {
  test('one image: what is known is said, and nothing else', () => {
    const found = classify(scoresOf([1], [[0, 3]]), few);
    expect(found.accuracy.value).toBe(1);
    expect(found.balancedAccuracy).toEqual({ value: 1, low: null, high: null });
    expect(found.macroAuc).toEqual(undefinedEstimate);
    expect(found.handTill).toEqual(undefinedEstimate);
    expect(found.classes[0]).toMatchObject({
      shown: 0,
      recall: undefinedEstimate,
      precision: undefinedEstimate,
      f1: undefinedEstimate,
    });
  });

  test('a class without images does not count in means', () => {
    const found = classify(
      scoresOf(
        [0, 0, 1, 1],
        [
          [2, 1, 0],
          [2, 1, 0],
          [0, 1, 0],
          [2, 1, 0],
        ],
      ),
      few,
    );
    expect(found.balancedAccuracy.value).toBe(0.75);
    expect(found.classes[2].auc).toEqual(undefinedEstimate);
    expect(found.macroF1.value).toBeCloseTo((4 / 5 + 2 / 3) / 2, 12);
  });

  test('equal logits: the first class is said, AUC is one half, confidence 1/K', () => {
    const found = classify(
      scoresOf(
        [0, 1, 0, 1],
        [
          [1, 1],
          [1, 1],
          [1, 1],
          [1, 1],
        ],
      ),
      few,
    );
    expect(found.accuracy.value).toBe(0.5);
    expect(found.classes[1].precision).toEqual(undefinedEstimate);
    expect(found.macroAuc.value).toBe(0.5);
    expect(found.handTill?.value).toBe(0.5);
    expect(found.calibration.ece.value).toBe(0);
    expect(found.calibration.brier.value).toBe(0.5);
  });

  test('certainty beyond the precision of probabilities still orders images, and costs a finite loss', () => {
    const scores = scoresOf(
      [0, 0, 1],
      [
        [900, 0],
        [800, 0],
        [750, 0],
      ],
    );
    expect([...probabilitiesOf(scores)]).toEqual([1, 0, 1, 0, 1, 0]);
    expect([...logOddsOf(scores)]).toEqual([900, -900, 800, -800, 750, -750]);
    const found = classify(scores, few);
    expect(found.macroAuc.value).toBe(1);
    expect(found.calibration.logLoss.value).toBeCloseTo(750 / 3, 9);
  });

  test('a single class has an accuracy and no rivals', () => {
    const found = classify(scoresOf([0, 0], [[1], [2]]), few);
    expect(found.accuracy.value).toBe(1);
    expect(found.macroAuc).toEqual(undefinedEstimate);
  });
});

test('confidences at the edge of a bin belong to the bin below', () => {
  expect([0, 0.05, 0.1, 0.1001, 1].map((confidence) => binOf(confidence, 10))).toEqual([0, 0, 0, 1, 9]);
});

describe('gaps and groups', () => {
  const right = [
    [1, 0],
    [1, 0],
    [0, 1],
    [0, 1],
  ];
  const labels = [0, 0, 1, 1];
  const biased = scoresOf(labels, right);
  const deceiving = scoresOf(labels, [
    [1, 0],
    [0, 1],
    [1, 0],
    [1, 0],
  ]);

  test('of the same images are paired, of others not', () => {
    const half = scoresOf(labels, [
      [1, 0],
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    const paired = pairedDifference({ both: 2, onlyFirst: 0, onlySecond: 0, neither: 2 });
    const unpaired = unpairedDifference(proportion(2, 4), proportion(2, 4));
    expect(paired.high).toBeLessThan(unpaired.high as number);
    expect(accuracyGap(half, half, true)).toEqual(paired);
    expect(accuracyGap(half, half, false)).toEqual(unpaired);
    const counts = { both: 1, onlyFirst: 3, onlySecond: 0, neither: 0 };
    expect(accuracyGap(biased, deceiving, true)).toEqual(pairedDifference(counts));
  });

  test('the worst group is the class and set with the lowest accuracy', () => {
    const sets = { biased: classify(biased, few), deceiving: classify(deceiving, few) };
    expect(worstGroupOf(sets)).toEqual({
      set: 'deceiving',
      className: 'class 1',
      count: 2,
      accuracy: proportion(0, 2),
    });
  });
});
