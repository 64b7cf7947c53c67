// Products whose operands are kept as f16: how far they may be off, what still overflows, and who refuses.
import { describe, expect, test } from 'vitest';
import { checkPrecision } from '../engine/adapter-profile.ts';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, readAll, tensor } from '../engine/create.ts';
import type { AdapterProfile } from '../engine/dispatch.ts';
import { DeviceError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { apply } from '../engine/op.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { conv2dInputGradOp, conv2dOp, conv2dWeightGradOp, convAttrs } from '../engine/ops/conv.ts';
import { matmulOp } from '../engine/ops/matmul.ts';
import { abs } from '../engine/ops/pointwise.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import type { Device, Op, Tensor } from '../engine/tensor.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import { Linear, ReLU } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';
import { gemmAdapters } from './kernel-check.ts';
import { initOn } from './small-nets.ts';

/** Unit roundoff of f16, and half the distance of its numbers below 2^-14. */
const U = 2 ** -11;
const TINY = 2 ** -25;
/** Sums of a thousand products in f32. */
const F32 = 1000 * 2 ** -24;

let gpu: GpuDevice;
let hasHalves: boolean;
withGpu((device) => {
  gpu = device;
  hasHalves = gpu.raw.features.has('shader-f16');
});

const mixed = <A>(op: Op<A>, name: string): Op<A> => ({
  ...op,
  name: `${op.name}, mixed, for ${name}`,
  kernel: (request) => {
    const adapter: AdapterProfile = { ...gemmAdapters[name](request.adapter), precision: 'mixed' };
    return op.kernel({ ...request, adapter });
  },
});

/**
 * Largest error in units of what is allowed: factors that are off by U and TINY make a sum of products off by
 *   sum |a b| (2 U + U^2) + TINY sum (|a| + |b|), beside what f32 does to it
 */
async function errorOf<A>(op: Op<A>, name: string, shapes: readonly Shape[], attrs: A) {
  const values = shapes.map((shape, i) =>
    randomValues(`mixed ${i}`, sizeOf(shape), [-1, 1]).map(Math.fround),
  );
  const on = (device: Device) => shapes.map((shape, i) => tensor(device, values[i], shape));
  const cpu = new CpuDevice();
  const expected = dataOf(apply(op, on(cpu), attrs));
  const [a, b] = on(cpu).map((t) => abs(t));
  const ones = shapes.map((shape) => tensor(cpu, new Array(sizeOf(shape)).fill(1), shape));
  const [both, onlyA, onlyB] = [
    [a, b],
    [a, ones[1]],
    [ones[0], b],
  ].map((inputs) => dataOf(apply(op, inputs, attrs)));
  const [actual] = await gpu.read([apply(mixed(op, name), on(gpu), attrs)]);
  let [worst, largest] = [0, 0];
  expected.forEach((value, i) => {
    const allowed = both[i] * (2 * U + U * U + F32) + TINY * (onlyA[i] + onlyB[i]) + 1e-30;
    worst = Math.max(worst, Math.abs(value - actual[i]) / allowed);
    largest = Math.max(largest, Math.abs(value - actual[i]));
  });
  return { worst, largest };
}

describe.each(Object.keys(gemmAdapters))('products with f16 operands, planned for %s', (name) => {
  test('are off by no more than their factors', { timeout: 120_000 }, async (context) => {
    if (!hasHalves) return context.skip('the adapter has no f16');
    const products: [Shape, Shape, boolean, boolean][] = [
      [[2, 33, 70], [2, 70, 29], false, false],
      [[1, 1028, 33], [1, 30, 1028], true, true],
    ];
    for (const [a, b, transposeA, transposeB] of products) {
      const { worst } = await errorOf(matmulOp, name, [a, b], { transposeA, transposeB });
      expect(worst, `${formatShape(a)} ${formatShape(b)}`).toBeLessThan(1);
    }
    const [x, w] = [
      [2, 5, 9, 8],
      [33, 5, 3, 3],
    ];
    const attrs = convAttrs({ padding: 1 });
    const y = conv2dOp.shape([x, w], attrs);
    const forward = await errorOf(conv2dOp, name, [x, w], attrs);
    expect(forward.worst, 'forward').toBeLessThan(1);
    const input = await errorOf(conv2dInputGradOp, name, [y, w], { ...attrs, size: [9, 8] });
    expect(input.worst, 'input gradient').toBeLessThan(1);
    const weight = await errorOf(conv2dWeightGradOp, name, [x, y], { ...attrs, size: [3, 3] });
    expect(weight.worst, 'weight gradient').toBeLessThan(1);
  });
});

test.for(['the own adapter', 'a GPU', 'a GPU with wide tiles'])(
  'halves are what is multiplied on %s',
  async (name, context) => {
    if (!hasHalves) return context.skip('the adapter has no f16');
    // On software adapters A is packed, since its terms are no vec4s; on GPUs both factors lie in tiles.
    const shapes = [
      [1, 256, 130],
      [1, 256, 132],
    ];
    const { largest } = await errorOf(matmulOp, name, shapes, { transposeA: true, transposeB: false });
    // In f32 it is 1e-6.
    expect(largest).toBeGreaterThan(1e-4);
  },
);

test('a device of mixed precision multiplies halves, keeps f32 between products, and conserves relevance to their digits', async (context) => {
  if (!hasHalves) return context.skip('the adapter has no f16');
  const device = await openDevice({ precision: 'mixed' });
  try {
    expect(device.profile.precision).toBe('mixed');
    // 1 + 2^-12 is no half.
    const x = tensor(device, new Array(256 * 128).fill(1 + 2 ** -12), [1, 256, 128]);
    const y = tensor(device, new Array(256 * 128).fill(1), [1, 256, 128]);
    const product = apply(matmulOp, [x, y], { transposeA: true, transposeB: false });
    const [products, kept] = await readAll([product, x]);
    expect(new Set(products)).toEqual(new Set([256]));
    expect(kept[0]).toBe(1 + 2 ** -12);
    // Nothing cancels here, so each of two layers loses 4 roundings: x and w forward, w and R / z back.
    const net = new Sequential(
      new Linear(initOn(device), 40, 24, { bias: false }),
      new ReLU(),
      new Linear(initOn(device), 24, 5, { bias: false }),
    ).eval();
    const image = tensor(device, randomValues('mixed/x', 80, [0.1, 1]), [2, 40]);
    const positive = (t: Tensor, key: string) =>
      tensor(device, randomValues(`mixed/${key}`, sizeOf(t.shape), [0.1, 1]), t.shape);
    for (const [key, p] of net.namedParameters()) assign(p, positive(p, key));
    const logits = net.forward(image);
    const R = relevance({
      output: logits,
      seed: logits,
      input: image,
      composite: epsilonComposite({ eps: 1e-9 }),
    });
    const [[before], [after]] = await readAll([sum(logits), sum(R)]);
    expect(Math.abs(after / before - 1)).toBeLessThan(8.1 * U);
  } finally {
    await device.close();
  }
});

test('an adapter without f16 refuses mixed precision, by its name', () => {
  const info = {
    vendor: 'maker',
    architecture: 'old',
    device: 'card',
    description: '',
    isFallbackAdapter: false,
  };
  const adapter = { info, features: new Set(), limits: {} } as unknown as GPUAdapter;
  expect(() => checkPrecision('openDevice', adapter, 'f32')).not.toThrow();
  expect(() => checkPrecision('openDevice', adapter, 'mixed')).toThrow(DeviceError);
  expect(() => checkPrecision('openDevice', adapter, 'mixed')).toThrow(
    /^openDevice: card \(.*\) has no f16 in kernels \(feature shader-f16\); leave out precision 'mixed', or use another adapter$/,
  );
});

test('openDevice refuses mixed precision where there is no f16', async (context) => {
  if (hasHalves) return context.skip('the adapter has f16');
  await expect(openDevice({ precision: 'mixed' })).rejects.toThrow(/has no f16 in kernels/);
});
