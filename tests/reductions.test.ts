// Sums, moments and rank weights where the op tests cannot look: large means, long rows, ties, what is left out.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { adjoint } from '../engine/grad.ts';
import { mul, sumProduct } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { channelMoments } from '../engine/ops/moments.ts';
import { rankWeights } from '../engine/ops/rank-weights.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { countingRanks, gwrp } from '../isnet/gwrp.ts';
import { expectClose } from './close.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const cpu = new CpuDevice();
const random = (device: Device, name: string, shape: number[]): Tensor =>
  tensor(
    device,
    randomValues(
      name,
      shape.reduce((a, b) => a * b, 1),
      [-1, 1],
    ).map(Math.fround),
    shape,
  );

test('variances keep their digits beside a large mean', async () => {
  const values = randomValues('far away', 2 * 3 * 400, [3000, 3001]).map(Math.fround);
  const momentsOn = (device: Device) => channelMoments(tensor(device, values, [2, 3, 20, 20]));
  const expected = dataOf(momentsOn(cpu));
  const [actual] = await gpu.read([momentsOn(gpu)]);
  // A sum of squares would have no digit left: 9e6 in f32 counts in ones, and the variance is 1/12.
  expectClose(actual.slice(3), expected.slice(3), 5);
  expectClose(actual.slice(0, 3), expected.slice(0, 3), 3);
});

describe('a sum of products', () => {
  test('is the sum of the products, along any axes and with broadcasting', () => {
    const [a, b] = [random(cpu, 'a', [2, 3, 4, 5]), random(cpu, 'b', [3, 1, 5])];
    for (const axes of [undefined, [0], [3], [0, 2], [-1, 1], [1, 1, 3]]) {
      for (const keepDims of [true, false]) {
        const [one, other] = [sumProduct(a, b, axes, { keepDims }), sum(mul(a, b), axes, { keepDims })];
        expect(one.shape).toEqual(other.shape);
        expectClose(dataOf(one), dataOf(other), 12);
      }
    }
  });
  test('has the slope of one', () => {
    const [a, b] = [random(cpu, 'a', [2, 3, 4]), random(cpu, 'b', [3, 1])];
    const slopesOf = (y: Tensor) => adjoint(y, [a, b], random(cpu, 'seed', [3]));
    const expected = slopesOf(sum(mul(a, b), [0, 2]));
    slopesOf(sumProduct(a, b, [0, 2])).forEach((slope, i) => {
      expectClose(dataOf(slope), dataOf(expected[i]), 12);
    });
  });
  test('is refused axes that there are not', () => {
    const x = random(cpu, 'x', [2, 3]);
    expect(() => sumProduct(x, x, [2])).toThrow(/sumProduct: axis 2 is out of range for rank 2/);
    expect(() => sum(x, [-3])).toThrow(/sum: axis -3 is out of range/);
  });
});

describe('rank weights', () => {
  test('fall with the rank; equal numbers rank by their place, and NaN is the largest', async () => {
    const values = [1, Number.NaN, 0, 1, -0, 3];
    for (const device of [cpu, gpu]) {
      const weights = await read(rankWeights(tensor(device, values, [6]), 0.5, 5));
      expect([...weights]).toEqual([0.25, 1, 0.0625, 0.125, 0, 0.5]);
    }
  });
  // Rows of one value have ties only: what is taken is then decided by places alone.
  test.each([
    [784, 158, 1e9],
    [785, 158, 40],
    [784, 500, 3],
    [3000, 158, 1],
    [64, 64, 5],
  ])('of %i numbers, %i kept, %i values, are those of the reference', async (n, keep, levels) => {
    const values = randomValues(`rows of ${n}`, 3 * n, [0, levels]).map((x) => Math.fround(Math.floor(x)));
    const weightsOn = (device: Device) => rankWeights(tensor(device, values, [3, n]), 0.97, keep);
    const [actual] = await gpu.read([weightsOn(gpu)]);
    expectClose(actual, dataOf(weightsOn(cpu)), 6);
  });
  test('are refused a count that the row does not have', () => {
    expect(() => rankWeights(random(cpu, 'x', [2, 3]), 0.5, 4)).toThrow(/keep 4 for \[2, 3\].* 1 to 3/);
  });
});

describe('ranked pooling', () => {
  test('leaves out ranks that have at most 2^-24 of the weight', () => {
    expect(countingRanks(0.9, 784)).toBe(158);
    expect(countingRanks(0.9, 50176)).toBe(158);
    expect(countingRanks(0.9, 100)).toBe(100);
    expect(countingRanks(0.9999, 784)).toBe(784);
    expect(countingRanks(0.01, 784)).toBe(4);
    for (const d of [0.5, 0.9, 0.99]) {
      const left = (d ** countingRanks(d, 5000) - d ** 5000) / (1 - d ** 5000);
      expect(left).toBeLessThanOrEqual(2 ** -24);
      expect(left).toBeGreaterThan(2 ** -24 * d * 0.99);
    }
  });
  test('is the sum over all ranks all the same', () => {
    const x = random(cpu, 'x', [1000]);
    const sorted = [...dataOf(x)].sort((a, b) => b - a);
    const expected = sorted.reduce((total, value, i) => total + value * 0.9 ** i, 0) * 0.1;
    expect(dataOf(gwrp(x, 0.9))[0]).toBeCloseTo(expected, 7);
  });
});
