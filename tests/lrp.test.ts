// Relevance: rules against explicit matrices, conservation on every structure, several maps in one pass, named errors.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { detach, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { concat } from '../engine/ops/layout.ts';
import { sigmoid } from '../engine/ops/pointwise.ts';
import { softmax } from '../engine/ops/softmax.ts';
import type { Tensor } from '../engine/tensor.ts';
import { epsilonComposite, isnetComposite } from '../lrp/composite.ts';
import { explain } from '../lrp/explain.ts';
import { flexRelevance } from '../lrp/flex.ts';
import { relevance } from '../lrp/relevance.ts';
import type { Rule } from '../lrp/rule.ts';
import { epsilon, zB } from '../lrp/rules.ts';
import { Conv2d, Linear, ReLU } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { gradientError, probe, randomValues } from './gradcheck.ts';
import { fillNet, initOn, residualNet, smallImages, smallNets } from './small-nets.ts';

/** A layer z = W x + b as an explicit matrix, found by feeding unit vectors. */
function matrixOf(apply: (x: number[]) => number[], size: number): { W: number[][]; b: number[] } {
  const b = apply(new Array<number>(size).fill(0));
  const columns = Array.from({ length: size }, (_, i) =>
    apply(Array.from({ length: size }, (_, j) => (i === j ? 1 : 0))).map((z, o) => z - b[o]),
  );
  return { W: b.map((_, o) => columns.map((column) => column[o])), b };
}

const stabilized = (z: number, eps: number) => (z >= 0 ? z + eps : z - eps);

/** R_i = sum_o (x_i w_oi - low w+_oi - high w-_oi) R_o / z'_o, written out; epsilon is low = high = 0. */
function ruleOnMatrix(
  x: number[],
  { W, b }: { W: number[][]; b: number[] },
  R: number[],
  low: number,
  high: number,
  eps: number,
) {
  return x.map((xi, i) => {
    let total = 0;
    W.forEach((row, o) => {
      const part = (j: number) => x[j] * row[j] - low * Math.max(row[j], 0) - high * Math.min(row[j], 0);
      const z = row.reduce(
        (sum, _, j) => sum + part(j),
        b[o] - low * Math.max(b[o], 0) - high * Math.min(b[o], 0),
      );
      total +=
        (xi * row[i] - low * Math.max(row[i], 0) - high * Math.min(row[i], 0)) * (R[o] / stabilized(z, eps));
    });
    return total;
  });
}

const layers = {
  dense: { make: (device: CpuDevice) => new Linear(initOn(device), 12, 5), shape: [1, 12] },
  'conv stride 1': {
    make: (device: CpuDevice) => new Conv2d(initOn(device), 2, 3, 3, { padding: 1 }),
    shape: [1, 2, 4, 3],
  },
  'conv stride 2': {
    make: (device: CpuDevice) => new Conv2d(initOn(device), 2, 3, 3, { padding: 1, stride: 2 }),
    shape: [1, 2, 5, 4],
  },
  'conv grouped': {
    make: (device: CpuDevice) => new Conv2d(initOn(device), 4, 4, 2, { groups: 2 }),
    shape: [1, 4, 3, 3],
  },
  'conv dilated': {
    make: (device: CpuDevice) => new Conv2d(initOn(device), 1, 2, 2, { dilation: 2 }),
    shape: [1, 1, 5, 5],
  },
};

const rules: Record<string, { rule: Rule; low: number; high: number; eps: number }> = {
  epsilon: { rule: epsilon(0.05), low: 0, high: 0, eps: 0.05 },
  'zB on [0, 1]': { rule: zB({ eps: 0.05 }), low: 0, high: 1, eps: 0.05 },
  'zB on [-1, 2]': { rule: zB({ low: -1, high: 2, eps: 0.05 }), low: -1, high: 2, eps: 0.05 },
};

const cases = Object.keys(layers).flatMap((layer) => Object.keys(rules).map((rule) => ({ layer, rule })));

describe('a rule on a layer is the same rule on the unrolled matrix', () => {
  test.each(cases)('$rule, $layer', ({ layer, rule }) => {
    const { make, shape } = layers[layer as keyof typeof layers];
    const device = new CpuDevice();
    const net = make(device);
    fillNet(net, { withBias: true });
    const size = shape.reduce((a, n) => a * n, 1);
    const values = randomValues(`x ${layer}`, size, [0, 1]);
    const apply = (x: number[]) => [...dataOf(net.forward(tensor(device, x, shape)))];
    const x = tensor(device, values, shape);
    const z = net.forward(x);
    const R = randomValues(`R ${layer}`, dataOf(z).length, [-1, 1]);
    const { rule: chosen, low, high, eps } = rules[rule];
    const composite = isnetComposite({ inputRule: chosen });
    const actual = relevance({ output: z, seed: tensor(device, R, z.shape), input: x, composite });
    const expected = ruleOnMatrix(values, matrixOf(apply, size), R, low, high, eps);
    expectClose(dataOf(actual), expected, 10);
  });

  test.each(cases)(
    'and its slopes in x, weight, bias and R are finite differences: $rule, $layer',
    ({ layer, rule }) => {
      const { make, shape } = layers[layer as keyof typeof layers];
      const sample = make(new CpuDevice());
      fillNet(sample, { withBias: true });
      const free = (t: Tensor) => ({ shape: t.shape, values: [...dataOf(t)] });
      const bias = sample.bias as Tensor;
      const size = shape.reduce((a, n) => a * n, 1);
      const values = randomValues(`x ${layer}`, size, [0.1, 0.9]);
      const zShape = sample.forward(tensor(sample.weight.device, values, shape)).shape;
      const R = randomValues(
        `R ${layer}`,
        zShape.reduce((a, n) => a * n, 1),
        [-1, 1],
      );
      const inputs = [{ shape, values }, free(sample.weight), free(bias), { shape: zShape, values: R }];
      // A layer call with the free tensors for parameters, as forward would record it.
      const loss = ([x, weight, b, seed]: Tensor[]) => {
        const layerOf = make(x.device as CpuDevice);
        const params = { weight, bias: b };
        const z = layerOf.apply(x, params);
        z.call = { layer: layerOf, input: x, params };
        const composite = isnetComposite({ inputRule: rules[rule].rule, bias: 'keep' });
        return probe(relevance({ output: z, seed, input: x, composite }), layer);
      };
      expect(gradientError({ inputs, loss, step: 1e-6, samplesPerInput: 12 })).toBeLessThan(1e-6);
    },
  );
});

const sumOf = (t: Tensor) => dataOf(t).reduce((a, b) => a + b, 0);

describe('relevance is conserved without biases and with a small stabiliser', () => {
  test.each(Object.entries(smallNets))('%s net', (_, make) => {
    const device = new CpuDevice();
    const net = make(device).eval();
    fillNet(net, { withBias: false });
    const x = tensor(device, smallImages(), [2, 1, 8, 8]);
    const logits = net.forward(x);
    const seed = mul(tensor(device, [1, 0, 0, 0, 0, 1], [2, 3]), logits);
    const composite = epsilonComposite({ eps: 1e-9 });
    const R = relevance({ output: logits, seed, input: x, composite, model: net });
    expect(Math.abs(sumOf(R) / sumOf(seed) - 1)).toBeLessThan(1e-6);
  });
});

describe('maps', () => {
  const device = new CpuDevice();
  const net = residualNet(device).eval();
  fillNet(net, { withBias: true });
  const x = tensor(device, smallImages(), [2, 1, 8, 8]);

  test('of several classes in one pass are the maps of single passes', () => {
    const logits = net.forward(x);
    const composite = isnetComposite();
    const seeds = [0, 1, 2].map((k) => tensor(device, randomValues(`seed ${k}`, 6, [-1, 1]), [2, 3]));
    const together = relevance({ output: logits, seed: concat(seeds, 0), input: x, composite });
    const single = seeds.map((seed) => dataOf(relevance({ output: logits, seed, input: x, composite })));
    const expected = single.flatMap((values) => [...values]);
    expectClose(dataOf(together), expected, 12);
  });

  test('of a batch are the maps of its images', () => {
    const { relevance: both } = explain(net, x, { target: [0, 2] });
    const pixels = smallImages();
    const second = tensor(device, pixels.slice(64), [1, 1, 8, 8]);
    const { relevance: alone } = explain(net, second, { target: 2 });
    expectClose(dataOf(both).subarray(64), dataOf(alone), 12);
  });

  test('leave parameters, statistics and mode as they were', () => {
    const before = [...net.stateDict()].map(([name, t]) => [name, [...dataOf(t)]]);
    explain(net, x);
    expect([...net.stateDict()].map(([name, t]) => [name, [...dataOf(t)]])).toEqual(before);
    expect(net.isTraining).toBe(false);
  });

  test('give black pixels relevance under zB, and none under epsilon', () => {
    const black = tensor(
      device,
      smallImages().map((v, i) => (i % 2 === 0 ? 0 : v)),
      [2, 1, 8, 8],
    );
    const onBlack = (values: ArrayLike<number>) =>
      Array.from(values).reduce((sum, v, i) => sum + (i % 2 === 0 ? Math.abs(v) : 0), 0);
    expect(onBlack(dataOf(explain(net, black).relevance))).toBeGreaterThan(1e-3);
    expect(onBlack(dataOf(explain(net, black, { composite: epsilonComposite() }).relevance))).toBe(0);
  });
});

test('LRP-Flex is epsilon-LRP when the last layer has no stabiliser', () => {
  const device = new CpuDevice();
  const init = initOn(device);
  const net = new Sequential(
    new Linear(init, 6, 5),
    new ReLU(),
    new Linear(init, 5, 4),
    new ReLU(),
    new Linear(init, 4, 3),
  );
  fillNet(net, { withBias: true });
  const x = tensor(device, randomValues('flex x', 12, [0, 1]), [2, 6]);
  const logits = net.forward(x);
  const rows = tensor(device, [1, 0, 0, 0, 1, 0], [2, 3]);
  const composite = epsilonComposite({ eps: 0.01 });
  const last = { ...composite, ruleFor: ({ name }: { name: string }) => epsilon(name === '4' ? 0 : 0.01) };
  const block = relevance({ output: logits, seed: mul(rows, logits), input: x, composite: last, model: net });
  // Without a rule at the first layer Flex ends in gradient times input.
  const flex = flexRelevance({
    output: logits,
    seed: rows,
    input: x,
    composite: { ...composite, ruleFor: () => null },
  });
  expectClose(dataOf(flex), dataOf(block), 12);
});

describe('where relevance has no meaning the error names', () => {
  const device = new CpuDevice();
  const x = () => tensor(device, [0.2, 0.4], [1, 2]);
  const explained = (act: (x: Tensor) => Tensor) => {
    const input = x();
    const output = act(input);
    return relevance({ output, seed: output, input, composite: isnetComposite() });
  };
  test('the op without a rule', () => {
    expect(() => explained(softmax)).toThrow(/lrp: no rule for op 'softmax' \(output \[1, 2\]\); explain/);
    expect(() => explained(sigmoid)).toThrow(/no rule for op 'sigmoid'/);
  });
  test('a product of two activations', () => {
    expect(() => explained((t) => mul(t, t))).toThrow(/no rule for op 'mul' of two activations/);
  });
  test('an output that was not computed from the input', () => {
    expect(() => explained((t) => detach(t))).toThrow(/does not depend on the input/);
  });
  test('a seed of another size', () => {
    const input = x();
    const output = new Linear(initOn(device), 2, 3).forward(input);
    const seed = tensor(device, [1, 2, 3, 4], [1, 4]);
    expect(() => relevance({ output, seed, input, composite: isnetComposite() })).toThrow(
      /relevance \[1, 4\] does not belong to an activation \[1, 3\]/,
    );
  });
  test('a class that does not exist', () => {
    const net = new Sequential(new Linear(initOn(device), 2, 3));
    expect(() => explain(net, x(), { target: 3 })).toThrow(
      /target \[3\] does not fit logits \[1, 3\]; give a class 0 to 2/,
    );
  });
});
