// Maxima, sorting and indexing where the op tests cannot look: ties, NaN, zeros of both signs, long rows.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { argmax, max } from '../engine/ops/argmax.ts';
import { gather, scatterAdd, where } from '../engine/ops/indexing.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { argsort, rank, sort } from '../engine/ops/sort.ts';
import type { Device } from '../engine/tensor.ts';
import { bothDevices, withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';

const { NaN: nan } = Number;

describe.each(bothDevices)('on the $name', ({ withDevice }) => {
  let device: Device;
  withDevice((its) => {
    device = its;
  });

  const row = (values: number[]) => tensor(device, values, [values.length]);

  test('argsort is stable, and takes both zeros for equal', async () => {
    const x = row([0, 2, -0, 1, 2, 0]);
    expect([...(await read(argsort(x)))]).toEqual([0, 2, 5, 3, 1, 4]);
    expect([...(await read(argsort(x, { descending: true })))]).toEqual([1, 4, 3, 0, 2, 5]);
  });

  test('NaN is the largest number to argsort', async () => {
    const x = row([1, nan, Infinity, -Infinity, nan]);
    expect([...(await read(argsort(x, { descending: true })))]).toEqual([1, 4, 2, 0, 3]);
    expect([...(await read(argsort(x)))]).toEqual([3, 0, 2, 1, 4]);
  });

  test('NaN is the largest number whatever its sign bit', async () => {
    const values = new Float32Array(new Uint32Array([0x3f800000, 0xffc00000, 0x7fc00000, 0xff800000]).buffer);
    const x = tensor(device, values, [4]);
    expect([...(await read(argsort(x, { descending: true })))]).toEqual([1, 2, 0, 3]);
  });

  test('rank is the place in descending order', async () => {
    expect([...(await read(rank(row([3, 9, 5]))))]).toEqual([2, 0, 1]);
  });

  test('NaN is the largest number to argmax, and ties go to the first', async () => {
    const x = tensor(device, [1, nan, 3, nan, 7, 7, -1, 7], [2, 4]);
    expect([...(await read(argmax(x, 1)))]).toEqual([1, 0]);
    expect([...(await read(max(x, [1])))]).toEqual([nan, 7]);
  });

  test('the slope of max goes to the first winner', async () => {
    const x = tensor(device, [1, 4, 4, 2], [2, 2]);
    const y = max(x, [0, 1], { keepDims: true });
    expect(y.shape).toEqual([1, 1]);
    const [g] = adjoint(y, [x], tensor(device, [5], [1, 1]));
    expect([...(await read(g))]).toEqual([0, 5, 0, 0]);
  });

  test('max takes axes that are not neighbours', async () => {
    const x = tensor(device, [1, 2, 3, 4, 8, 7, 6, 5], [2, 2, 2]);
    const y = max(x, [0, 2]);
    expect([...(await read(y))]).toEqual([8, 6]);
  });

  test('an index outside the axis reads 0 and writes nothing', async () => {
    const indices = row([-1, 1, 2, nan]);
    expect([...(await read(gather(row([5, 6]), indices, 0)))]).toEqual([0, 6, 0, 0]);
    expect([...(await read(scatterAdd(row([1, 2, 3, 4]), indices, 0, 2)))]).toEqual([0, 2]);
  });

  test('what where does not choose leaves no trace', async () => {
    expect([...(await read(where(row([1, 0, nan]), row([5, nan, 6]), 0)))]).toEqual([5, 0, 6]);
  });

  test('softmax survives numbers that e^x does not, and NaN spoils its row only', async () => {
    const y = await read(softmax(tensor(device, [1000, 1000, nan, 0, 0, nan, 0, Infinity], [4, 2])));
    expect([...y]).toEqual([0.5, 0.5, nan, nan, nan, nan, nan, nan]);
  });
});

describe('long rows on the GPU', () => {
  let gpu: Device;
  withGpu((device) => {
    gpu = device;
  });

  // One below, at and above the sizes at which the number of merges changes.
  test.each([1, 8, 9, 255, 257, 784, 5000])('%i elements are sorted as the reference sorts', async (n) => {
    // Many ties: a merge that is not stable would show.
    const values = randomValues('rows', 3 * n, [0, 40]).map(Math.floor);
    const order = (device: Device) => argsort(tensor(device, values, [3, n]), { descending: true });
    const [actual] = await gpu.read([order(gpu)]);
    expect(actual).toEqual(Float32Array.from(dataOf(order(new CpuDevice()))));
  });

  test('argmax finds the maximum in every part of a line', async () => {
    const places = [0, 74, 75, 149, 150, 224, 225, 299];
    const x = places.flatMap((place) => Array.from({ length: 300 }, (_, i) => (i === place ? 2 : i % 2)));
    const [actual] = await gpu.read([argmax(tensor(gpu, x, [places.length, 300]), 1)]);
    expect([...actual]).toEqual(places);
  });

  test('the slope of sort returns to where each element came from', async () => {
    const n = 100;
    const x = tensor(gpu, randomValues('row', n, [-1, 1]), [n]);
    const y = sort(x);
    // d/dx sum y^2/2 = x: every slope is back beside its own element.
    const [g] = adjoint(y, [x], y);
    expect(await read(g)).toEqual(await read(x));
  });
});
