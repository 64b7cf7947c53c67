// The heatmap loss end to end: published small values, and its gradient against finite differences.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { mean } from '../engine/ops/arithmetic.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { scope } from '../engine/scope.ts';
import type { Tensor } from '../engine/tensor.ts';
import { gwrp } from '../isnet/gwrp.ts';
import { heatmapLoss } from '../isnet/heatmap-loss.ts';
import { isnetMaps } from '../isnet/maps.ts';
import { rangeOf } from '../isnet/range.ts';
import { selectiveGradient, stochasticGradient, type Variant } from '../isnet/seeds.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { Conv2d, Flatten, Linear, ReLU } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { fillNet, initOn, smallImages, smallMasks, smallNets } from './small-nets.ts';

describe('ranked pooling', () => {
  const pool = (d: number) => dataOf(gwrp(tensor(new CpuDevice(), [4, 1, 3, 2], [1, 4]), d))[0];
  test('with d = 0.5 halves the weight from rank to rank', () => expect(pool(0.5)).toBeCloseTo(3.266667, 6));
  test('with d = 1 is the mean', () => expect(pool(1)).toBeCloseTo(2.5, 12));
  test('with d = 0 is the maximum', () => expect(pool(0)).toBe(4));
  test('refuses d outside [0, 1]', () => expect(() => pool(1.5)).toThrow(/d is 1.5; it must lie in/));
});

describe('selective seed', () => {
  const z = [3.2, -1, 0.7, -4];
  test('is the slope of the log-odds of the lowest class', () => {
    const device = new CpuDevice();
    const logits = tensor(device, z, [1, 4]);
    const P = dataOf(softmax(logits));
    const seed = dataOf(selectiveGradient(logits));
    const expected = P.map((p, j) => (j === 3 ? 1 : -p / (1 - P[3])));
    expectClose(seed, expected, 12);
  });
  test('fades by gamma = P (1 - P) (1 / (P + e) + 1 / (1 - P + e)) in the published form', () => {
    const logits = tensor(new CpuDevice(), z, [1, 4]);
    const ratio = dataOf(selectiveGradient(logits, 1e-2))[3] / dataOf(selectiveGradient(logits))[3];
    const p = dataOf(softmax(logits))[3];
    expect(ratio).toBeCloseTo(p * (1 - p) * (1 / (p + 1e-2) + 1 / (1 - p + 1e-2)), 10);
    expect(ratio).toBeCloseTo(0.064, 3);
  });
});

describe('stochastic seed', () => {
  test('takes the largest logit half of the time and every other class as often as the next', () => {
    const device = new CpuDevice();
    const N = 20_000;
    const logits = tensor(
      device,
      Array.from({ length: N * 5 }, (_, i) => (i % 5 === 2 ? 1 : 0)),
      [N, 5],
    );
    const rows = dataOf(stochasticGradient(logits, tensor(device, [11, 4], [2])));
    const counts = [0, 0, 0, 0, 0];
    rows.forEach((value, i) => {
      counts[i % 5] += value;
    });
    // Five standard deviations of a binomial count.
    const bound = (p: number) => 5 * Math.sqrt(N * p * (1 - p));
    counts.forEach((count, c) => {
      const p = c === 2 ? 0.5 : 0.125;
      expect(Math.abs(count - N * p), `class ${c}`).toBeLessThan(bound(p));
    });
  });
  test('explains the only class where there is one', () => {
    const device = new CpuDevice();
    const rows = stochasticGradient(tensor(device, [0.3, -2], [2, 1]), tensor(device, [1, 1], [2]));
    expect([...dataOf(rows)]).toEqual([1, 1]);
  });
});

test('the natural range is the mean of the totals, widened by three deviations within its bounds', () => {
  const { C1, C2 } = rangeOf([8, 10, 12]);
  expect(C1).toBeCloseTo(4, 12);
  expect(C2).toBeCloseTo(16, 12);
  expect(rangeOf([1, 10, 19]).C1).toBeCloseTo(2, 12);
});

/** The net of formulas: two convolutions and one linear layer on a 4 x 4 image. */
function formulaNet(device: CpuDevice): Module {
  const init = initOn(device);
  const net = new Sequential(
    new Conv2d(init, 1, 2, 3, { padding: 1 }),
    new ReLU(),
    new Conv2d(init, 2, 3, 3, { padding: 1, stride: 2 }),
    new ReLU(),
    new Flatten(),
    new Linear(init, 12, 2),
  );
  const fill = (name: string, f: (i: number) => number) => {
    const t = net.stateDict().get(name) as Tensor;
    const size = dataOf(t).length;
    assign(
      t,
      tensor(
        device,
        Array.from({ length: size }, (_, i) => f(i)),
        t.shape,
      ),
    );
  };
  fill('0.weight', (i) => 0.5 * Math.sin(i + 1));
  fill('0.bias', (i) => 0.1 * Math.cos(i + 1));
  fill('2.weight', (i) => 0.4 * Math.sin(1.3 * (i + 1)));
  fill('2.bias', (i) => 0.1 * Math.cos(2 * (i + 1)));
  fill('5.weight', (i) => 0.6 * Math.sin(0.7 * (i + 1)));
  fill('5.bias', (i) => 0.1 * Math.cos(3 * (i + 1)));
  return net;
}

describe('the net of formulas has the published numbers', () => {
  const device = new CpuDevice();
  const net = formulaNet(device);
  const x = tensor(
    device,
    Array.from({ length: 16 }, (_, i) => ((7 * i) % 10) / 10),
    [1, 1, 4, 4],
  );
  const logits = net.forward(x);
  const maps = isnetMaps(net, x, logits, { variant: 'original', composite: isnetComposite() });
  const mask = tensor(device, [0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0], [1, 1, 4, 4]);
  const loss = heatmapLoss(maps, mask, { w1: 1, w2: 3, d: 0.9, E: 1, C1: 1, C2: 25 });

  test('logits', () => expectClose(dataOf(logits), [0.05433954, 0.00356967]));
  test('maps of both classes', () => {
    // biome-ignore format: one row of pixels per line
    expectClose(dataOf(maps), [
      0.01982416, 0.00211581, 0.00157929, -0.01205491,
      0.01870904, 0.01011138, 0.0098689, 0.00024912,
      -0.00668638, 0.00057824, 0.01319281, 0.01052916,
      -0.000527, -0.00146468, 0.00968767, 0.00721564,
      0.00081767, -0.00187117, -0.00120684, -0.00188687,
      0.0009435, -0.00142684, -0.0032339, -0.01328643,
      0.00173949, -0.00041013, -0.01107885, -0.00231605,
      0.00181056, 0.00118043, -0.00767339, -0.00656943,
    ]);
  });
  test('loss and its two terms', () => {
    expectClose(dataOf(loss.perSample), [3.55301459]);
    expectClose(dataOf(mean(loss.background)), [0.7006178]);
    expectClose(dataOf(mean(loss.foreground)), [0.95079893]);
  });
  test('gradients: none for the last bias, and the other biases only through activations', () => {
    const parameters = net.namedParameters();
    const gradients = adjoint(mean(loss.perSample), [...parameters.values()], tensor(device, [1], []));
    const norms = gradients.map((g) => Math.hypot(...dataOf(g)));
    expectClose(norms, [13.72122471, 3.49953011, 10.65436545, 21.94821401, 2.76039151, 0], 6);
    // biome-ignore format: one row of the kernel per line
    expectClose(dataOf(gradients[0]), [
      -0.37945972, 8.00882975, 0.95040225,
      2.41577366, -3.64279272, 4.98806212,
      2.12851542, -3.49390079, -6.25983527,
    ], 6);
    expectClose(dataOf(gradients[1]), [0.27489588, 3.48871657], 6);
  });
});

/** Heatmap loss of a small net for images [2, 1, 8, 8]: a scalar that depends on every parameter and pixel. */
function netLoss(net: Module, x: Tensor, variant: Variant, bias: 'keep' | 'detach'): Tensor {
  const { device } = x;
  const logits = net.forward(x);
  const composite = isnetComposite({ eps: 0.1, bias, statisticsGradient: 'keep' });
  const key = tensor(device, [5, 3], [2]);
  const maps = isnetMaps(net, x, logits, { variant, composite }, key);
  const masks = tensor(device, smallMasks(), [2, 1, 8, 8]);
  return mean(heatmapLoss(maps, masks, { C1: 1, C2: 3, w2: 0.5 }).perSample);
}

/** A net on a fresh CPU device with one number of one parameter moved. */
function movedLoss(
  make: (typeof smallNets)[string],
  isTraining: boolean,
  variant: Variant,
  name: string,
  k: number,
  delta: number,
): number {
  const device = new CpuDevice();
  return scope(device, () => {
    const net = make(device).train(isTraining);
    fillNet(net, { withBias: true });
    const t = net.stateDict().get(name) as Tensor;
    assign(
      t,
      tensor(
        device,
        dataOf(t).map((v, i) => (i === k ? v + delta : v)),
        t.shape,
      ),
    );
    const x = tensor(device, smallImages(), [2, 1, 8, 8]);
    return dataOf(netLoss(net, x, variant, 'keep'))[0];
  });
}

describe('the gradient of the heatmap loss for every parameter is its finite difference', () => {
  const cases = Object.keys(smallNets).flatMap((name) =>
    (['original', 'selective', 'stochastic'] as const).flatMap((variant) =>
      (name === 'plain' ? [false] : [false, true]).map((isTraining) => ({ name, variant, isTraining })),
    ),
  );
  test.each(cases)(
    '$name net, $variant, training statistics: $isTraining',
    ({ name, variant, isTraining }) => {
      const make = smallNets[name];
      const device = new CpuDevice();
      const net = make(device).train(isTraining);
      fillNet(net, { withBias: true });
      const x = tensor(device, smallImages(), [2, 1, 8, 8]);
      const parameters = net.namedParameters();
      const loss = netLoss(net, x, variant, 'keep');
      const gradients = adjoint(loss, [...parameters.values()], tensor(device, [1], []));
      [...parameters.keys()].forEach((parameter, i) => {
        const exact = dataOf(gradients[i]);
        for (let k = 0; k < exact.length; k += Math.max(1, Math.floor(exact.length / 5))) {
          const h = 1e-6;
          const up = movedLoss(make, isTraining, variant, parameter, k, h);
          const down = movedLoss(make, isTraining, variant, parameter, k, -h);
          const numeric = (up - down) / (2 * h);
          // Central differences of a loss of size 1 with h = 1e-6 are good to about 1e-8 in f64.
          const bound = 1e-6 * Math.max(1, Math.abs(exact[k]));
          expect(Math.abs(numeric - exact[k]), `${parameter}[${k}]`).toBeLessThan(bound);
        }
      });
    },
  );
});
