// Optimisers and learning rates against formulas written out in plain numbers.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Adam, AdamW, clipByGlobalNorm, type Optimizer, SGD } from '../nn/optim.ts';
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
    expect(() => clipByGlobalNorm(device, [tensor(device, [3], [1])], -1)).toThrow(
      /maxNorm is -1; use a number/,
    );
  });
});

test('learning rates warm up, then fall as their schedule says', () => {
  const at = (schedule: 'constant' | 'linear' | 'cosine', step: number) =>
    learningRateAt(step, { schedule, learningRate: 1, stepCount: 12, warmupSteps: 2 });
  expect([at('cosine', 0), at('cosine', 1), at('cosine', 2)]).toEqual([0.5, 1, 1]);
  expect(at('cosine', 7)).toBeCloseTo(0.5, 12);
  expect(at('linear', 7)).toBeCloseTo(0.5, 12);
  expect(at('constant', 11)).toBe(1);
});
