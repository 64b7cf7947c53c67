// Optimisers and learning rates against formulas written out in plain numbers.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { add } from '../engine/ops/arithmetic.ts';
import type { Tensor } from '../engine/tensor.ts';
import { blocksOf } from '../nn/flat-parameters.ts';
import { Adam, AdamW, clipByGlobalNorm, globalNorm, type Optimizer, SGD } from '../nn/optim.ts';
import { learningRateAt } from '../nn/schedule.ts';
import { expectClose } from './close.ts';

const device = new CpuDevice();

/** Parameter values after steps along fixed gradients. */
function stepsOf(make: (p: Map<string, Tensor>) => Optimizer, gradients: number[], rate: number): number[] {
  const p = tensor(device, [1], [1]);
  const optimizer = make(new Map([['p', p]]));
  return gradients.map((g) => {
    optimizer.step([tensor(device, [g], [1])], rate);
    return dataOf(p)[0];
  });
}

describe('optimisers', () => {
  const g = [0.5, -0.2, 0.1];
  test('SGD with momentum and weight decay', () => {
    let [p, v] = [1, 0];
    const expected = g.map((gi) => {
      v = 0.9 * v + gi + 0.1 * p;
      p -= 0.01 * v;
      return p;
    });
    expectClose(
      stepsOf((m) => new SGD(m, { momentum: 0.9, weightDecay: 0.1 }), g, 0.01),
      expected,
      12,
    );
  });
  test('SGD with Nesterov momentum', () => {
    let [p, v] = [1, 0];
    const expected = g.map((gi) => {
      v = 0.9 * v + gi;
      p -= 0.01 * (gi + 0.9 * v);
      return p;
    });
    expectClose(
      stepsOf((m) => new SGD(m, { momentum: 0.9, nesterov: true }), g, 0.01),
      expected,
      12,
    );
  });
  test.each([
    ['Adam', (m: Map<string, Tensor>) => new Adam(m, { weightDecay: 0.1 }), false],
    ['AdamW', (m: Map<string, Tensor>) => new AdamW(m, { weightDecay: 0.1 }), true],
  ] as const)('%s', (_, make, isDecoupled) => {
    let [p, m, v] = [1, 0, 0];
    const expected = g.map((raw, i) => {
      const gi = isDecoupled ? raw : raw + 0.1 * p;
      if (isDecoupled) p -= 0.01 * 0.1 * p;
      m = 0.9 * m + 0.1 * gi;
      v = 0.999 * v + 0.001 * gi * gi;
      p -= (0.01 * (m / (1 - 0.9 ** (i + 1)))) / (Math.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8);
      return p;
    });
    // The optimiser's small numbers pass through f32 uploads nowhere on this device.
    expectClose(stepsOf(make, g, 0.01), expected, 10);
  });
  test('clipping scales all gradients together, and leaves small ones alone', () => {
    const gradients = () => [tensor(device, [3], [1]), tensor(device, [0, 4], [2])];
    expectClose(
      clipByGlobalNorm(device, gradients(), 1).flatMap((t) => [...dataOf(t)]),
      [0.6, 0, 0.8],
      6,
    );
    expectClose(
      clipByGlobalNorm(device, gradients(), 9).flatMap((t) => [...dataOf(t)]),
      [3, 0, 4],
      6,
    );
  });
});

describe('an optimiser', () => {
  /** Two parameters and gradients for them. */
  const pair = () => ({
    parameters: new Map([
      ['a', tensor(device, [1, 2, 3], [3])],
      ['b', tensor(device, [4], [])],
    ]),
    gradients: [tensor(device, [0.1, -0.2, 0.3], [3]), tensor(device, [2], [])],
  });
  const numbers = (tensors: Iterable<Tensor>) => [...tensors].map((t) => [...dataOf(t)]);

  test('has its state from the beginning, and shows it as it is now', () => {
    const { parameters, gradients } = pair();
    const optimizer = new Adam(parameters);
    expect([...optimizer.state().keys()]).toEqual(['a.exp_avg', 'b.exp_avg', 'a.exp_avg_sq', 'b.exp_avg_sq']);
    expect(numbers(optimizer.state().values())).toEqual([[0, 0, 0], [0], [0, 0, 0], [0]]);
    optimizer.step(gradients, 0.1);
    expectClose(
      numbers(optimizer.state().values()).flat(),
      [0.01, -0.02, 0.03, 0.2, 1e-5, 4e-5, 9e-5, 4e-3],
      12,
    );
  });
  test('moves as far by apply with its scalars as by step', () => {
    const [one, other] = [pair(), pair()];
    const [stepped, applied] = [new AdamW(one.parameters), new AdamW(other.parameters)];
    for (const rate of [0.1, 0.05]) {
      stepped.step(one.gradients, rate);
      const scalars = applied.nextScalars(rate);
      applied.apply(other.gradients, tensor(device, scalars, [scalars.length]));
    }
    expect(numbers(one.parameters.values())).toEqual(numbers(other.parameters.values()));
    expect(stepped.stepCount).toBe(applied.stepCount);
  });
  test('clips in its step as clipByGlobalNorm does', () => {
    const [one, other] = [pair(), pair()];
    new SGD(one.parameters).step(one.gradients, 0.1, { clipNorm: 0.5 });
    new SGD(other.parameters).step(clipByGlobalNorm(device, other.gradients, 0.5), 0.1);
    expect(numbers(one.parameters.values())).toEqual(numbers(other.parameters.values()));
    expect(dataOf(one.parameters.get('b') as Tensor)[0]).toBeGreaterThan(3.94);
  });
  test('uses the numbers that its parameters have now', () => {
    const { parameters, gradients } = pair();
    const optimizer = new SGD(parameters);
    optimizer.step(gradients, 1);
    assign(parameters.get('b') as Tensor, tensor(device, [10], []));
    optimizer.step(gradients, 1);
    expect(numbers(parameters.values())[1]).toEqual([8]);
  });
  test('refuses gradients of other shapes, and a state that is not of its kind', () => {
    const { parameters, gradients } = pair();
    const optimizer = new SGD(parameters, { momentum: 0.9 });
    expect(() => optimizer.step(gradients.toReversed(), 0.1)).toThrow(
      /the gradient of a is \[\] and the parameter \[3\]; pass gradients in the order/,
    );
    expect(optimizer.stepCount).toBe(0);
    expect(() => optimizer.loadState(new Map([['a.exp_avg', gradients[0]]]), 1)).toThrow(
      /it keeps no a\.exp_avg; load the state into the kind/,
    );
  });
  test('releases everything it holds', () => {
    const own = new CpuDevice();
    const p = tensor(own, [1, 2], [2]);
    const before = own.memory().usedBytes;
    const optimizer = new Adam(new Map([['p', p]]));
    optimizer.step([p], 0.1);
    optimizer.state();
    optimizer.dispose();
    const scalars = [...own.constants.values()].length * 8;
    expect(own.memory().usedBytes - scalars).toBe(before);
  });
  test('goes on from a saved state, and releases its own', () => {
    const [p, g] = [tensor(device, [1], [1]), tensor(device, [0.5], [1])];
    const optimizer = new SGD(new Map([['p', p]]), { momentum: 0.9 });
    optimizer.step([g], 0.1);
    const own = optimizer.state().get('p.momentum') as Tensor;
    optimizer.loadState(optimizer.state(), 1);
    expect(own.isReleased).toBe(false);
    optimizer.loadState(new Map([['p.momentum', tensor(device, [2], [1])]]), 7);
    expect(own.isReleased).toBe(true);
    optimizer.step([g], 0.1);
    expect(optimizer.stepCount).toBe(8);
    expect(dataOf(p)[0]).toBeCloseTo(0.95 - 0.1 * (0.9 * 2 + 0.5), 12);
  });
  test('is refused a gradient norm that would turn gradients round', () => {
    expect(() => clipByGlobalNorm(device, [], -1)).toThrow(UsageError);
    expect(clipByGlobalNorm(device, [], 1)).toEqual([]);
    expect(() => globalNorm([])).toThrow('globalNorm: no gradients');
    expect(() => clipByGlobalNorm(device, [tensor(device, [3], [1])], -1)).toThrow(
      /maxNorm is -1; use a number/,
    );
  });
});

test('parameters are cut into blocks that an adapter can bind, and put together again', () => {
  const sizes = [3, 2, 9, 1, 4, 4];
  const parameters = sizes.map((n, k) => tensor(device, new Array<number>(n).fill(k), [n]));
  const blocks = blocksOf(parameters, 8);
  expect(blocks.map(({ first, size }) => [first, size])).toEqual([
    [0, 5],
    [2, 9],
    [3, 5],
    [5, 4],
  ]);
  for (const block of blocks) block.write(add(block.join(parameters), 1), parameters);
  expect(parameters.map((t) => [...dataOf(t)])).toEqual(
    sizes.map((n, k) => new Array<number>(n).fill(k + 1)),
  );
  expect(blocksOf([], 8)).toEqual([]);
});

test('learning rates warm up, then fall as their schedule says', () => {
  const at = (schedule: 'constant' | 'linear' | 'cosine', step: number) =>
    learningRateAt(step, { schedule, learningRate: 1, stepCount: 12, warmupSteps: 2 });
  expect([at('cosine', 0), at('cosine', 1), at('cosine', 2)]).toEqual([0.5, 1, 1]);
  expect(at('cosine', 7)).toBeCloseTo(0.5, 12);
  expect(at('linear', 7)).toBeCloseTo(0.5, 12);
  expect(at('constant', 11)).toBe(1);
});
