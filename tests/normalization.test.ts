// LayerNorm, GroupNorm and BatchNorm in odd places: their numbers, and relevance against explicit matrices.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { detach, tensor } from '../engine/create.ts';
import { add, div, mean, mul, sqrt, square, sub } from '../engine/ops/arithmetic.ts';
import { expand } from '../engine/ops/broadcast.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Composite, epsilonComposite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { GroupNorm, LayerNorm, type SampleNorm } from '../nn/layer-norm.ts';
import { Conv2d } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { fillNet, initOn } from './small-nets.ts';

const device = new CpuDevice();
const init = initOn(device);
const of = (values: readonly number[], shape: Shape = [1, values.length]): Tensor =>
  tensor(device, values, shape);
const random = (name: string, shape: Shape): Tensor =>
  of(randomValues(`coverage ${name}`, sizeOf(shape), [-1, 1]), shape);
const exact = epsilonComposite({ eps: 1e-12, bias: 'keep', statisticsGradient: 'keep' });
const explained = (output: Tensor, seed: Tensor, input: Tensor, composite: Composite = exact): number[] => [
  ...dataOf(relevance({ output, seed, input, composite })),
];
const total = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0);

describe('LayerNorm and GroupNorm', () => {
  const made: [string, () => SampleNorm, Shape][] = [
    ['LayerNorm', () => new LayerNorm(init, 5), [2, 3, 5]],
    ['LayerNorm over two axes', () => new LayerNorm(init, [3, 5]), [2, 3, 5]],
    ['GroupNorm', () => new GroupNorm(init, 2, 4), [2, 4, 3, 2]],
  ];
  test.each(made)('%s normalises, and relevance sees 1/sigma as a constant', (_, make, shape) => {
    const layer = make();
    fillNet(layer, { withBias: true });
    const x = random('norm', shape);
    const output = layer.forward(x);
    const seed = random('norm seed', shape);
    // The same by hand: sigma detached, the rest affine in x; R_i = x_i (J^T R / y)_i.
    const scale = detach(layer.deviation(layer.centered(x)));
    const linear = (input: Tensor) =>
      dataOf(layer.affine(div(layer.centered(input), scale), layer.ownParameters()));
    expectClose(dataOf(output), linear(x), 12);
    const zero = linear(mul(x, 0));
    const message = [...dataOf(seed)].map((R, o) => R / dataOf(output)[o]);
    const values = [...dataOf(x)];
    const expected = values.map((value, i) => {
      const unit = linear(
        of(
          values.map((_, j) => (i === j ? 1 : 0)),
          shape,
        ),
      );
      return value * message.reduce((all, s, o) => all + s * (unit[o] - zero[o]), 0);
    });
    const R = explained(output, seed, x);
    expectClose(R, expected, 6);
    const free = explained(output, seed, x, { ...exact, bias: 'zero' });
    expect(total(free) / total(dataOf(seed))).toBeCloseTo(1, 7);
  });
  test("has PyTorch's numbers", () => {
    // torch.nn.LayerNorm(4)(x): biased variance 1.25, eps 1e-5.
    const y = dataOf(new LayerNorm(init, 4).forward(of([1, 2, 3, 4])));
    expectClose(y, [-1.3416355, -0.4472118, 0.4472118, 1.3416355], 6);
  });
  test('GroupNorm takes mean and deviation over each group of channels', () => {
    const x = random('groups', [2, 4, 3, 2]);
    const values = [...dataOf(x)];
    const groupOf = (i: number) => values.slice(12 * Math.floor(i / 12), 12 * Math.floor(i / 12) + 12);
    const average = (list: number[]) => total(list) / list.length;
    const expected = values.map((value, i) => {
      const center = average(groupOf(i));
      const variance = average(groupOf(i).map((v) => (v - center) ** 2));
      return (value - center) / Math.sqrt(variance + 1e-5);
    });
    expectClose(dataOf(new GroupNorm(init, 2, 4).forward(x)), expected, 12);
  });
  test('out of ops it is the same, where the mean is expanded and sigma detached', () => {
    const x = random('functional', [2, 5]);
    const layer = new LayerNorm(init, 5);
    const output = layer.forward(x);
    const centered = sub(x, expand(mean(x, [1], { keepDims: true }), x.shape));
    const sigma = detach(sqrt(add(mean(square(centered), [1], { keepDims: true }), 1e-5)));
    const byHand = div(centered, sigma);
    expectClose(dataOf(byHand), dataOf(output), 12);
    expectClose(explained(byHand, output, x), explained(output, output, x), 6);
  });
});

describe('BatchNorm is where DenseNet has it', () => {
  const orders: [string, () => Sequential][] = [
    ['before a convolution', () => new Sequential(new BatchNorm2d(init, 2), new Conv2d(init, 2, 3, 2))],
    [
      'before a padded convolution',
      () => new Sequential(new BatchNorm2d(init, 2), new Conv2d(init, 2, 3, 3, { padding: 1 })),
    ],
    ['alone on the input', () => new Sequential(new BatchNorm2d(init, 2))],
    [
      'behind a padded convolution',
      () => new Sequential(new Conv2d(init, 2, 3, 3, { padding: 1 }), new BatchNorm2d(init, 3)),
    ],
  ];
  const shape = [1, 2, 3, 3];
  test.each(orders)('%s: as matrices say, and conserved without biases', (_, make) => {
    const net = make().eval();
    fillNet(net, { withBias: true });
    const layers = net.children().map(([, layer]) => layer);
    // Behind a convolution BatchNorm is one map with it, elsewhere each layer is one.
    const isFolded = layers[1] instanceof BatchNorm2d;
    const maps = isFolded ? [net] : layers;
    const x = random('bn', shape);
    const inputs = [x, ...maps.slice(0, -1).map((layer) => layer.forward(x))];
    const output = net.forward(x);
    const seed = random('bn seed', output.shape);
    let R = [...dataOf(seed)];
    for (const [k, layer] of [...maps.entries()].reverse()) {
      const input = inputs[k];
      const values = [...dataOf(input)];
      const run = (v: number[]) => [...dataOf(layer.forward(of(v, input.shape)))];
      const z = run(values);
      const base = run(values.map(() => 0));
      R = values.map((value, i) => {
        const unit = run(values.map((_, j) => (i === j ? 1 : 0)));
        return R.reduce((all, r, o) => all + (value * (unit[o] - base[o]) * r) / z[o], 0);
      });
    }
    expectClose(explained(output, seed, x), R, 7);
    const free = explained(output, seed, x, { ...exact, bias: 'zero' });
    expect(total(free) / total(dataOf(seed))).toBeCloseTo(1, 6);
  });
});
