// Structural rules: known numbers of Captum, RelevancePropagation.jl and zennit-crp, and equal maxima.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { tanh } from '../engine/ops/activations.ts';
import { max } from '../engine/ops/argmax.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import { maximum, relu } from '../engine/ops/pointwise.ts';
import type { Shape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Composite, composite, epsilonComposite } from '../lrp/composite.ts';
import { relevance, relevanceAt } from '../lrp/relevance.ts';
import type { Rule } from '../lrp/rule.ts';
import { alphaBeta, epsilon, gamma, pass } from '../lrp/rules.ts';
import { Conv2d, Linear } from '../nn/layers.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { initOn } from './small-nets.ts';

const device = new CpuDevice();
const init = initOn(device);
const of = (values: readonly number[], shape: Shape = [1, values.length]): Tensor =>
  tensor(device, values, shape);

/** A dense layer with these rows of weights. */
function dense(W: readonly (readonly number[])[], b?: readonly number[]): Linear {
  const layer = new Linear(init, W[0].length, W.length, { bias: b !== undefined });
  assign(layer.weight, of(W.flat(), [W.length, W[0].length]));
  if (b && layer.bias) assign(layer.bias, of(b, [b.length]));
  return layer;
}

const exact = epsilonComposite({ eps: 1e-12, bias: 'keep' });
const explained = (output: Tensor, seed: Tensor, input: Tensor, chosen: Composite = exact): number[] => [
  ...dataOf(relevance({ output, seed, input, composite: chosen })),
];

describe("Captum's numbers", () => {
  const x = of([1, 2, 3]);
  const threes = dense([[3, 3, 3]]);
  const perLayer = (...rules: Rule[]) =>
    composite('golden', [{ isFirst: true, rule: rules[0] }, { rule: rules[1] }]);

  test('1: two layers by epsilon, as a batch and at the hidden layer', () => {
    const twos = dense(new Array<number[]>(3).fill([2, 2, 2]));
    const batch = of([1, 2, 3, 3, 6, 9], [2, 3]);
    const hidden = twos.forward(batch);
    const output = threes.forward(relu(hidden));
    const options = { output, seed: output, input: batch, composite: exact };
    const [R, inside] = relevanceAt(options, [batch, hidden]);
    expectClose(dataOf(R), [18, 36, 54, 54, 108, 162], 8);
    expectClose(dataOf(inside), [36, 36, 36, 108, 108, 108], 8);
  });

  const rows: [string, Rule, Rule, number[]][] = [
    ['2: gamma', gamma(1, 1e-12), gamma(0.25, 1e-12), [28 / 3, 104 / 3, 52]],
    ['3: alpha 1, beta 0', alphaBeta(1, 0, 1e-12), alphaBeta(1, 0, 1e-12), [12, 33.6, 50.4]],
    ['4: pass, then epsilon', pass(), epsilon(1e-12), [24, 36, 36]],
  ];
  test.each(rows)('%s', (_, first, second, expected) => {
    const net = dense([
      [-2, 2, 2],
      [2, 2, 2],
      [2, 2, 2],
    ]);
    const output = threes.forward(relu(net.forward(x)));
    expectClose(explained(output, output, x, perLayer(first, second)), expected, 8);
  });

  test('5: tanh passes relevance on', () => {
    const row = [0.1, 0.1, 0.1];
    const hidden = tanh(dense([row, row, row]).forward(x));
    const output = dense([row]).forward(hidden);
    const [R, inside] = relevanceAt({ output, seed: output, input: x, composite: exact }, [x, hidden]);
    expectClose(dataOf(R), [0.02685248, 0.05370496, 0.08055743], 7);
    expectClose(dataOf(inside), [0.05370496, 0.05370496, 0.05370496], 7);
  });

  test('6: a skip connection', () => {
    const input = of([2, 3]);
    const five = [5, 5];
    const output = add(dense([five, five]).forward(input), input);
    expectClose(explained(output, mul(output, of([0, 1])), input), [10, 18], 8);
  });

  test('7: max-pooling in two dimensions, and in one behind a layer', () => {
    const image = of([1, 2, 5, 6], [1, 1, 2, 2]);
    const pooled = maxPool2d(image, { kernel: 2 });
    expect(explained(pooled, pooled, image)).toEqual([0, 0, 0, 6]);
    const lines = of([1, 2, 5, 6], [1, 2, 2]);
    const two = [2, 2];
    const output = max(dense([two, two]).forward(lines), [2]);
    expectClose(explained(output, mul(output, of([0, 1])), lines), [0, 0, 10, 12], 8);
  });

  test('8: convolution with biases, then a dense layer', () => {
    const conv = new Conv2d(init, 1, 2, 3);
    assign(conv.weight, of(new Array<number>(18).fill(1), [2, 1, 3, 3]));
    assign(conv.bias as Tensor, of([-50, -75], [2]));
    const image = of([...new Array(16).keys()], [1, 1, 4, 4]);
    const hidden = conv.forward(image);
    const head = dense([[1, 1, 1, 1, 1, -1, -1, -1]]);
    const output = head.forward(reshape(relu(hidden), [1, 8]));
    const [R, inside] = relevanceAt({ output, seed: output, input: image, composite: exact }, [
      image,
      hidden,
    ]);
    expectClose(dataOf(R), [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 0, 0, 0], 8);
    expectClose(dataOf(inside), [0, 4, 31, 40, 0, 0, -6, -15], 8);
  });

  test('9: without biases and epsilon it is input times gradient', () => {
    const layers = [1, 2].map((k) => {
      const values = randomValues(`9 ${k}`, 16, [-1, 1]);
      return dense([0, 4, 8, 12].map((i) => values.slice(i, i + 4)));
    });
    const input = of(randomValues('9 x', 4, [-1, 1]));
    const output = layers[1].forward(relu(layers[0].forward(input)));
    const [g] = adjoint(output, [input], of([1, 0, 0, 0]));
    const expected = dataOf(mul(input, g));
    expectClose(explained(output, mul(output, of([1, 0, 0, 0])), input), expected, 8);
  });
});

describe("RelevancePropagation.jl's, zennit-crp's and our own numbers", () => {
  test('11: y = x + relu(W x + b)', () => {
    const x = of([1, 2]);
    const layer = dense(
      [
        [3, 4],
        [5, 6],
      ],
      [7, 8],
    );
    const output = add(x, relu(layer.forward(x)));
    expectClose(explained(output, of([1, 0]), x), [4 / 19, 8 / 19], 9);
    expectClose(explained(output, of([0, 1]), x), [5 / 27, 14 / 27], 9);
  });

  test('14: overlapping max-pooling', () => {
    const a = of([1, 2, 3, 10, 5, 6, 7, 8, 9], [1, 1, 3, 3]);
    const output = maxPool2d(a, { kernel: 2, stride: 1 });
    const seed = of([1 / 30, 2 / 30, 3 / 30, 4 / 30], [1, 1, 2, 2]);
    expectClose(explained(output, seed, a), [0, 0, 0, 4 / 30, 0, 2 / 30, 0, 0, 4 / 30], 12);
  });

  test('15: two layers side by side, joined', () => {
    const x = of([-1, 1]);
    const [one, two] = [
      [
        [1, 2],
        [0, 1],
      ],
      [
        [2, 3],
        [0, 0],
      ],
    ].map((W) => dense(W).forward(x));
    const output = dense([[1, 4, 5, 0]]).forward(concat([one, two], 1));
    const [R, R1, R2] = relevanceAt({ output, seed: output, input: x, composite: exact }, [x, one, two]);
    expectClose(dataOf(R), [-11, 21], 8);
    expectClose([...dataOf(R1), ...dataOf(R2)], [1, 4, 5, 0], 8);
    // Masked to the first channel of each layer: relevance goes on from what is kept.
    const kept = explained(one, mul(R1, of([1, 0])), x);
    expectClose(kept, [-1, 2], 8);
    const alsoKept = explained(two, mul(R2, of([1, 0])), x);
    expectClose(
      kept.map((v, i) => v + alsoKept[i]),
      [-11, 17],
      8,
    );
  });

  const cancelling = [
    [1e-6, 0.1, 9.9999],
    [1e-6, 1e-3, 999.001],
    [1e-6, 1e-5, 90909.09],
    [0.01, 0.1, 9.0909],
    [0.01, 1e-3, 90.909],
    [0.01, 1e-5, 99.9],
  ];
  test.each(cancelling)('21: branches that cancel, eps %d, sum %d', (eps, d, expected) => {
    const [a, b] = [of([1]), of([-1 + d])];
    const chosen = epsilonComposite({ eps });
    const [R] = explained(add(a, b), of([1]), a, chosen);
    expect(R / expected).toBeCloseTo(1, 5);
  });
});

describe('equal maxima', () => {
  const split = epsilonComposite({ ties: 'split' });
  test('of a window go to the first one, or share', () => {
    const x = of([3, 1, 3, 3, 2, 3, 0, 3, 1], [1, 1, 3, 3]);
    const output = maxPool2d(x, { kernel: 2, stride: 1 });
    const seed = of([1, 2, 3, 6], [1, 1, 2, 2]);
    expect(explained(output, seed, x)).toEqual([1, 0, 2, 3, 0, 6, 0, 0, 0]);
    const shared = [0.5, 0, 1, 0.5 + 1.5, 0, 1 + 3, 0, 1.5 + 3, 0];
    expectClose(explained(output, seed, x, split), shared, 12);
  });
  test('do not go to padding', () => {
    const x = of([-1, -1, -2, -3], [1, 1, 2, 2]);
    const output = maxPool2d(x, { kernel: 3, stride: 2, padding: 1 });
    expectClose(explained(output, of([1], [1, 1, 1, 1]), x, split), [0.5, 0.5, 0, 0], 12);
  });
  test('along an axis and of two tensors', () => {
    const x = of([2, 5, 5, 1, 1, 1], [2, 3]);
    const output = max(x, [1]);
    expect(explained(output, of([6, 6], [2]), x)).toEqual([0, 6, 0, 6, 0, 0]);
    expectClose(explained(output, of([6, 6], [2]), x, split), [0, 3, 3, 2, 2, 2], 12);
    const y = of([1, 2, 3]);
    const larger = maximum(y, of([2, 2, 2]));
    expect(explained(larger, of([1, 1, 1]), y)).toEqual([0, 1, 1]);
    expect(explained(larger, of([1, 1, 1]), y, split)).toEqual([0, 0.5, 1]);
  });
});
