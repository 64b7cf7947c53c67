// Shapes and attributes that cannot be right are refused at the door, on every device: nothing is computed from them.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { full, readAll, tensor } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { add, mean } from '../engine/ops/arithmetic.ts';
import { avgPool2d } from '../engine/ops/avg-pool.ts';
import { expand, reshape, sum } from '../engine/ops/broadcast.ts';
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../engine/ops/conv.ts';
import { oneHot, scatterAdd } from '../engine/ops/indexing.ts';
import { concat, pad, slice } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import type { Shape } from '../engine/shape.ts';

const cpu = new CpuDevice();
const zeros = (...shape: number[]) => full(cpu, shape, 0);
const row = (...values: number[]) => tensor(cpu, values, [values.length]);

const x = zeros(1, 2, 5, 5);
const w = zeros(3, 2, 2, 2);

test.each<[string, () => unknown, RegExp]>([
  ['a size that is no whole number', () => reshape(row(1, 2, 3, 4, 5), [2, -1]), /multiple of 2$/],
  ['sizes whose signs cancel', () => reshape(row(1, 2, 3, 4, 5, 6), [-2, -3]), /is no shape/],
  ['halves that multiply to the right size', () => reshape(row(1, 2, 3, 4), [0.5, 8]), /is no shape/],
  ['a negative axis to grow to', () => expand(row(1), [-2, 1]), /is no shape/],
  ['a box of the right shape at the wrong place', () => slice(row(1, 2), [1], [2]), /does not lie in \[2\]/],
  ['a box between two elements', () => slice(row(1, 2), [0.5], [1]), /does not lie in \[2\]/],
  ['a padded box of the right shape at the wrong place', () => pad(row(1, 2), [1], [2]), /does not lie/],
  ['nothing to join', () => concat([], 0), /there are no tensors/],
  ['an axis that the one part to join lacks', () => concat([row(1)], 1), /axis 1 is out of range/],
  ['a negative size to scatter into', () => scatterAdd(row(1), row(0), 0, -1), /-1 is no size of axis 0/],
  [
    'more places to scatter into than f32 can count',
    () => scatterAdd(row(1), row(0), 0, 2 ** 24 + 1),
    /scatterAdd: size 16777217; indices are f32/,
  ],
  ['more columns than f32 can count', () => oneHot(row(1), 2 ** 24 + 1), /oneHot: size 16777217; indices/],
  ['a stride of 0', () => conv2d(x, w, { stride: 0 }), /stride \[0, 0\], .* must be whole numbers/],
  ['a stride of 1.5', () => conv2d(x, w, { stride: 1.5 }), /stride \[1.5, 1.5\], .* must be whole numbers/],
  ['padding below 0', () => conv2d(x, w, { padding: -1 }), /padding \[-1, -1\], .* must be whole numbers/],
  ['half a group', () => conv2d(x, zeros(3, 4, 2, 2), { groups: 0.5 }), /groups 0.5 must be whole numbers/],
  ['a kernel without elements', () => conv2d(x, zeros(3, 2, 0, 2)), /kernel sizes must be whole numbers/],
  ['half a pixel', () => conv2dInputGrad(zeros(1, 3, 4, 4), w, [5.5, 5], {}), /must be whole numbers/],
  [
    'a gradient of another size than the output',
    () => conv2dInputGrad(zeros(1, 3, 4, 3), w, [5, 5], {}),
    /the output's gradient is \[1, 3, 4, 3\]; it must be \[1, 3, 4, 4\]/,
  ],
  [
    'a gradient with an axis too many',
    () => conv2dWeightGrad(x, zeros(1, 3, 4, 4, 2), [2, 2], {}),
    /the output's gradient is \[1, 3, 4, 4, 2\]/,
  ],
  [
    'maxima of planes without pixels',
    () => maxPool2d(zeros(1, 1, 0, 100), { kernel: 2, padding: 1 }),
    /larger/,
  ],
  ['means of planes without pixels', () => avgPool2d(zeros(1, 1, 4, 0), { kernel: 2, padding: 1 }), /larger/],
  ['a matrix times a stack of matrices', () => matmul(zeros(2, 3), zeros(1, 3, 2)), /with one batch/],
])('%s', (_, run, message) => {
  expect(run).toThrow(ShapeError);
  expect(run).toThrow(message);
});

test('two numbers without a tensor are refused by the library and not by the language', () => {
  expect(() => add(1, 2)).toThrow(UsageError);
});

test('tensors of two devices are not read in one go', async () => {
  const elsewhere = tensor(new CpuDevice(), [1], [1]);
  await expect(readAll([row(1), elsewhere])).rejects.toThrow(/read: tensors are on/);
});

test('a mean counts an axis that is named twice only once', () => {
  expect([...dataOf(mean(tensor(cpu, [1, 2, 3, 6], [2, 2]), [0, -2]))]).toEqual([2, 4]);
});

test('full keeps all digits on a device that has them', () => {
  expect([...dataOf(full(cpu, [2], 0.1))]).toEqual([0.1, 0.1]);
});

describe('nothing is a number of elements too', () => {
  test.each<[string, () => { readonly shape: Shape }, Shape]>([
    ['sum over an empty axis', () => sum(zeros(2, 0, 3), [1]), [2, 3]],
    ['product of matrices without inner elements', () => matmul(zeros(2, 0), zeros(0, 3)), [2, 3]],
    ['an empty batch through a convolution', () => conv2d(zeros(0, 2, 5, 5), w), [0, 3, 4, 4]],
    ['a slice of nothing', () => slice(row(1, 2), [2], [0]), [0]],
  ])('%s', (_, run, shape) => expect(run().shape).toEqual(shape));
});
