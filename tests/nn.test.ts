// Layers and losses against formulas written out in plain numbers.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { Tensor } from '../engine/tensor.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { Conv2d, Dropout, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { bceWithLogits, crossEntropy } from '../nn/loss.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { gradientError, probe, randomValues } from './gradcheck.ts';
import { initOn, residualNet } from './small-nets.ts';

const device = new CpuDevice();

describe('names', () => {
  test("of parameters and buffers are torchvision's", () => {
    const net = new SmallCnn(initOn(device), {
      inChannels: 1,
      imageSize: [8, 8],
      classCount: 3,
      blocks: [{ channels: 2, kernel: 3, pool: 2 }],
      batchNorm: true,
    });
    expect([...net.stateDict().keys()]).toEqual([
      'features.0.weight',
      'features.1.weight',
      'features.1.bias',
      'classifier.1.weight',
      'classifier.1.bias',
      'features.1.running_mean',
      'features.1.running_var',
    ]);
  });
  test('of convolutions without biases are those of their weights', () => {
    const net = new SmallCnn(initOn(device), {
      inChannels: 1,
      imageSize: [8, 8],
      classCount: 3,
      blocks: [{ channels: 2, kernel: 3 }],
      convBias: false,
    });
    expect([...net.stateDict().keys()]).toEqual([
      'features.0.weight',
      'classifier.1.weight',
      'classifier.1.bias',
    ]);
  });
  test('of a shared layer: one parameter to train, two entries in the state', () => {
    const shared = new Linear(initOn(device), 2, 2);
    const net = new Sequential(shared, new ReLU(), shared);
    expect([...net.namedParameters().keys()]).toEqual(['0.weight', '0.bias']);
    expect([...net.stateDict().keys()]).toEqual(['0.weight', '0.bias', '2.weight', '2.bias']);
  });
  test('of own fields are the tree', () => {
    expect([...residualNet(device).namedParameters().keys()].slice(0, 4)).toEqual([
      'conv1.weight',
      'conv1.bias',
      'conv2.weight',
      'conv2.bias',
    ]);
  });
});

describe('BatchNorm2d', () => {
  const values = randomValues('bn', 2 * 2 * 6, [-1, 3]);
  const x = tensor(device, values, [2, 2, 2, 3]);
  const channel = (c: number) => values.filter((_, i) => Math.floor(i / 6) % 2 === c);
  const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
  const variance = (v: number[]) => mean(v.map((value) => (value - mean(v)) ** 2));

  test('in training normalises by the batch, biased, and moves the running statistics, unbiased', () => {
    const bn = new BatchNorm2d(initOn(device), 2);
    const y = dataOf(bn.forward(x));
    values.forEach((value, i) => {
      const c = channel(Math.floor(i / 6) % 2);
      expect(y[i]).toBeCloseTo((value - mean(c)) / Math.sqrt(variance(c) + 1e-5), 10);
    });
    expectClose(
      dataOf(bn.runningMean),
      [0, 1].map((c) => 0.1 * mean(channel(c))),
      10,
    );
    expectClose(
      dataOf(bn.runningVar),
      [0, 1].map((c) => 0.9 + (0.1 * variance(channel(c)) * 12) / 11),
      10,
    );
  });
  test('in evaluation uses the running statistics and leaves them alone', () => {
    const bn = new BatchNorm2d(initOn(device), 2).eval();
    expectClose(
      dataOf(bn.forward(x)),
      values.map((v) => v / Math.sqrt(1 + 1e-5)),
      10,
    );
    expect([...dataOf(bn.runningMean)]).toEqual([0, 0]);
  });
  test('in training has the right slope in its input, through the statistics', () => {
    const bn = new BatchNorm2d(initOn(new CpuDevice()), 2);
    const loss = ([input]: Tensor[]) => {
      const own = new BatchNorm2d(initOn(input.device), 2);
      return probe(own.forward(input), 'bn');
    };
    expect(bn.isTraining).toBe(true);
    expect(gradientError({ inputs: [{ shape: [2, 2, 2, 3], values }], loss })).toBeLessThan(1e-7);
  });
});

describe('Dropout', () => {
  test('keeps the mean, drops its share, and draws anew at each call', () => {
    const layer = new Dropout(initOn(device), 0.25);
    const ones = tensor(device, new Array<number>(10_000).fill(1), [10_000]);
    const [first, second] = [dataOf(layer.forward(ones)), dataOf(layer.forward(ones))];
    const dropped = first.filter((v) => v === 0).length;
    expect(Math.abs(dropped - 2500)).toBeLessThan(5 * Math.sqrt(10_000 * 0.25 * 0.75));
    expect([...new Set(first)].sort()).toEqual([0, 1 / 0.75]);
    expect([...first]).not.toEqual([...second]);
  });
  test('is the identity in evaluation', () => {
    const x = tensor(device, [1, 2], [2]);
    expect(new Dropout(initOn(device)).eval().forward(x)).toBe(x);
  });
});

describe('wrong shapes are refused with both shapes', () => {
  const x = tensor(device, new Array<number>(24).fill(0), [1, 2, 3, 4]);
  test('Linear', () => {
    expect(() => new Linear(initOn(device), 5, 2).forward(x)).toThrow(
      /input is \[1, 2, 3, 4\] and the weight \[2, 5\]/,
    );
  });
  test('Conv2d', () => {
    expect(() => new Conv2d(initOn(device), 3, 2, 3).forward(x)).toThrow(
      /x is \[1, 2, 3, 4\] and the weight \[2, 3, 3, 3\]/,
    );
    expect(() => new Conv2d(initOn(device), 2, 2, 5).forward(x)).toThrow(/larger than the padded image/);
  });
  test('BatchNorm2d', () => {
    expect(() => new BatchNorm2d(initOn(device), 3).forward(x)).toThrow(/the layer has 3 channels/);
  });
  test('MaxPool2d', () => {
    expect(() => new MaxPool2d(9).forward(x)).toThrow(/kernel \[9, 9\] is larger than the plane \[3, 4\]/);
  });
  test('a net that shrinks the image to nothing', () => {
    const blocks = [{ channels: 2, kernel: 3, pool: 9 }];
    const make = () =>
      new SmallCnn(initOn(device), { inChannels: 1, imageSize: [8, 8], classCount: 2, blocks });
    expect(make).toThrow(/shrinks to nothing/);
  });
});

describe('losses', () => {
  const z = [1.5, -2, 0.3, 800, 0, -800];
  const t = [0, 1, 0, 1, 0, 0];
  test('cross-entropy is the mean of -log softmax at the label, without overflow', () => {
    const row = [z[0], z[1], z[2]].map(Math.exp);
    const expected = -Math.log(row[1] / row.reduce((a, b) => a + b)) / 2;
    const loss = crossEntropy(tensor(device, z, [2, 3]), tensor(device, t, [2, 3]));
    expect(dataOf(loss)[0]).toBeCloseTo(expected, 10);
  });
  test('BCE is the mean of its formula, with and without weights for positives', () => {
    const s = (v: number) => 1 / (1 + Math.exp(-v));
    const logits = [1.5, -2, 0.3, 0.1];
    const targets = [0, 1, 0.5, 1];
    const terms = (p: number) =>
      logits.map((v, i) => -(p * targets[i] * Math.log(s(v)) + (1 - targets[i]) * Math.log(1 - s(v))));
    const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / v.length;
    const [zs, ts] = [tensor(device, logits, [2, 2]), tensor(device, targets, [2, 2])];
    expect(dataOf(bceWithLogits(zs, ts))[0]).toBeCloseTo(mean(terms(1)), 10);
    const posWeight = tensor(device, [3], []);
    expect(dataOf(bceWithLogits(zs, ts, { posWeight }))[0]).toBeCloseTo(mean(terms(3)), 10);
  });
  test('targets of another shape are refused', () => {
    const logits = tensor(device, z, [2, 3]);
    expect(() => crossEntropy(logits, tensor(device, [0, 1], [2]))).toThrow(
      /logits are \[2, 3\] and targets \[2\]/,
    );
  });
});
