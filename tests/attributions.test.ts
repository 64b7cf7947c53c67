// Attributions: equalities that define them, slopes by finite differences, and a model that is left as it was.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { softplus } from '../engine/ops/pointwise.ts';
import { withoutRecording } from '../engine/scope.ts';
import type { Tensor } from '../engine/tensor.ts';
import { gradCam } from '../lrp/attributions/grad-cam.ts';
import { gradient, inputTimesGradient } from '../lrp/attributions/gradient.ts';
import { integratedGradients } from '../lrp/attributions/integrated-gradients.ts';
import { occlusion } from '../lrp/attributions/occlusion.ts';
import { lrp } from '../lrp/attributions/relevance.ts';
import { deconvnet, guidedBackprop } from '../lrp/attributions/relu-rules.ts';
import { smoothGrad } from '../lrp/attributions/smooth-grad.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { explain } from '../lrp/explain.ts';
import { LeakyReLU } from '../nn/activations.ts';
import { AdaptiveAvgPool2d, Conv2d, Flatten, Linear, ReLU } from '../nn/layers.ts';
import { Module, Sequential } from '../nn/module.ts';
import { upsampleBilinear } from '../nn/resample.ts';
import { expectClose } from './close.ts';
import { example, fill, imagesOn } from './filled-nets.ts';
import { fillNet, initOn, normNet, plainNet, smallImages } from './small-nets.ts';

/** Pixels as logits; remembers what it was shown. */
class Identity extends Module {
  readonly seen: number[][] = [];

  forward(x: Tensor): Tensor {
    if (x.device.kind === 'cpu') this.seen.push([...dataOf(x)]);
    return reshape(x, [x.shape[0], -1]);
  }
}

/** Two dense layers with a softplus between: no kinks. */
class Smooth extends Module {
  readonly first: Linear;
  readonly second: Linear;

  constructor(first: Linear, second: Linear) {
    super();
    this.first = first;
    this.second = second;
  }

  forward(x: Tensor): Tensor {
    return this.second.forward(softplus(this.first.forward(x)));
  }
}

const sumsOf = (t: Tensor) => [...dataOf(sum(reshape(t, [t.shape[0], -1]), [1]))];

describe('the gradient', () => {
  test('is that of the logit of each image, and times the image it is input times gradient', () => {
    const { device, net, x } = example();
    const logits = net.forward(x);
    const seed = tensor(device, [0, 1, 0, 0, 0, 1], [2, 3]);
    const [expected] = adjoint(logits, [x], seed);
    expectClose(dataOf(gradient(net, x, { target: [1, 2] })), dataOf(expected), 12);
    expectClose(dataOf(inputTimesGradient(net, x, { target: seed })), dataOf(mul(x, expected)), 12);
  });
  test('explains the given logits of a training step, batch statistics included', () => {
    const { device, net, x } = example(normNet);
    net.train();
    const logits = net.forward(x);
    const [expected] = adjoint(logits, [x], tensor(device, [1, 0, 0, 1, 0, 0], [2, 3]));
    expectClose(dataOf(gradient(net, x, { target: 0, logits })), dataOf(expected), 12);
  });
  test('is found while recording is off, and then has no history', () => {
    const { device, net, x } = example();
    const expected = dataOf(gradient(net, x));
    const found = withoutRecording(device, () => gradient(net, x));
    expectClose(dataOf(found), expected, 12);
    expect(found.origin).toBeNull();
    expect(device.recorder.isRecording).toBe(true);
  });
});

describe('integrated gradients', () => {
  test('with one step are the gradient times the way from the baseline', () => {
    const { net, x } = example();
    const g = dataOf(gradient(net, x, { target: 1 }));
    const found = integratedGradients(net, x, { target: 1, steps: 1, baseline: 0.3 });
    expectClose(
      dataOf(found),
      smallImages().map((v, i) => g[i] * (v - 0.3)),
      12,
    );
  });
  test('of a linear net are weight times way, whatever the steps', () => {
    const device = new CpuDevice();
    const net = new Sequential(new Linear(initOn(device), 3, 2));
    fillNet(net, { withBias: true });
    const x = tensor(device, [0.2, -0.5, 1.5], [1, 3]);
    const baseline = tensor(device, [1, 2, -1], [1, 3]);
    const w = dataOf(net.parameters()[0]).subarray(3);
    const expected = [-0.8, -2.5, 2.5].map((way, i) => way * w[i]);
    for (const points of ['end', 'middle'] as const) {
      expectClose(
        dataOf(integratedGradients(net, x, { target: 1, steps: 5, baseline, points })),
        expected,
        12,
      );
    }
  });
  test('look at points on the ray from the baseline to the image only', () => {
    const net = new Identity();
    const x = tensor(new CpuDevice(), [2, 4], [1, 2]);
    expectClose(dataOf(integratedGradients(net, x, { target: 1, steps: 4, baseline: -2 })), [0, 6], 12);
    expectClose(net.seen.at(-1) ?? [], [-1, -0.5, 0, 1, 1, 2.5, 2, 4], 12);
  });
  test('add up to f(x) - f(baseline), with an error that falls with the steps, or with their square', () => {
    const device = new CpuDevice();
    const init = initOn(device);
    const net = new Smooth(new Linear(init, 4, 5), new Linear(init, 5, 2));
    fillNet(net, { withBias: true });
    const x = tensor(device, [1, -2, 0.5, 3], [1, 4]);
    const f = (t: Tensor) => dataOf(net.forward(t))[1];
    const change = f(x) - f(tensor(device, [0, 0, 0, 0], [1, 4]));
    const errorOf = (points: 'end' | 'middle', steps: number) =>
      Math.abs(sumsOf(integratedGradients(net, x, { target: 1, steps, points }))[0] - change);
    expect(errorOf('end', 16) / errorOf('end', 32)).toBeCloseTo(2, 1);
    expect(errorOf('middle', 16) / errorOf('middle', 32)).toBeCloseTo(4, 1);
    expect(errorOf('middle', 32)).toBeLessThan(1e-3 * Math.abs(change));
  });
});

describe('SmoothGrad', () => {
  test('with one sample, or without noise, is the gradient', () => {
    const { net, x } = example();
    const expected = dataOf(gradient(net, x));
    expectClose(dataOf(smoothGrad(net, x, { samples: 1 })), expected, 12);
    expectClose(dataOf(smoothGrad(net, x, { samples: 5, noiseLevel: 0 })), expected, 12);
  });
  test('is another one for another seed', () => {
    const { net, x } = example();
    const found = (seed: number) => [...dataOf(smoothGrad(net, x, { samples: 3, seed }))];
    expect(found(1)).toEqual(found(1));
    expect(found(1)).not.toEqual(found(2));
  });
  test('draws noise of the deviation asked for, relative to the range of each image', () => {
    const net = new Identity();
    const x = tensor(new CpuDevice(), [0, 1, 5, 25], [2, 2]);
    smoothGrad(net, x, { target: 0, samples: 100, noiseLevel: 0.2 });
    const shown = net.seen.at(-1) ?? [];
    expect(shown.length).toBe(400);
    for (const [offset, mean, range] of [
      [0, 0, 1],
      [3, 25, 20],
    ]) {
      const noise = Array.from({ length: 100 }, (_, k) => shown[4 * k + offset] - mean);
      const deviation = Math.sqrt(noise.reduce((total, e) => total + e * e, 0) / 100) / (0.2 * range);
      expect(deviation).toBeGreaterThan(0.667);
      expect(deviation).toBeLessThan(1.5);
    }
  });
});

/** Two dense layers with a ReLU between, and what is handed back through them: rows of W are outputs. */
function denseExample(activation: Module = new ReLU()) {
  const device = new CpuDevice();
  const init = initOn(device);
  const net = new Sequential(new Linear(init, 2, 3), activation, new Linear(init, 3, 1));
  const [W1, b1, W2, b2] = net.parameters();
  fill(W1, [1, 2, -1, 1, 3, -1]);
  fill(b1, [0, 0, 0]);
  fill(W2, [2, -5, 4]);
  fill(b2, [0]);
  return { net, x: tensor(device, [0.25, 1], [1, 2]) };
}

describe('at a ReLU, of signals [2, -5, 4] where z = [2.25, 0.75, -0.25]', () => {
  const { net, x } = denseExample();
  // W1^T s, with what is left of the signals.
  const back = (s: number[]) => [s[0] - s[1] + 3 * s[2], 2 * s[0] + s[1] - s[2]];
  test('the gradient passes 2 and -5', () => expectClose(dataOf(gradient(net, x)), back([2, -5, 0]), 12));
  test('the deconvnet passes 2 and 4', () => expectClose(dataOf(deconvnet(net, x)), back([2, 0, 4]), 12));
  test('guided backpropagation passes 2', () =>
    expectClose(dataOf(guidedBackprop(net, x)), back([2, 0, 0]), 12));

  test('of a slope of 0.1, the deconvnet passes the same, and guided backpropagation a tenth of 4', () => {
    const leaky = denseExample(new LeakyReLU(0.1));
    expectClose(dataOf(gradient(leaky.net, leaky.x)), back([2, -5, 0.4]), 12);
    expectClose(dataOf(deconvnet(leaky.net, leaky.x)), back([2, 0, 4]), 12);
    expectClose(dataOf(guidedBackprop(leaky.net, leaky.x)), back([2, 0, 0.4]), 12);
  });
});

test('where all is positive, guided backpropagation and deconvnet are the gradient', () => {
  const { net, x } = example(plainNet);
  for (const t of net.parameters())
    fill(
      t,
      [...dataOf(t)].map((v) => Math.abs(v) + 0.01),
    );
  const expected = dataOf(gradient(net, x));
  expect(Math.max(...expected)).toBeGreaterThan(0.01);
  expectClose(dataOf(guidedBackprop(net, x)), expected, 12);
  expectClose(dataOf(deconvnet(net, x)), expected, 12);
});

describe('occlusion', () => {
  test('by disjoint windows adds up to the image where the logits are the pixels', () => {
    const device = new CpuDevice();
    const values = Array.from({ length: 30 }, (_, i) => Math.sin(i + 1));
    const copies = Array.from({ length: 30 }, () => values).flat();
    const x = tensor(device, copies, [30, 1, 5, 6]);
    const target = Array.from({ length: 30 }, (_, i) => i);
    const map = dataOf(occlusion(new Identity(), x, { target, patch: 2 }));
    // Sum over windows: one pixel of each, its upper left. The last row of windows is cut.
    const corners = [0, 2, 4].flatMap((y) => [0, 2, 4].map((column) => 6 * y + column));
    const totals = target.map((n) => corners.reduce((total, i) => total + map[30 * n + i], 0));
    expectClose(totals, values, 12);
  });
  test('by overlapping windows is the mean loss over the windows that cover a pixel', () => {
    const { device, net, x } = example();
    const f = (values: number[]) => dataOf(net.forward(tensor(device, values, [2, 1, 8, 8])))[1];
    const loss = new Array<number>(64).fill(0);
    const cover = new Array<number>(64).fill(0);
    for (const top of [0, 2, 4, 6])
      for (const left of [0, 2, 4, 6]) {
        const isIn = (i: number) => {
          const [dy, dx] = [Math.floor(i / 8) - top, (i % 8) - left];
          return dy >= 0 && dy < 3 && dx >= 0 && dx < 3;
        };
        const covered = smallImages().map((v, i) => (i < 64 && isIn(i) ? 0.5 : v));
        for (let i = 0; i < 64; i++) {
          if (!isIn(i)) continue;
          loss[i] += f(smallImages()) - f(covered);
          cover[i]++;
        }
      }
    const map = occlusion(net, x, { target: 1, patch: 3, stride: 2, baseline: 0.5 });
    expectClose(
      dataOf(map),
      loss.map((total, i) => total / cover[i]),
      12,
    );
  });
});

describe('Grad-CAM', () => {
  test('before a global mean and one dense layer is the class activation map, over its size', () => {
    const device = new CpuDevice();
    const init = initOn(device);
    const net = new Sequential(
      new Conv2d(init, 1, 3, 3, { padding: 1 }),
      new ReLU(),
      new AdaptiveAvgPool2d(1),
      new Flatten(),
      new Linear(init, 3, 2),
    );
    fillNet(net, { withBias: true });
    const x = imagesOn(device);
    const [conv, act] = net.children().map(([, module]) => module);
    const A = dataOf(act.forward(conv.forward(x)));
    const w = dataOf(net.parameters()[2]).subarray(3, 6);
    const expected = Array.from({ length: 128 }, (_, i) => {
      const [n, p] = [Math.floor(i / 64), i % 64];
      return Math.max(
        0,
        [0, 1, 2].reduce((total, k) => total + (w[k] / 64) * A[(3 * n + k) * 64 + p], 0),
      );
    });
    expectClose(dataOf(gradCam(net, x, { target: 1 })), expected, 12);
    expectClose(dataOf(gradCam(net, x, { target: 1, layer: '1' })), expected, 12);
    expect([...dataOf(gradCam(net, x, { target: 1, layer: conv }))]).not.toEqual(expected);
  });
  test('gives the map of the layer, or enlarges it to the image', () => {
    const { net, x } = example(plainNet);
    const raw = gradCam(net, x, { layer: '4', size: 'layer' });
    const large = gradCam(net, x, { layer: '4' });
    expect([raw.shape, large.shape]).toEqual([
      [2, 1, 4, 4],
      [2, 1, 8, 8],
    ]);
    expectClose(dataOf(large), dataOf(upsampleBilinear(raw, [8, 8])), 12);
  });
  test('enlarges as PyTorch does with align_corners=False', () => {
    const x = tensor(new CpuDevice(), [0, 1, 2, 3], [1, 1, 2, 2]);
    expectClose(dataOf(upsampleBilinear(x, [4, 3])), [0, 0.5, 1, 0.5, 1, 1.5, 1.5, 2, 2.5, 2, 2.5, 3], 12);
  });
});

describe('LRP among the attributions', () => {
  test('is what explain gives', () => {
    const { net, x } = example();
    const { relevance } = explain(net, x, { target: 1 });
    expect([...dataOf(lrp(net, x, { target: 1 }))]).toEqual([...dataOf(relevance)]);
  });
  test('without biases and with eps -> 0 is input times gradient', () => {
    const { net, x } = example(plainNet, false);
    const composite = epsilonComposite({ eps: 1e-10 });
    expectClose(dataOf(lrp(net, x, { composite })), dataOf(inputTimesGradient(net, x)), 6);
  });
});
