// LRP as rules against LRP-Flex, one layer type at a time: where the stabilisers stand alike, the maps are the same.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { concat } from '../engine/ops/layout.ts';
import { relu } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { epsilonComposite, type LayerContext } from '../lrp/composite.ts';
import { targetRows } from '../lrp/explain.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { relevance } from '../lrp/relevance.ts';
import { epsilon } from '../lrp/rules.ts';
import { LeakyReLU } from '../nn/activations.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { AdaptiveAvgPool2d, AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { Module, Sequential } from '../nn/module.ts';
import { linear } from '../nn/wide-linear.ts';
import { expectClose } from './close.ts';
import { fillNet, initOn, smallImages } from './small-nets.ts';

const device = new CpuDevice();
const init = initOn(device);
const EPS = 0.05;
const NONE = 1e-13;

const conv = (from: number, to: number) => new Conv2d(init, from, to, 3, { padding: 1 });

/** Layers with a residual sum or a joint around the second one. */
class Branching extends Module {
  readonly conv1 = conv(1, 2);
  readonly branch = conv(2, 2);
  readonly fc: Linear;
  readonly #join: (y: Tensor, branch: Tensor) => Tensor;

  constructor(channels: number, join: (y: Tensor, branch: Tensor) => Tensor) {
    super();
    this.fc = new Linear(init, channels * 64, 3);
    this.#join = join;
  }

  forward(x: Tensor): Tensor {
    const y = relu(this.conv1.forward(x));
    const joined = this.#join(y, this.branch.forward(y));
    return this.fc.forward(new Flatten().forward(joined));
  }
}

interface Case {
  readonly net: () => Module;
  /** Layers that have no ReLU right behind them, besides the last one: Flex has no stabiliser there. */
  readonly unrectified?: RegExp;
  /** Stabiliser of sums and pools. A ReLU behind a sum is where Flex has its own. */
  readonly eps?: number;
}

const sequential = (size: number, ...layers: (() => Module)[]) => ({
  net: () => new Sequential(...layers.map((make) => make()), new Flatten(), new Linear(init, size, 3)),
});
const relus = () => new ReLU();

const cases: Readonly<Record<string, Case>> = {
  'Conv2d and ReLU': sequential(128, () => conv(1, 2), relus),
  'Conv2d and leaky ReLU': sequential(
    128,
    () => conv(1, 2),
    () => new LeakyReLU(0.2),
  ),
  'Conv2d with a stride': sequential(32, () => new Conv2d(init, 1, 2, 3, { stride: 2, padding: 1 }), relus),
  'Linear in blocks of rows': {
    net: () => new Sequential(new Flatten(), linear(init, 64, 5, {}, 128), relus(), new Linear(init, 5, 3)),
  },
  'BatchNorm behind Conv2d': sequential(
    128,
    () => conv(1, 2),
    () => new BatchNorm2d(init, 2),
    relus,
  ),
  'BatchNorm before ReLU alone': {
    ...sequential(
      128,
      () => conv(1, 2),
      () => new MaxPool2d(1),
      () => new BatchNorm2d(init, 2),
      relus,
    ),
    unrectified: /^0$/,
  },
  'max-pooling': sequential(
    32,
    () => conv(1, 2),
    relus,
    () => new MaxPool2d(2),
  ),
  'average pooling': sequential(
    32,
    () => conv(1, 2),
    relus,
    () => new AvgPool2d(2),
  ),
  'adaptive average pooling': sequential(
    18,
    () => conv(1, 2),
    relus,
    () => new AdaptiveAvgPool2d(3),
  ),
  'a residual sum': {
    net: () => new Branching(2, (y, branch) => relu(add(branch, y))),
    unrectified: /^branch$/,
    eps: EPS,
  },
  'a joint': { net: () => new Branching(4, (y, branch) => concat([y, relu(branch)], 1)) },
};

describe('LRP-epsilon with its stabiliser at ReLUs is LRP-Flex', () => {
  test.each(Object.entries(cases))('%s', (_, { net, unrectified, eps = NONE }) => {
    const model = net().eval();
    fillNet(model, { withBias: true });
    const input = tensor(device, smallImages(), [2, 1, 8, 8]);
    const output = model.forward(input);
    const rows = targetRows(output, [0, 2]);
    const hasRelu = ({ name, isLast }: LayerContext) => !isLast && !unrectified?.test(name);
    const ruleFor = (layer: LayerContext) => epsilon(hasRelu(layer) ? EPS : NONE);
    const rules = { ...epsilonComposite({ eps, bias: 'keep', statisticsGradient: 'keep' }), ruleFor };
    const asRules = relevance({ output, seed: mul(rows, output), input, composite: rules, model });
    const flex = { ...epsilonComposite({ eps: EPS }), ruleFor: () => null };
    const asGradients = flexRelevance({ output, seed: rows, input, composite: flex, model });
    expectClose(dataOf(asRules), dataOf(asGradients), 9);
    expect(Math.max(...dataOf(asGradients))).toBeGreaterThan(1e-3);
  });

  // Spec of the authors' two codes: the rules have a second stabiliser where a branch ends without a ReLU.
  test('but for a branch whose rule has a stabiliser of its own', () => {
    const model = new Branching(2, (y, branch) => relu(add(branch, y))).eval();
    fillNet(model, { withBias: true });
    const input = tensor(device, smallImages(), [2, 1, 8, 8]);
    const output = model.forward(input);
    const rows = targetRows(output, 0);
    const twice = epsilonComposite({ eps: EPS, bias: 'keep', statisticsGradient: 'keep' });
    const asRules = dataOf(relevance({ output, seed: mul(rows, output), input, composite: twice, model }));
    const flex = { ...epsilonComposite({ eps: EPS }), ruleFor: () => null };
    const asGradients = dataOf(flexRelevance({ output, seed: rows, input, composite: flex, model }));
    expect(Math.max(...asRules.map((R, i) => Math.abs(R - asGradients[i])))).toBeGreaterThan(1e-4);
  });
});
