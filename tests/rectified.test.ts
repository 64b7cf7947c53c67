// Knowing that an input has no negative numbers: only where it is so, and with the same relevance and gradients for less work.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { add, mul, neg, sub } from '../engine/ops/arithmetic.ts';
import { avgPool2d } from '../engine/ops/avg-pool.ts';
import { concat, pad } from '../engine/ops/layout.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import { relu } from '../engine/ops/pointwise.ts';
import { dropoutMask } from '../engine/ops/random.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { isRectified } from '../lrp/rectified.ts';
import { relevance } from '../lrp/relevance.ts';
import { alphaBeta } from '../lrp/rules.ts';
import { AvgPool2d, Conv2d, MaxPool2d, ReLU } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { probe, randomValues } from './gradcheck.ts';
import { initOn } from './small-nets.ts';

const signed = (device: Device): Tensor =>
  tensor(device, randomValues('rectified', 2 * 2 * 16, [-1, 1]), [2, 2, 4, 4]);

const rectified: Record<string, (x: Tensor) => Tensor> = {
  'behind a ReLU': relu,
  'behind max-pooling of a ReLU': (x) => maxPool2d(relu(x), { kernel: 2 }),
  'behind average pooling of a ReLU': (x) => avgPool2d(relu(x), { kernel: 2 }),
  'of a sum of two ReLUs': (x) => add(relu(x), relu(neg(x))),
  'of joined and padded ReLUs': (x) => pad(concat([relu(x), relu(neg(x))], 1), [0, 0, 1, 1], [2, 4, 6, 6]),
  'behind dropout of a ReLU': (x) => mul(relu(x), dropoutMask(tensor(x.device, [1, 2], [2]), x.shape, 0.3)),
};
const unknown: Record<string, (x: Tensor) => Tensor> = {
  'of an image': (x) => x,
  'of a difference of ReLUs': (x) => sub(relu(x), relu(neg(x))),
  'of a sum with a ReLU': (x) => add(relu(x), x),
  'of joined parts of which one is not': (x) => concat([relu(x), x], 1),
  'behind max-pooling of anything': (x) => maxPool2d(x, { kernel: 2 }),
  'behind a negative ReLU': (x) => neg(relu(x)),
  'behind a convolution of a ReLU': (x) => new Conv2d(initOn(x.device), 2, 3, 3).forward(relu(x)),
};

describe('no number is below 0', () => {
  test.each(Object.entries(rectified))('%s', (_, make) => {
    const t = make(signed(new CpuDevice()));
    expect(isRectified(t)).toBe(true);
    expect(Math.min(...dataOf(t))).toBeGreaterThanOrEqual(0);
  });
  test.each(Object.entries(unknown))('but nothing is known %s', (_, make) =>
    expect(isRectified(make(signed(new CpuDevice())))).toBe(false),
  );
});

/** Relevance by alpha-beta of a small net, and the gradients of a probe of it. */
function result(rectify: () => Module): number[] {
  const device = new CpuDevice();
  const init = initOn(device);
  const conv = (from: number, to: number) => new Conv2d(init, from, to, 3, { padding: 1 });
  const net = new Sequential(
    conv(2, 3),
    rectify(),
    new MaxPool2d(2),
    conv(3, 3),
    rectify(),
    new AvgPool2d(2),
    conv(3, 2),
  );
  const x = signed(device);
  const output = net.forward(x);
  const composite = { ...epsilonComposite({ eps: 0.1, bias: 'keep' }), ruleFor: () => alphaBeta(2, 1, 0.1) };
  const R = relevance({ output, seed: output, input: x, composite, model: net });
  const slopes = adjoint(probe(R, 'rectified'), [x, ...net.parameters()], tensor(device, [1], []));
  return [R, ...slopes].flatMap((t) => [...dataOf(t)]);
}

test('relevance and its gradients are those of rules that look at both signs', () => {
  /** A ReLU that nothing is known of: of the factor only its number would tell. Relevance passes. */
  class Disguised extends ReLU {
    override apply(x: Tensor): Tensor {
      return mul(relu(x), 1);
    }
  }
  const found = result(() => new ReLU());
  expectClose(
    found,
    result(() => new Disguised()),
    12,
  );
  expect(Math.max(...found)).toBeGreaterThan(1e-2);
});
