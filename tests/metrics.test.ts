// Metrics of attributions: published and hand-made numbers, and scores that know nothing of the rest of the batch.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Attribution } from '../lrp/attributions/attribution.ts';
import { gradient, inputTimesGradient } from '../lrp/attributions/gradient.ts';
import { integratedGradients } from '../lrp/attributions/integrated-gradients.ts';
import { completenessError, explainedScore } from '../lrp/metrics/completeness.ts';
import { entropy, sparseness } from '../lrp/metrics/complexity.ts';
import { faithfulnessCorrelation, pixelFlipping, regionPerturbation } from '../lrp/metrics/faithfulness.ts';
import {
  backgroundShare,
  pointingGame,
  relevanceMassAccuracy,
  relevanceRankAccuracy,
  topKIntersection,
} from '../lrp/metrics/localisation.ts';
import { sensitivity } from '../lrp/metrics/robustness.ts';
import { averageRank, pearson, spearman } from '../lrp/metrics/statistics.ts';
import { Flatten, Linear } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { initOn } from './small-nets.ts';

const device = new CpuDevice();
const row = (...values: number[]) => tensor(device, values, [1, values.length]);

describe('the toy map .4 .3 -.1 .2 .05 -.05 with a mask over its first two values has', () => {
  const a = row(0.4, 0.3, -0.1, 0.2, 0.05, -0.05);
  const s = row(1, 1, 0, 0, 0, 0);
  test('mass accuracy .875 signed, .7368421 positive, .6363636 absolute', () => {
    const masses = (['signed', 'positive', 'absolute'] as const).map(
      (mass) => dataOf(relevanceMassAccuracy(a, s, { mass }))[0],
    );
    expectClose(masses, [0.875, 0.7368421, 0.6363636]);
  });
  test('background share .3636364', () => expectClose(dataOf(backgroundShare(a, s)), [0.3636364]));
  test('rank accuracy 1', () => expectClose(dataOf(relevanceRankAccuracy(a, s)), [1], 12));
  test('sparseness .3939394', () => expectClose(dataOf(sparseness(a)), [0.3939394]));
  test('entropy 1.5311533', () => expectClose(dataOf(entropy(a)), [1.5311533]));
});

describe('localisation', () => {
  test('by rank asks for as many values as the mask of each image has', () => {
    const a = tensor(device, [5, 4, 3, 2, 1, 5, 4, 3, 2, 1], [2, 5]);
    const s = tensor(device, [1, 0, 1, 1, 0, 0, 0, 0, 1, 1], [2, 5]);
    expectClose(dataOf(relevanceRankAccuracy(a, s)), [2 / 3, 0], 12);
    expectClose(dataOf(topKIntersection(a, s, { k: 4 })), [3 / 4, 1 / 4], 12);
  });
  test('by rank counts equal values by their chance, wherever they are stored', () => {
    // The top 3: the 9, and two of four zeros, of which one is inside.
    expectClose(dataOf(relevanceRankAccuracy(row(0, 9, 0, 0, 0), row(1, 1, 0, 0, 1))), [(1 + 1) / 3], 12);
    expectClose(dataOf(relevanceRankAccuracy(row(0, 0, 0, 9, 0), row(0, 0, 1, 1, 1))), [(1 + 1) / 3], 12);
    expectClose(dataOf(relevanceRankAccuracy(row(0, 0, 0, 0, 0), row(0, 1, 0, 0, 0))), [1 / 5], 12);
  });
  test('by pointing takes any of equal maxima', () => {
    const a = tensor(device, [3, 1, 3, 2, -1, -2, -3, -1, 5, 0, 0, 0], [3, 4]);
    const s = tensor(device, [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0], [3, 4]);
    expect([...dataOf(pointingGame(a, s))]).toEqual([1, 0, 1]);
  });
  test('by pointing is a miss for a map of zeros, for one without a positive value, and for one that is flat', () => {
    const a = tensor(device, [0, 0, 0, -1, 0, -2, -3, -1, -2, 2, 2, 2, 0, 0, 1e-30], [5, 3]);
    const s = tensor(device, new Array<number>(15).fill(1), [5, 3]);
    expect([...dataOf(pointingGame(a, s))]).toEqual([0, 0, 0, 0, 1]);
  });
  test('of a map of zeros, or for an empty mask, is none', () => {
    const [zeros, some] = [row(0, 0, 0), row(1, 0, 0)];
    expect(dataOf(relevanceMassAccuracy(zeros, some))[0]).toBe(0);
    expect(dataOf(backgroundShare(zeros, some))[0]).toBe(1);
    expect(dataOf(relevanceRankAccuracy(some, zeros))[0]).toBe(0);
    expect([...dataOf(sparseness(zeros)), ...dataOf(entropy(zeros))]).toEqual([0, -0]);
  });
  test('counts every channel under a mask of pixels', () => {
    const a = tensor(device, [1, 2, 3, 4], [1, 2, 1, 2]);
    const mask = tensor(device, [0, 1], [1, 1, 1, 2]);
    expectClose(dataOf(relevanceMassAccuracy(a, mask)), [0.6], 12);
    expectClose(dataOf(relevanceRankAccuracy(a, mask)), [0.5], 12);
  });
  test('refuses one mask for several images, which nobody meant', () => {
    const a = tensor(device, [1, 2, 3, 4], [2, 2]);
    expect(() => pointingGame(a, row(1, 0))).toThrow(/give one mask per image/);
  });
  test('refuses a mask of another size, and more of the top than there is', () => {
    expect(() => relevanceMassAccuracy(row(1, 2, 3), row(1, 0))).toThrow(
      /mask is \[1, 2\] and the attribution/,
    );
    expect(() => topKIntersection(row(1, 2), row(1, 0), { k: 3 })).toThrow(/k is 3 but a map has 2 values/);
  });
});

describe('complexity', () => {
  test('is none for one pixel and greatest for equal ones', () => {
    const a = tensor(device, [0, -7, 0, 0, 2, 2, -2, 2], [2, 4]);
    expectClose(dataOf(sparseness(a)), [0.75, 0], 12);
    expectClose(dataOf(entropy(a)), [0, Math.log(4)], 10);
  });
});

describe('correlation', () => {
  const a = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];
  const b = [2, 7, 1, 8, 2, 8, 1, 8, 2, 8];
  test('by ranks shares the mean rank among equal values', () => {
    expect([...dataOf(averageRank(row(...a)))]).toEqual([3.5, 0.5, 5, 0.5, 6.5, 9, 2, 8, 6.5, 3.5]);
  });
  test('is that of the textbook', () => {
    const plain = (x: number[], y: number[]) => {
      const mean = (v: number[]) => v.reduce((s, e) => s + e, 0) / v.length;
      const [mx, my] = [mean(x), mean(y)];
      const dot = (u: number[], mu: number, v: number[], mv: number) =>
        u.reduce((s, e, i) => s + (e - mu) * (v[i] - mv), 0);
      return dot(x, mx, y, my) / Math.sqrt(dot(x, mx, x, mx) * dot(y, my, y, my));
    };
    const ranks = (v: number[]) =>
      v.map((e) => v.filter((o) => o < e).length + (v.filter((o) => o === e).length - 1) / 2);
    expectClose(dataOf(pearson(row(...a), row(...b))), [plain(a, b)], 12);
    expectClose(dataOf(spearman(row(...a), row(...b))), [plain(ranks(a), ranks(b))], 12);
    expect(dataOf(spearman(row(...a), row(...a.map(() => 1))))[0]).toBe(0);
  });
});

/** f_c(x) = w_c x + b_c of four pixels, with w_1 = (1, -2, 3, 0.5). */
function linearNet(): Module {
  const net = new Sequential(new Linear(initOn(device), 4, 2));
  const [w, b] = net.parameters();
  assign(w, tensor(device, [0, 0, 0, 0, 1, -2, 3, 0.5], [2, 4]));
  assign(b, tensor(device, [0.25, 10], [2]));
  return net;
}

describe('on a linear model, f = 10 + x - 2 y + 3 z + t / 2 at (1, 1, 1, 2),', () => {
  const net = linearNet();
  const x = row(1, 1, 1, 2);
  const a = inputTimesGradient(net, x, { target: 1 });

  test('flipping the most relevant pixels first begins with the image and loses their parts', () => {
    const { curve, area } = pixelFlipping(net, x, a, { target: 1, perStep: 1 });
    expectClose(dataOf(curve), [13, 10, 9, 8, 10], 12);
    expectClose(dataOf(area), [(6.5 + 10 + 9 + 8 + 5) / 4], 12);
  });
  test('flipping goes the other way, in steps that need not divide the pixels, to any baseline', () => {
    const options = { target: 1, perStep: 3, order: 'leastFirst', baseline: row(0, 0, 5, 0) } as const;
    // Ranks: y, then x before t, which is as relevant but stored later, then z, which becomes 5.
    expectClose(dataOf(pixelFlipping(net, x, a, options).curve), [13, 13, 25], 12);
  });
  test('flipping watches the class that is asked for', () => {
    expectClose(dataOf(pixelFlipping(net, x, a, { target: 0, perStep: 2 }).curve), [0.25, 0.25, 0.25], 12);
  });
  test('faithfulness correlation of input times gradient is 1, and -1 for its opposite', () => {
    const options = { target: 1, subsets: 30, subsetSize: 2 };
    expectClose(dataOf(faithfulnessCorrelation(net, x, a, options)), [1], 12);
    expectClose(dataOf(faithfulnessCorrelation(net, x, mul(a, -1), options)), [-1], 12);
    expect(dataOf(faithfulnessCorrelation(net, x, mul(a, 0), options))[0]).toBe(0);
  });
  test('the gradient has no sensitivity, and input times gradient that of the image', () => {
    const still = sensitivity(net, x, gradient, { target: 1 });
    expect([...dataOf(still.maximum), ...dataOf(still.average)]).toEqual([0, 0]);
    const moved = sensitivity(net, x, inputTimesGradient, { target: 1, radius: 0.1, samples: 50 });
    const most = (0.1 * Math.hypot(1, 2, 3, 0.5)) / Math.hypot(1, 2, 3, 1);
    expect(dataOf(moved.maximum)[0]).toBeLessThan(most);
    expect(dataOf(moved.maximum)[0]).toBeGreaterThan(0.6 * most);
    // Root of the mean square of uniform numbers is radius / sqrt(3); the mean length is a little less.
    expect(dataOf(moved.average)[0] / (most / Math.sqrt(3))).toBeGreaterThan(0.85);
    expect(dataOf(moved.average)[0] / (most / Math.sqrt(3))).toBeLessThan(1.05);
  });
  test('sensitivity changes pixels both ways, within the radius, and keeps the class of the image', () => {
    const shown: number[] = [];
    const classes: number[] = [];
    const watch: Attribution = (_, t, options) => {
      shown.push(...dataOf(t));
      classes.push(...dataOf(options?.target as Tensor));
      return t;
    };
    const at = row(0, 0, 0, 0);
    sensitivity(net, at, watch, { target: [0], radius: 0.5, samples: 200 });
    expect(Math.min(...shown)).toBeGreaterThanOrEqual(-0.5);
    expect(Math.min(...shown)).toBeLessThan(-0.48);
    expect(Math.max(...shown)).toBeLessThan(0.5);
    expect(Math.max(...shown)).toBeGreaterThan(0.48);
    expect(classes).toEqual(Array.from({ length: 402 }, (_, i) => (i % 2 === 0 ? 1 : 0)));
  });
  test('input times gradient is complete but for the bias', () => {
    const f = explainedScore(net, x, { target: 1 });
    expectClose(dataOf(f), [13], 12);
    expectClose(dataOf(completenessError(a, f)), [10 / 13], 12);
    expectClose(dataOf(completenessError(integratedGradients(net, x, { target: 1 }), row(3))), [0], 12);
  });
  test('a probability in place of the logit runs from one to one half at most', () => {
    const { curve } = pixelFlipping(net, x, a, { target: 1, perStep: 4, score: 'probability' });
    const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
    expectClose(dataOf(curve), [sigmoid(13 - 0.25), sigmoid(10 - 0.25)], 12);
  });
});

test('region perturbation of a linear model takes the sums of its regions, cut ones included', () => {
  const w = randomValues('weights', 30, [-1, 1]);
  const net = new Sequential(new Flatten(), new Linear(initOn(device), 30, 1, { bias: false }));
  assign(net.parameters()[0], tensor(device, w, [1, 30]));
  const x = tensor(device, new Array<number>(30).fill(1), [1, 1, 5, 6]);
  const a = inputTimesGradient(net, x);
  const { mostFirst, leastFirst, aopc, abpc } = regionPerturbation(net, x, a, {
    regionSize: 2,
    regionCount: 4,
  });
  const sums = new Array<number>(9).fill(0);
  for (const [i, v] of w.entries()) sums[3 * Math.floor(i / 12) + Math.floor((i % 6) / 2)] += v;
  const whole = w.reduce((total, v) => total + v, 0);
  const curve = (order: number[]) =>
    [0, 1, 2, 3, 4].map((k) => whole - order.slice(0, k).reduce((total, v) => total + v, 0));
  const [most, least] = [curve(sums.toSorted((p, q) => q - p)), curve(sums.toSorted((p, q) => p - q))];
  expectClose(dataOf(mostFirst), most, 12);
  expectClose(dataOf(leastFirst), least, 12);
  expectClose(dataOf(aopc), [most.reduce((total, f) => total + (whole - f), 0) / 5], 12);
  expectClose(dataOf(abpc), [most.reduce((total, f, k) => total + (least[k] - f), 0) / 5], 12);
});
