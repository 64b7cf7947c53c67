// Activations far from where the examples of ops.test.ts look: tails, huge numbers, NaN; and what relevance does there.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { read, tensor } from '../engine/create.ts';
import { erf, gelu, leakyRelu, silu, tanh } from '../engine/ops/activations.ts';
import { relu } from '../engine/ops/pointwise.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import { GELU, LeakyReLU, Sigmoid, SiLU, Tanh } from '../nn/activations.ts';
import type { Layer } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { withGpu } from './gpu.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const device = new CpuDevice();
const of = (values: readonly number[], on: Device = device): Tensor => tensor(on, values, [values.length]);
const activations = { erf, gelu, silu, tanh, leakyRelu: (x: Tensor) => leakyRelu(x) };

test('erf has the numbers of the tables', () => {
  // Abramowitz and Stegun, table 7.1.
  const tabled = [0, 0.1124629160183, 0.5204998778131, 0.8427007929497, 0.9953222650189, 0.999977909503];
  expectClose(dataOf(erf(of([0, 0.1, 0.5, 1, 2, 3]))), tabled, 12);
  expect([...dataOf(erf(of([-1, 7, -1e30])))]).toEqual([-dataOf(erf(of([1])))[0], 1, -1]);
});

describe('on the GPU', () => {
  const grid = Array.from({ length: 3001 }, (_, i) => Math.fround((i - 1500) / 150));
  test.each(Object.entries(activations))('%s is within 1e-6 of f64 from -10 to 10', async (name, f) => {
    const actual = await read(f(of(grid, gpu)));
    const expected = dataOf(f(of(grid)));
    // Relative to the larger of the number and 1; erf itself is promised to 1e-7 and the rounding of f32.
    const bound = name === 'erf' ? 2e-7 : 1e-6;
    grid.forEach((x, i) => {
      const error = Math.abs(actual[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
      expect(error, `at ${x}`).toBeLessThan(bound);
    });
  });

  test.each(Object.entries(activations))('%s stays finite for huge numbers and passes NaN', async (_, f) => {
    const huge = [1e30, -1e30, Number.NaN];
    const actual = await read(f(of(huge, gpu)));
    const expected = dataOf(f(of(huge)));
    expect(Number.isNaN(actual[2]) && Number.isNaN(expected[2])).toBe(true);
    for (const i of [0, 1]) expect(actual[i]).toBe(Math.fround(expected[i]));
  });
});

test("the layers have PyTorch's numbers at -1 and 2", () => {
  const rows: [Layer, number[]][] = [
    [new GELU(), [-0.15865525, 1.95449974]],
    [new SiLU(), [-0.26894142, 1.76159416]],
    [new Tanh(), [-0.76159416, 0.96402758]],
    [new Sigmoid(), [0.26894142, 0.88079708]],
    [new LeakyReLU(), [-0.01, 2]],
    [new LeakyReLU(0.2), [-0.2, 2]],
  ];
  for (const [layer, expected] of rows) expectClose(dataOf(layer.forward(of([-1, 2]))), expected, 7);
});

describe('relevance of an activation', () => {
  const values = [-2, -0.5, 0.3, 1.5];
  const R = [1, -2, 3, 0.5];
  const through = (f: (x: Tensor) => Tensor, activation: 'pass' | 'gradientShare') => {
    const input = of(values);
    const composite = epsilonComposite({ eps: 1e-12, activation });
    return [...dataOf(relevance({ output: f(input), seed: of(R), input, composite }))];
  };
  test('passes by default', () => {
    for (const f of [gelu, silu, tanh]) expect(through(f, 'pass')).toEqual(R);
  });
  test("is R x f'(x) / f(x) where asked for, and R where f is of degree one", () => {
    const step = 1e-6;
    for (const f of [gelu, silu, tanh]) {
      const at = (shift: number) => dataOf(f(of(values.map((x) => x + shift))));
      const [up, down, y] = [at(step), at(-step), at(0)];
      const expected = values.map((x, i) => (R[i] * x * (up[i] - down[i])) / (2 * step * y[i]));
      expectClose(through(f, 'gradientShare'), expected, 6);
    }
    for (const f of [relu, (x: Tensor) => leakyRelu(x, 0.3)]) expect(through(f, 'gradientShare')).toEqual(R);
  });
});
