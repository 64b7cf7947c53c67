// The count of multiply-adds that theory and clocks are compared with: against products that are written out here.
import { describe, expect, test } from 'vitest';
import { productsOf } from '../bench/products.ts';
import { settings } from '../bench/rivals-setting.ts';
import { countForward, countProducts } from '../bench/rivals-training.ts';
import { capture } from '../engine/capture.ts';
import { full } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { backward } from '../engine/grad.ts';
import { square } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { matmul } from '../engine/ops/matmul.ts';
import type { Shape } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { methodNamed } from '../isnet/rivals/index.ts';
import { Conv2d, Flatten, Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { initOn } from './small-nets.ts';

/** Of a step of one input. */
const counted = (shape: Shape, step: (device: Device) => (x: Tensor) => Record<string, Tensor>) =>
  productsOf(async (device) => {
    const run = step(device);
    await capture(device, ({ x }: { x: Tensor }) => run(x)).prepare({ x: full(device, shape, 0) });
  });

// [2, 4, 6, 6] -> strided, in two groups [2, 6, 3, 3] -> [2, 5].
const CONV = 2 * 6 * 3 * 3 * (2 * 3 * 3);
const DENSE = 2 * 54 * 5;
const netOn = (device: Device) =>
  new Sequential(
    new Conv2d(initOn(device), 4, 6, 3, { stride: 2, padding: 1, groups: 2 }),
    new Flatten(),
    new Linear(initOn(device), 54, 5),
  );

describe('multiply-adds', () => {
  test('of a forward pass are outputs times what each of them sums over', async () => {
    const forward = counted([2, 4, 6, 6], (device) => {
      const net = netOn(device);
      return (x) => ({ z: net.forward(x) });
    });
    expect(await forward).toBe(CONV + DENSE);
  });

  test('of a training step are three times as many, but for the slope in the images', async () => {
    const step = counted([2, 4, 6, 6], (device) => {
      const net = netOn(device);
      const parameters = net.parameters();
      return (x) => {
        const loss = sum(square(net.forward(x)));
        const gradients = backward(loss, parameters, { retain: [loss] });
        return { loss, ...Object.fromEntries(gradients.map((g, i) => [String(i), g])) };
      };
    });
    expect(await step).toBe(3 * (CONV + DENSE) - CONV);
  });

  test('whose result nobody needs count for nothing, and transposed ones like others', async () => {
    const step = counted([3, 4], () => (x) => {
      matmul(x, x, { transposeB: true });
      return { y: matmul(x, x, { transposeA: true }) };
    });
    expect(await step).toBe(4 * 4 * 3);
  });

  test('of nothing captured are an error', async () => {
    await expect(productsOf(async () => {})).rejects.toThrow(UsageError);
  });
});

describe('a training step of the small network', () => {
  const [small] = settings;
  const passes = async (name: string) =>
    (await countProducts(methodNamed(name), small)) / (await countForward(small));
  // Its layers on 28x28: convolutions of 25 and of 8 x 9 products per output, two dense layers.
  const layers = [8 * 14 * 14 * 25, 16 * 7 * 7 * (8 * 9), 784 * 32, 32 * 10];
  const [first, , , last] = layers.map((products) => products / layers.reduce((a, b) => a + b));

  test('is three forward passes without the slope in the images', async () => {
    expect(await passes('classifier')).toBeCloseTo(3 - first, 10);
  });

  test('costs a map three more, and K maps 3 K', async () => {
    expect(await passes('isnet-softmax-gradient-input')).toBeCloseTo(6 - first, 10);
    // Where its maps begin there are ones, which have no slope: one product less in the last layer.
    expect(await passes('isnet-gradient-input')).toBeCloseTo(33 - first - 10 * last, 10);
  });
});

describe('a training step of ResNet-18', () => {
  const [, resnet] = settings;

  test('divides by products of the forward pass, whose BatchNorm is folded into the rules', async () => {
    const [step, forward] = await Promise.all([
      countProducts(methodNamed('isnet-stochastic'), resnet),
      countForward(resnet),
    ]);
    // Six, and what z^B adds in the first layer. Nine, were the products of folded weights made again.
    expect(step / forward).toBeGreaterThan(6);
    expect(step / forward).toBeLessThan(6.3);
  });
});
