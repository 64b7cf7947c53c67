// Elementwise functions where the op tests cannot look: near 0, at the edge of their domain and beyond it.
import { describe, expect, test } from 'vitest';
import { read, tensor } from '../engine/create.ts';
import { exp, log, log1p, power, sigmoid, softplus } from '../engine/ops/pointwise.ts';
import { logSoftmax } from '../engine/ops/softmax.ts';
import type { Device } from '../engine/tensor.ts';
import { bothDevices } from './gpu.ts';

const { NaN: nan } = Number;

describe.each(bothDevices)('on the $name', ({ withDevice }) => {
  let device: Device;
  withDevice((its) => {
    device = its;
  });

  const row = (values: readonly number[]) => tensor(device, values.map(Math.fround), [values.length]);
  /** Largest error relative to each number by itself. */
  const relativeError = (actual: ArrayLike<number>, expected: readonly number[]) =>
    Math.max(...expected.map((value, i) => Math.abs(actual[i] / value - 1)));

  test('log1p is exact near 0, where the loss on small relevance lives', async () => {
    const x = [1e-12, -1e-8, 1e-6, 1e-3, -0.1, 0.3, -0.37, 0.37, 0.38, 1, 50, 1e30].map(Math.fround);
    // Some units in the last place of f32; the log of some adapters is no better.
    expect(relativeError(await read(log1p(row(x))), x.map(Math.log1p))).toBeLessThan(2e-6);
  });

  test('softplus keeps its digits where it is almost 0', async () => {
    const x = [-30, -20, -10, -5, -1, 0, 3, 40];
    const expected = x.map((value) => Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value))));
    expect(relativeError(await read(softplus(row(x))), expected)).toBeLessThan(5e-6);
  });

  test('outside of their domain functions give NaN, at its edge infinity', async () => {
    const x = row([-1e38, -2, 0, Infinity]);
    expect([...(await read(log(x)))]).toEqual([nan, nan, -Infinity, Infinity]);
    expect([...(await read(log1p(x)))]).toEqual([nan, nan, 0, Infinity]);
    expect([...(await read(log1p(row([-1]))))]).toEqual([-Infinity]);
    // Below the smallest normal number, where an adapter may see 0.
    expect([...(await read(log(row([1e-40]))))][0]).toBeLessThan(-87);
    expect([...(await read(power(row([-2, -1]), 3)))]).toEqual([nan, nan]);
  });

  test('large numbers saturate', async () => {
    const x = row([-Infinity, -200, 200, Infinity]);
    expect([...(await read(exp(x)))]).toEqual([0, expect.closeTo(0, 30), expect.any(Number), Infinity]);
    expect([...(await read(sigmoid(x)))]).toEqual([0, expect.closeTo(0, 30), 1, 1]);
    expect([...(await read(softplus(x)))]).toEqual([0, expect.closeTo(0, 30), 200, Infinity]);
  });

  test('an infinite logit spoils the logarithm of its softmax, and no part of it looks like a number', async () => {
    expect([...(await read(logSoftmax(row([0, Infinity, 1]))))]).toEqual([nan, nan, nan]);
  });
});
