// NaN must travel: a kernel that turns it into 0 or -Infinity hides a diverged run.
import { expect, test } from 'vitest';
import { capture } from '../engine/capture.ts';
import { CpuDevice } from '../engine/cpu-device.ts';
import { full, read, tensor } from '../engine/create.ts';
import { erf, gelu, leakyRelu, silu, tanh } from '../engine/ops/activations.ts';
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
  stabilizedDivide,
  step,
} from '../engine/ops/pointwise.ts';
import { logSoftmax, softmax } from '../engine/ops/softmax.ts';
import { sort } from '../engine/ops/sort.ts';
import type { Shape } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { clip } from '../nn/gradient-norm.ts';
import { valuesOf } from './captured.ts';
import { withGpu } from './gpu.ts';

const devices: Record<string, Device> = { cpu: new CpuDevice() };
withGpu((device) => {
  devices['own adapter'] = device;
});
withGpu(
  (device) => {
    devices['emulated GPU'] = device;
  },
  { profile: { family: 'gpu', subgroupSize: 0 } },
);

/** Images with one NaN: amid vec4s, and as the last number, behind them. */
const images: Record<string, { readonly shape: Shape; readonly values: readonly number[] }> = {
  'in a vec4': { shape: [1, 1, 2, 4], values: [1, -2, 3, 0.5, 4, Number.NaN, -1, 2] },
  'behind the last vec4': { shape: [1, 1, 3, 3], values: [1, -2, 3, 0.5, 4, -3, -1, 2, Number.NaN] },
};

const ones = (x: Tensor, shape: Shape): Tensor => full(x.device, shape, 1);

/** Functions of an image [1, 1, H, W] with a NaN; each result must hold a NaN. */
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
  'the smaller of it and a number': (x) => neg(maximum(neg(x), 0)),
  'stabilizedDivide by it': (x) => stabilizedDivide(ones(x, x.shape), x, 0.1),
  stabilize: (x) => stabilize(x, 0.1),
  erf,
  gelu,
  silu,
  tanh,
  leakyRelu: (x) => leakyRelu(x),
  'leakyRelu of another slope': (x) => leakyRelu(x, 0.2),
  'clipping by the norm': (x) => clip([x], 1)[0],
  'add of a row': (x) => add(x, ones(x, [x.shape[3]])),
  'mul by 0': (x) => mul(x, 0),
  sum: (x) => sum(x),
  mean: (x) => mean(x, [2, 3]),
  avgPool2d: (x) => avgPool2d(x, { kernel: x.shape[2] }),
  adaptiveAvgPool2d: (x) => adaptiveAvgPool2d(x, [1, 3]),
  max: (x) => max(x),
  maxPool2d: (x) => maxPool2d(x, { kernel: x.shape[2] }),
  softmax: (x) => softmax(x),
  logSoftmax: (x) => logSoftmax(x),
  sort: (x) => sort(x),
  matmul: (x) => matmul(sum(x, [0, 1]), ones(x, [x.shape[3], 1])),
  conv2d: (x) => conv2d(x, ones(x, [1, 1, 1, 2])),
};

const imageOn = (device: Device, place: string): Tensor =>
  tensor(device, images[place].values, images[place].shape);

const cases = ['cpu', 'own adapter', 'emulated GPU'].flatMap((where) =>
  Object.keys(images).flatMap((place) => Object.keys(functions).map((name) => ({ name, place, where }))),
);

test.each(cases)('NaN $place passes through $name on the $where', async ({ name, place, where }) => {
  const values = await read(functions[name](imageOn(devices[where], place)));
  expect(Array.from(values).some(Number.isNaN), `${values}`).toBe(true);
});

// In one step, which puts together whatever can be one kernel.
test.each(
  Object.keys(images).flatMap((place) => ['own adapter', 'emulated GPU'].map((where) => ({ place, where }))),
)('NaN $place passes through all of it, captured on the $where', async ({ place, where }) => {
  const device = devices[where];
  const step = capture(device, ({ x }: { x: Tensor }) =>
    Object.fromEntries(Object.entries(functions).map(([name, f]) => [name, f(x)])),
  );
  const results = Object.entries(await valuesOf(step({ x: imageOn(device, place) })));
  const lost = results.filter(([, values]) => !values.some(Number.isNaN)).map(([name]) => name);
  expect(lost).toEqual([]);
  expect(results.length).toBe(Object.keys(functions).length);
});
