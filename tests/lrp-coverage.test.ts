// Every op has a structural rule or is refused by name; products, quotients, copies.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { detach, tensor } from '../engine/create.ts';
import { vjpOf } from '../engine/grad.ts';
import { apply } from '../engine/op.ts';
import { silu } from '../engine/ops/activations.ts';
import { add, div, mul, sqrt, square } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { allOps } from '../engine/ops/index.ts';
import { concat, permute } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { step } from '../engine/ops/pointwise.ts';
import { sort } from '../engine/ops/sort.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Op, Tensor } from '../engine/tensor.ts';
import { type Composite, epsilonComposite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import { structuralRule } from '../lrp/structure.ts';
import { Upsample } from '../nn/upsample.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';

const device = new CpuDevice();
const of = (values: readonly number[], shape: Shape = [1, values.length]): Tensor =>
  tensor(device, values, shape);
const random = (name: string, shape: Shape): Tensor =>
  of(randomValues(`coverage ${name}`, sizeOf(shape), [-1, 1]), shape);
const exact = epsilonComposite({ eps: 1e-12, bias: 'keep', statisticsGradient: 'keep' });
const explained = (output: Tensor, seed: Tensor, input: Tensor, composite: Composite = exact): number[] => [
  ...dataOf(relevance({ output, seed, input, composite })),
];

/** Ops whose results relevance is refused for. Taking one off this list means giving it a rule, with a source. */
const refused = [
  'power',
  'exp',
  'log',
  'log1p',
  'sqrt',
  'erf',
  'logSoftmax',
  'scatterAdd',
  'stabilize',
  'stabilizedDivide',
  'channelMoments',
  'conv2dWeightGrad',
];

describe('every op', () => {
  const hasSlope = (op: Op) => op.examples[0].inputs.some((_, i) => vjpOf(op, i));

  test('has a rule, is refused by name, or carries no signal', () => {
    const without = allOps.filter((op) => hasSlope(op) && !structuralRule(op.name)).map((op) => op.name);
    expect(without.toSorted()).toEqual(refused.toSorted());
  });

  const cases = allOps.flatMap((op) =>
    op.examples.flatMap((example, i) => {
      const free = example.inputs.findIndex((_, k) => vjpOf(op, k) && !example.fixed?.[k]);
      return free < 0 || example.inputs[free].length === 0
        ? []
        : [{ name: `${op.name} #${i}`, op, example, free }];
    }),
  );
  test.each(cases)('$name: relevance of its first input, or the error', ({ op, example, free }) => {
    const inputs = example.inputs.map((shape, i) => {
      const values =
        example.fixed?.[i] ?? randomValues(`${op.name} ${i}`, sizeOf(shape), example.range ?? [-1, 1]);
      return of(values, shape);
    });
    const output = apply(op, inputs, example.attrs ?? {});
    const run = () => explained(output, output, inputs[free]);
    if (refused.includes(op.name)) expect(run).toThrow(`no rule for op '${op.name}'`);
    else if (
      sizeOf(inputs[free].shape) !== sizeOf(output.shape) &&
      /^(mul|div|sub|add|maximum|leakyRelu)$/.test(op.name)
    )
      expect(run).toThrow(/broadcasts/);
    else expect(run().every(Number.isFinite)).toBe(true);
  });
});

describe('of two activations', () => {
  const x = random('x', [2, 3, 4]);
  test('a product gives each half', () => {
    const output = mul(silu(x), x);
    const seed = random('seed', [2, 3, 4]);
    expectClose(explained(output, seed, x), dataOf(seed), 12);
  });
  test('a matrix product gives each half, as explicit sums say', () => {
    const [a, b] = [random('a', [1, 2, 3]), random('b', [1, 3, 2])];
    const joined = of([...dataOf(a), ...dataOf(b)], [1, 12]);
    const parts = [
      [0, [1, 2, 3]],
      [6, [1, 3, 2]],
    ].map(([start, shape]) => {
      const row = apply(allOps.find((op) => op.name === 'slice') as Op, [joined], {
        starts: [0, start],
        shape: [1, 6],
      });
      return apply(allOps.find((op) => op.name === 'reshape') as Op, [row], { shape });
    });
    const output = matmul(parts[0], parts[1]);
    const seed = random('R', [1, 2, 2]);
    const [A, B, Z, R] = [a, b, output, seed].map((t) => dataOf(t));
    const share = (m: number, k: number, n: number) =>
      (0.5 * A[3 * m + k] * B[2 * k + n] * R[2 * m + n]) / Z[2 * m + n];
    const expected = [
      ...[0, 1].flatMap((m) => [0, 1, 2].map((k) => share(m, k, 0) + share(m, k, 1))),
      ...[0, 1, 2].flatMap((k) => [0, 1].map((n) => share(0, k, n) + share(1, k, n))),
    ];
    expectClose(explained(output, seed, joined), expected, 9);
  });
  test('a comparison is a gate, not an activation', () => {
    const output = mul(x, step(x));
    expectClose(explained(output, output, x), dataOf(output), 12);
  });
  test('a sum and its terms, with a bias that keeps its share', () => {
    const y = of([2, 3]);
    const output = add(y, of([2, 1]));
    expectClose(explained(output, of([1, 1]), y), [0.5, 0.75], 9);
  });
  test('a quotient is refused, and passes when the divisor is detached', () => {
    const scale = sqrt(add(square(x), 1));
    expect(() => explained(div(x, scale), x, x)).toThrow(
      /op 'div' by an activation .* detach it if it is a scale/,
    );
    expectClose(explained(div(x, detach(scale)), x, x), dataOf(x), 12);
  });
});

describe('moved numbers keep their relevance', () => {
  test('copies add up: nearest upsampling', () => {
    const x = random('up', [2, 2, 2, 3]);
    const output = new Upsample(2).forward(x);
    expect(output.shape).toEqual([2, 2, 4, 6]);
    const values = dataOf(output);
    expect([values[0], values[1], values[6], values[7]]).toEqual(new Array(4).fill(dataOf(x)[0]));
    expectClose(
      explained(output, output, x),
      [...dataOf(x)].map((v) => 4 * v),
      12,
    );
    const both = relevance({
      output,
      seed: of([...values, ...values], [4, 2, 4, 6]),
      input: x,
      composite: exact,
    });
    expectClose(
      dataOf(both).subarray(24),
      [...dataOf(x)].map((v) => 4 * v),
      12,
    );
  });
  test('axes in a circle, for one map and for two', () => {
    const x = random('circle', [2, 3, 4]);
    const output = permute(x, [1, 2, 0]);
    expectClose(explained(output, output, x), dataOf(x), 12);
    const seed = concat([output, mul(output, 2)], 0);
    expectClose(explained(output, seed, x), dataOf(concat([x, mul(x, 2)], 0)), 12);
  });
  test('sorting and its inverse', () => {
    const x = random('sort', [2, 5]);
    const output = sort(x);
    expectClose(explained(output, output, x), dataOf(x), 12);
  });
});

test('sums over any axis and a scalar output have relevance', () => {
  const x = random('scalar', [2, 3]);
  const output = sum(x);
  expectClose(explained(output, output, x), dataOf(x), 9);
});
