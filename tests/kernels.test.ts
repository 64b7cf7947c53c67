// Every kernel variant, whatever the adapter would choose, against the reference on ragged shapes drawn at random.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { AdapterProfile } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { apply } from '../engine/op.ts';
import { conv2dInputGradOp, conv2dOp, conv2dWeightGradOp, convAttrs } from '../engine/ops/conv.ts';
import { allOps } from '../engine/ops/index.ts';
import { matmulOp } from '../engine/ops/matmul.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import type { Example, Op } from '../engine/tensor.ts';
import { randomValues } from './gradcheck.ts';

let gpu: GpuDevice;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu?.close());

/** Adapters that make the chooser take each kernel family; `own` is the adapter at hand. */
const adapters: Record<string, (own: AdapterProfile) => AdapterProfile> = {
  'the own adapter': (own) => own,
  'a GPU': (own) => ({ ...own, family: 'gpu', subgroupSize: 0 }),
  'a software adapter without subgroups': (own) => ({ ...own, family: 'software', subgroupSize: 0 }),
  'few workgroups per dimension': (own) => ({ ...own, maxWorkgroupsPerDimension: 3 }),
  'a GPU with few workgroups': (own) => ({
    ...own,
    family: 'gpu',
    subgroupSize: 0,
    maxWorkgroupsPerDimension: 3,
  }),
};

/** The op with its kernel planned for another adapter. */
function plannedFor<A>(op: Op<A>, name: string): Op<A> {
  const kernel: Op<A>['kernel'] = (request) =>
    op.kernel({ ...request, adapter: adapters[name](request.adapter) });
  return { ...op, name: `${op.name} for ${name}`, kernel };
}

/** Largest error of the GPU relative to the largest reference value. `fixed` holds inputs that are not random. */
async function errorOf<A>(
  op: Op<A>,
  shapes: readonly Shape[],
  attrs: A,
  { range = [-1, 1], fixed = {} }: Pick<Example<A>, 'range' | 'fixed'> = {},
): Promise<number> {
  const values = shapes.map((shape, i) =>
    (fixed[i] ?? randomValues(`kernel ${i}`, sizeOf(shape), range)).map(Math.fround),
  );
  const inputsOn = (device: CpuDevice | GpuDevice) =>
    shapes.map((shape, i) => tensor(device, values[i], shape));
  const expected = dataOf(apply(op, inputsOn(new CpuDevice()), attrs));
  const [actual] = await gpu.read([apply(op, inputsOn(gpu), attrs)]);
  let [scale, error] = [1e-3, 0];
  expected.forEach((value, i) => {
    scale = Math.max(scale, Math.abs(value));
    error = Math.max(error, Math.abs(value - actual[i]));
  });
  return error / scale;
}

// Sums of up to a few thousand products of numbers below 1 in f32.
const BOUND = 2e-5;
const size = (max: number) => fc.integer({ min: 1, max });

describe.each(Object.keys(adapters))('kernels chosen for %s', (name) => {
  // Compiles a program for most ops, hence seconds.
  test('every op on its examples', { timeout: 60_000 }, async () => {
    for (const op of allOps) {
      const planned = plannedFor(op, name);
      for (const { inputs, attrs, range, fixed } of op.examples) {
        const error = await errorOf(planned, inputs, attrs ?? {}, { range, fixed });
        expect(error, `${op.name} ${inputs.map(formatShape)}`).toBeLessThan(BOUND);
      }
    }
  });

  test('sums, maxima, orders and broadcasts longer than a thread takes', async () => {
    const plan = (op: string) => plannedFor(allOps.find(({ name }) => name === op) as Op<unknown>, name);
    const cases: [string, Shape[], unknown][] = [
      ['reduceSum', [[3, 1000, 5]], {}],
      ['reduceSum', [[2, 0, 3]], {}],
      ['argmax', [[3, 1000, 5]], { axis: 1 }],
      ['argsort', [[3, 301]], { descending: true }],
      ['softmax', [[70, 9, 3]], { axis: 1 }],
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
    for (const [op, shapes, attrs] of cases) {
      const error = await errorOf(plan(op), shapes, attrs);
      expect(error, `${op} ${shapes.map(formatShape)}`).toBeLessThan(BOUND);
    }
  });

  test('matmul', { timeout: 60_000 }, async () => {
    const op = plannedFor(matmulOp, name);
    const problem = fc.record({
      batch: size(3),
      M: size(70),
      N: size(70),
      K: size(90),
      tA: fc.boolean(),
      tB: fc.boolean(),
    });
    const check = async ({
      batch,
      M,
      N,
      K,
      tA,
      tB,
    }: {
      batch: number;
      M: number;
      N: number;
      K: number;
      tA: boolean;
      tB: boolean;
    }) => {
      const a = [batch, ...(tA ? [K, M] : [M, K])];
      const b = [batch, ...(tB ? [N, K] : [K, N])];
      const error = await errorOf(op, [a, b], { transposeA: tA, transposeB: tB });
      expect(error, `${formatShape(a)} ${formatShape(b)}`).toBeLessThan(BOUND);
    };
    await fc.assert(fc.asyncProperty(problem, check), { numRuns: 12, seed: 1 });
    await check({ batch: 1, M: 3, N: 5, K: 2100, tA: false, tB: true });
  });

  test('conv2d and both gradients', { timeout: 120_000 }, async () => {
    const [forward, input, weight] = [
      plannedFor(conv2dOp, name),
      plannedFor(conv2dInputGradOp, name),
      plannedFor(conv2dWeightGradOp, name),
    ];
    const problem = fc.record({
      N: size(3),
      groups: size(3),
      inPerGroup: size(5),
      outPerGroup: size(6),
      kernel: fc.tuple(size(4), size(4)),
      stride: fc.tuple(size(3), size(3)),
      dilation: fc.tuple(size(2), size(2)),
      padding: fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 })),
      extra: fc.tuple(size(9), size(9)),
    });
    await fc.assert(
      fc.asyncProperty(
        problem,
        async ({ N, groups, inPerGroup, outPerGroup, kernel, stride, dilation, padding, extra }) => {
          const attrs = convAttrs({ stride, padding, dilation, groups });
          const reach = [0, 1].map((axis) => dilation[axis] * (kernel[axis] - 1) + 1);
          const image: [number, number] = [reach[0] + extra[0], reach[1] + extra[1]];
          const x = [N, inPerGroup * groups, ...image];
          const w = [outPerGroup * groups, inPerGroup, ...kernel];
          const y = forward.shape([x, w], attrs);
          const where = `${formatShape(x)} ${formatShape(w)} ${JSON.stringify(attrs)}`;
          expect(await errorOf(forward, [x, w], attrs), where).toBeLessThan(BOUND);
          expect(await errorOf(input, [y, w], { ...attrs, size: image }), where).toBeLessThan(BOUND);
          expect(await errorOf(weight, [x, y], { ...attrs, size: kernel }), where).toBeLessThan(BOUND);
        },
      ),
      { numRuns: 10, seed: 2 },
    );
  });
});

test('a tensor larger than the adapter can bind is refused before anything runs', () => {
  const limit = gpu.raw.limits.maxStorageBufferBindingSize;
  const huge = { ...matmulOp, shape: () => [limit / 4 + 64] };
  const one = tensor(gpu, [1], [1, 1, 1]);
  expect(() => apply(huge, [one, one], { transposeA: false, transposeB: false })).toThrow(
    /matmul: a tensor of \d+ elements needs \d+ bytes and this adapter binds at most/,
  );
});
