// Every kernel but those of products (kernels-gemm.test.ts), whatever the adapter would choose, against the reference.
import { describe, expect, test } from 'vitest';
import { tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { apply } from '../engine/op.ts';
import { argmaxOp } from '../engine/ops/argmax.ts';
import { reduceSumOp } from '../engine/ops/broadcast.ts';
import { allOps } from '../engine/ops/index.ts';
import { matmulOp } from '../engine/ops/matmul.ts';
import { softmaxOp } from '../engine/ops/softmax.ts';
import { formatShape, type Shape } from '../engine/shape.ts';
import type { Example, Op } from '../engine/tensor.ts';
import { withGpu } from './gpu.ts';
import { adapters, BOUND, errorOnGpu, plannedFor } from './kernel-check.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const errorOf = <A>(
  op: Op<A>,
  shapes: readonly Shape[],
  attrs: A,
  example?: Pick<Example<A>, 'range' | 'fixed'>,
) => errorOnGpu(gpu, op, shapes, attrs, example);

/** What one thread does not do alone: sums, maxima, orders and broadcasts that are longer. */
const longCases: readonly [op: string, shapes: readonly Shape[], attrs: unknown][] = [
  ['reduceSum', [[3, 1000, 5]], { axes: [1] }],
  ['reduceSum', [[2, 0, 3]], { axes: [1] }],
  ['reduceSum', [[20000]], { axes: [0] }],
  ['reduceSum', [[4999]], { axes: [0] }],
  ['reduceSum', [[67, 10]], { axes: [1] }],
  ['reduceSum', [[5, 9001]], { axes: [1] }],
  ['reduceSum', [[1031, 8]], { axes: [0] }],
  ['reduceSum', [[37, 6, 140]], { axes: [0, 2] }],
  ['reduceSum', [[7, 2, 41, 3, 8]], { axes: [0, 2, 4] }],
  ['reduceSum', [[6, 3, 41, 2, 4]], { axes: [1, 3] }],
  [
    'sumProduct',
    [
      [3, 2, 700],
      [2, 700],
    ],
    { axes: [2] },
  ],
  [
    'sumProduct',
    [
      [3, 2, 5, 44],
      [2, 1, 44],
    ],
    { axes: [2, 3] },
  ],
  [
    'sumProduct',
    [
      [63, 4, 30],
      [63, 4, 30],
    ],
    { axes: [0, 2] },
  ],
  [
    'sumProduct',
    [
      [50, 64],
      [50, 1],
    ],
    { axes: [0] },
  ],
  ['channelMoments', [[50, 3, 2, 8]], {}],
  ['channelMoments', [[6, 2, 51]], {}],
  ['channelMoments', [[900, 70]], {}],
  ['rankWeights', [[3, 784]], { decay: 0.95, keep: 158 }],
  ['rankWeights', [[2, 301]], { decay: 0.95, keep: 100 }],
  ['rankWeights', [[2, 301]], { decay: 0.95, keep: 280 }],
  ['argmax', [[3, 1000, 5]], { axis: 1 }],
  ['argmax', [[67, 10]], { axis: 1 }],
  ['argmax', [[3, 9001]], { axis: 1 }],
  ['argsort', [[3, 301]], { descending: true }],
  ['softmax', [[70, 9, 3]], { axis: 1 }],
  ['softmax', [[67, 300]], { axis: 1 }],
  ['softmax', [[67, 10]], { axis: 1 }],
  ['logSoftmax', [[5, 331]], { axis: 1 }],
  ['logSoftmax', [[70, 1]], { axis: 1 }],
  [
    'add',
    [
      [7, 1, 5, 12],
      [3, 1, 12],
    ],
    {},
  ],
  [
    'mul',
    [
      [7, 1, 12, 5],
      [1, 3, 1, 5],
    ],
    {},
  ],
  ['exp', [[1237]], {}],
  ['permute', [[3, 4, 5, 6, 7]], { order: [4, 2, 0, 3, 1] }],
];

const opNamed = (wanted: string) => allOps.find(({ name }) => name === wanted) as Op<unknown>;

// A test for each op: it compiles the programs of that op, which takes seconds on a busy machine.
describe.each(Object.keys(adapters))('kernels chosen for %s', (name) => {
  test.each(allOps.map((op) => [op.name, op] as const))('%s on its examples', async (_, op) => {
    const planned = plannedFor(op, name);
    for (const { inputs, attrs, range, fixed } of op.examples) {
      const error = await errorOf(planned, inputs, attrs ?? {}, { range, fixed });
      expect(error, `${op.name} ${inputs.map(formatShape)}`).toBeLessThan(BOUND);
    }
  });

  test.each(longCases)('%s longer than a thread takes: %j, %j', async (op, shapes, attrs) => {
    expect(await errorOf(plannedFor(opNamed(op), name), shapes, attrs)).toBeLessThan(BOUND);
  });
});

test.each(['the own adapter', 'a GPU'])('a NaN spoils its row of a softmax alone, on %s', async (name) => {
  const x = Array.from({ length: 3 * 12 }, (_, i) => (i === 17 ? Number.NaN : i % 5));
  const [values] = await gpu.read([
    apply(plannedFor(softmaxOp, name), [tensor(gpu, x, [3, 12])], { axis: 1 }),
  ]);
  const isNaNs = Array.from(values, Number.isNaN);
  expect(isNaNs).toEqual(Array.from(x, (_, i) => i >= 12 && i < 24));
});

describe.each(['the own adapter', 'a GPU'])('rows on %s', (name) => {
  const columns = 150;
  const maximaOf = async (rows: readonly (readonly number[])[]) => {
    const x = tensor(gpu, rows.flat(), [rows.length, columns]);
    const [values] = await gpu.read([apply(plannedFor(argmaxOp, name), [x], { axis: 1 })]);
    return [...values];
  };
  const rowOf = (top: number, places: readonly number[]) =>
    Array.from({ length: columns }, (_, i) => (places.includes(i) ? top : -(i % 7)));

  test('the first of equal maxima is found, wherever they are', async () => {
    const places = [[149], [3, 2], [70, 5, 69], [64, 128], [65, 1], [0, 64, 149]];
    const found = await maximaOf(places.map((each) => rowOf(9, each)));
    expect(found).toEqual(places.map((each) => Math.min(...each)));
  });

  test('the first NaN is the maximum of its row', async () => {
    const places = [[140, 77], [12, 76], [149]];
    const rows = places.map((each) => rowOf(Number.NaN, each).map((v, i) => (i === 11 ? Infinity : v)));
    expect(await maximaOf(rows)).toEqual([77, 12, 149]);
  });

  test('a NaN spoils the sum of its row alone', async () => {
    const rows = [rowOf(9, [1]), rowOf(Number.NaN, [141]), rowOf(9, [2])];
    const x = tensor(gpu, rows.flat(), [3, columns]);
    const [values] = await gpu.read([apply(plannedFor(reduceSumOp, name), [x], { axes: [1] })]);
    expect(Array.from(values, Number.isNaN)).toEqual([false, true, false]);
  });
});

test('a tensor larger than the adapter can bind is refused before anything runs', () => {
  const limit = gpu.raw.limits.maxStorageBufferBindingSize;
  const huge = { ...matmulOp, shape: () => [limit / 4 + 64] };
  const one = tensor(gpu, [1], [1, 1, 1]);
  expect(() => apply(huge, [one, one], { transposeA: false, transposeB: false })).toThrow(
    /^matmul \[1, 1, 1\] \[1, 1, 1\] -> \[\d+\]: a buffer of \d+ elements needs \d+ bytes and this adapter binds at most/,
  );
});
