// NaN must travel: a kernel that turns it into 0 or -Infinity hides a diverged run.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { openDevice } from '../engine/node-device.ts';
import { max } from '../engine/ops/argmax.ts';
import { add, div, mean, mul, neg, sqrt, square } from '../engine/ops/arithmetic.ts';
import { adaptiveAvgPool2d, avgPool2d } from '../engine/ops/avg-pool.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import {
  abs,
  exp,
  floor,
  log,
  log1p,
  maximum,
  negativePart,
  notNegative,
  power,
  relu,
  sigmoid,
  sign,
  softplus,
  stabilize,
  step,
} from '../engine/ops/pointwise.ts';
import { logSoftmax, softmax } from '../engine/ops/softmax.ts';
import { sort } from '../engine/ops/sort.ts';
import type { Device, Tensor } from '../engine/tensor.ts';

let gpu: Device;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu?.close());

/** Functions of an image [1, 1, 2, 4] whose element 5 is NaN; each result must hold a NaN. */
const functions: Record<string, (x: Tensor) => Tensor> = {
  relu,
  step,
  sign,
  abs,
  notNegative,
  negativePart,
  'maximum with a scalar': (x) => maximum(x, 0),
  'maximum of equals': (x) => maximum(x, x),
  neg,
  square,
  floor,
  sigmoid,
  softplus,
  exp,
  sqrt: (x) => sqrt(abs(x)),
  log: (x) => log(abs(x)),
  log1p: (x) => log1p(abs(x)),
  'power of a positive base': (x) => power(abs(x), 2),
  'power with NaN above': (x) => power(2, x),
  'div by it': (x) => div(1, x),
  'maximum of a number and it': (x) => maximum(0, x),
  stabilize: (x) => stabilize(x, 0.1),
  'add of a row': (x) => add(x, tensor(x.device, [1, 2, 3, 4], [4])),
  'mul by 0': (x) => mul(x, 0),
  sum: (x) => sum(x),
  mean: (x) => mean(x, [2, 3]),
  avgPool2d: (x) => avgPool2d(x, { kernel: 2 }),
  adaptiveAvgPool2d: (x) => adaptiveAvgPool2d(x, [1, 3]),
  max: (x) => max(x),
  maxPool2d: (x) => maxPool2d(x, { kernel: 2 }),
  softmax: (x) => softmax(x),
  logSoftmax: (x) => logSoftmax(x),
  sort: (x) => sort(x),
  matmul: (x) => matmul(sum(x, [0, 1]), tensor(x.device, [1, 1, 1, 1], [4, 1])),
  conv2d: (x) => conv2d(x, tensor(x.device, [1, 1], [1, 1, 1, 2])),
};

const cases = Object.keys(functions).flatMap((name) =>
  (['cpu', 'gpu'] as const).map((kind) => ({ name, kind })),
);

test.each(cases)('NaN passes through $name on the $kind', async ({ name, kind }) => {
  const device = kind === 'cpu' ? new CpuDevice() : gpu;
  const x = tensor(device, [1, -2, 3, 0.5, 4, Number.NaN, -1, 2], [1, 1, 2, 4]);
  const values = await read(functions[name](x));
  expect(Array.from(values).some(Number.isNaN), `${values}`).toBe(true);
});
