// Pooling where the op tests cannot look: PyTorch's choices on ties, NaN and edges, and batches that differ.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { adjoint, stepOfOp } from '../engine/grad.ts';
import { metaTensor } from '../engine/meta-device.ts';
import { adaptiveAvgPool2d, avgPool2d } from '../engine/ops/avg-pool.ts';
import { maxPool2d, maxPool2dWithIndices, poolScatter } from '../engine/ops/max-pool.ts';
import type { PoolOptions } from '../engine/ops/pool-window.ts';
import type { Shape } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { walk } from '../engine/walk.ts';
import { withGpu } from './gpu.ts';

const cpu = new CpuDevice();
const onCpu = (values: number[], shape: Shape) => tensor(cpu, values, shape);
const isNear = (a: number, b: number, bound: number) =>
  Object.is(a, b) || (Number.isFinite(b) && Math.abs(a - b) <= bound * Math.max(1, Math.abs(b)));
const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

test('the first of equal maxima wins', () => {
  const { indices } = maxPool2dWithIndices(onCpu([1, 1, 1, 1], [1, 1, 2, 2]), { kernel: 2 });
  expect([...dataOf(indices)]).toEqual([0]);
});

test('padding never wins, even over negative numbers', () => {
  const y = maxPool2d(onCpu([-1, -2, -3, -4], [1, 1, 2, 2]), { kernel: 2, stride: 1, padding: 1 });
  expect([...dataOf(y)]).toEqual([-1, -1, -2, -1, -1, -2, -3, -3, -4]);
});

test('overlapping windows add up the slopes of a shared winner', () => {
  const x = onCpu([0, 0, 0, 0, 9, 0, 0, 0, 0], [1, 1, 3, 3]);
  const y = maxPool2d(x, { kernel: 2, stride: 1 });
  const [g] = adjoint(y, [x], onCpu([1, 2, 3, 4], [1, 1, 2, 2]));
  expect([...dataOf(g)]).toEqual([0, 0, 0, 0, 10, 0, 0, 0, 0]);
});

test('means count padding as zeros unless told not to', () => {
  const x = onCpu([4, 4, 4, 4], [1, 1, 2, 2]);
  const options = { kernel: 2, stride: 2, padding: 1 };
  expect([...dataOf(avgPool2d(x, options))]).toEqual([1, 1, 1, 1]);
  expect([...dataOf(avgPool2d(x, { ...options, countIncludePad: false }))]).toEqual([4, 4, 4, 4]);
});

test('adaptive windows overlap where the sizes do not divide', () => {
  // Windows [0, 2), [1, 4), [3, 5) of torch.nn.AdaptiveAvgPool1d(3) on 5 elements.
  const y = adaptiveAvgPool2d(onCpu([1, 2, 3, 4, 5], [1, 1, 1, 5]), [1, 3]);
  expect([...dataOf(y)]).toEqual([1.5, 3, 4.5]);
});

test('the adjoint of a mean takes a larger batch than its forward pass', () => {
  const s = onCpu(numbers(1, 3), [3, 1, 1, 1]);
  const x = metaTensor([1, 1, 2, 2]);
  const output = avgPool2d(x, { kernel: 2 });
  const g = walk({ output, seed: s, targets: [x], stepOf: stepOfOp }).get(x) as Tensor;
  expect(g.shape).toEqual([3, 1, 2, 2]);
  expect([...dataOf(g)]).toEqual([1, 2, 3].flatMap((n) => [n / 4, n / 4, n / 4, n / 4]));
});

describe('bad input is named', () => {
  const x = onCpu(numbers(0, 4), [1, 1, 2, 2]);
  test.each([
    ['a window larger than the plane', () => maxPool2d(x, { kernel: 3 }), /larger than the plane \[2, 2\]/],
    [
      'padding beyond half the window',
      () => maxPool2d(x, { kernel: 2, padding: 2 }),
      /more than half the kernel/,
    ],
    ['a stride of 0', () => avgPool2d(x, { kernel: 2, stride: 0 }), /stride \[0, 0\]/],
    ['a missing axis', () => avgPool2d(onCpu([1, 2], [1, 1, 2]), { kernel: 1 }), /is not \[N, C, H, W\]/],
    ['an adaptive size of 0', () => adaptiveAvgPool2d(x, [0, 1]), /sizes are whole numbers/],
  ])('%s', (_, pool, message) => expect(pool).toThrow(message));

  test('indices of another batch', () => {
    const { indices } = maxPool2dWithIndices(x, { kernel: 2 });
    const g = onCpu([1, 2], [2, 1, 1, 1]);
    const window = { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } as const;
    expect(() => poolScatter(g, indices, window, [2, 2])).toThrow(/expand the indices over the batch of g/);
  });
});

describe('on the GPU', () => {
  let gpu: Device;
  withGpu((device) => {
    gpu = device;
  });

  test('NaN wins every window that sees it, and ties go to the first', async () => {
    const x = [1, Number.NaN, 3, 3, 5, 6, 3, 3];
    const y = maxPool2dWithIndices(tensor(gpu, x, [1, 1, 2, 4]), { kernel: 2 });
    expect([...(await read(y.values))]).toEqual([Number.NaN, 3]);
    expect([...(await read(y.indices))]).toEqual([1, 2]);
  });

  test('sizes that are not multiples of anything agree with the reference', async () => {
    const values = numbers(0, 3 * 5 * 29 * 31).map((i) => Math.fround(Math.sin(i * i)));
    const run = (device: Device) => {
      const x = tensor(device, values, [3, 5, 29, 31]);
      const max = maxPool2d(x, { kernel: 3, stride: 2, padding: 1 });
      const mean = adaptiveAvgPool2d(x, [7, 6]);
      return [...adjoint(max, [x], max), ...adjoint(mean, [x], mean)];
    };
    const expected = run(cpu).map(dataOf);
    const actual = await gpu.read(run(gpu));
    // Sums of at most nine terms of size 1.
    actual.forEach((part, i) => {
      expect(Math.max(...expected[i].map((value, k) => Math.abs(value - part[k])))).toBeLessThan(1e-6);
    });
  });

  // Many columns and few, rows of whole fours and not, gaps between windows.
  test.each([
    [6, 8, 2, 2, 2, 2, 0, 0],
    [7, 7, 3, 3, 2, 2, 1, 1],
    [5, 6, 3, 3, 1, 1, 1, 1],
    [4, 16, 2, 2, 1, 1, 1, 1],
    [9, 12, 1, 4, 3, 1, 0, 2],
    [5, 13, 2, 2, 3, 4, 0, 0],
    [6, 9, 6, 9, 1, 1, 0, 0],
    [9, 31, 5, 17, 2, 3, 2, 8],
    [3, 1, 2, 1, 1, 1, 1, 0],
  ])(
    'planes [%i, %i], windows [%i, %i], stride [%i, %i], padding [%i, %i]: as the reference',
    async (h, w, kernelH, kernelW, strideH, strideW, padH, padW) => {
      const shape = [2, 3, h, w];
      // Ties, zeros of both signs, NaN here and there, and a plane of minus infinity, over which few numbers win.
      const values = numbers(0, 6 * h * w).map((i) => {
        if (i < h * w) return i % 5 === 3 ? -(2 ** 100) : Number.NEGATIVE_INFINITY;
        return i % 23 === 0 ? Number.NaN : Math.round(3 * Math.sin(i * i));
      });
      const finite = values.map((value, i) => (Math.abs(value) < 4 ? value : (i % 7) - 3));
      const options: PoolOptions = {
        kernel: [kernelH, kernelW],
        stride: [strideH, strideW],
        padding: [padH, padW],
      };
      const run = (device: Device) => {
        const x = tensor(device, values, shape);
        const { values: max, indices } = maxPool2dWithIndices(x, options);
        const means = [true, false].map((countIncludePad) => avgPool2d(x, { ...options, countIncludePad }));
        const g = avgPool2d(tensor(device, finite, shape), options);
        const slopes = [max, ...means].flatMap((y) => adjoint(y, [x], g));
        return [max, indices, ...means, ...slopes];
      };
      const expected = run(cpu).map((part) => [...dataOf(part)]);
      const actual = await gpu.read(run(gpu));
      // Sums of at most 85 numbers; NaN and infinity must stand in the same places.
      actual.forEach((part, i) => {
        expect(expected[i].filter((value, k) => !isNear(part[k], value, i < 2 ? 0 : 1e-5))).toEqual([]);
      });
    },
  );
});
