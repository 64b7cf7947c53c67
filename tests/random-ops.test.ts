// Random tensors: equal bits on every device, and the distributions they claim.
import { expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { dropoutMask, normal, uniform } from '../engine/ops/random.ts';
import { threefry2x32 } from '../engine/random-bits.ts';
import type { Device } from '../engine/tensor.ts';
import { withGpu } from './gpu.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const cpu = new CpuDevice();
const key = (device: Device) => tensor(device, [16777215, 12345], [2]);
const COUNT = 20_000;
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

test('uniform has equal bits on CPU and GPU', async () => {
  const [actual] = await gpu.read([uniform(key(gpu), [COUNT])]);
  expect(actual).toEqual(Float32Array.from(dataOf(uniform(key(cpu), [COUNT]))));
});

test('number i of uniform is the first word of block i', () => {
  const expected = [0, 1, 2].map((i) => (threefry2x32(16777215, 12345, i, 0)[0] >>> 8) / 2 ** 24);
  expect([...dataOf(uniform(key(cpu), [3]))]).toEqual(expected);
});

test('a dropout mask has equal bits on CPU and GPU where 1 / (1 - p) has few', async () => {
  const [actual] = await gpu.read([dropoutMask(key(gpu), [COUNT], 0.75)]);
  expect(actual).toEqual(Float32Array.from(dataOf(dropoutMask(key(cpu), [COUNT], 0.75))));
});

test('a dropout mask drops the share p and has mean 1', () => {
  const mask = dataOf(dropoutMask(key(cpu), [COUNT], 0.3));
  // Standard deviations 0.0032 and 0.0046; the seed is fixed.
  expect(Math.abs(mask.filter((m) => m === 0).length / COUNT - 0.3)).toBeLessThan(0.01);
  expect(Math.abs(mean(mask) - 1)).toBeLessThan(0.015);
});

test('dropping all or less than nothing is refused', () => {
  expect(() => dropoutMask(key(cpu), [2], 1)).toThrow(/is no probability of dropping/);
  expect(() => dropoutMask(key(cpu), [2], -0.1)).toThrow(/is no probability of dropping/);
});

test('normal numbers have mean 0, variance 1 and a kurtosis of 3', () => {
  const z = dataOf(normal(key(cpu), [COUNT]));
  expect(Math.abs(mean(z))).toBeLessThan(0.02);
  expect(Math.abs(mean(z.map((v) => v * v)) - 1)).toBeLessThan(0.03);
  expect(Math.abs(mean(z.map((v) => v ** 4)) - 3)).toBeLessThan(0.2);
});

test('normal numbers on the GPU are those of the CPU to the last bits', async () => {
  const [actual] = await gpu.read([normal(key(gpu), [COUNT])]);
  const expected = dataOf(normal(key(cpu), [COUNT]));
  const error = Math.max(...expected.map((value, i) => Math.abs(value - actual[i])));
  // Four units in the last place of the largest number, 5.77.
  expect(error).toBeLessThan(2e-6);
});
