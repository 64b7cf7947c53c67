// The leak report: what it says adds up, for every rule on every small net, and it names the right cause.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { pad } from '../engine/ops/layout.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Composite, composite, composites, epsilonComposite } from '../lrp/composite.ts';
import { type LeakRow, type leakCauses, leakReport } from '../lrp/leak.ts';
import { relevance } from '../lrp/relevance.ts';
import { epsilon, gammaGeneralized } from '../lrp/rules.ts';
import { compositeTable, formatCompositeTable, formatLeakReport } from '../lrp/table.ts';
import { Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { fillNet, initOn, smallImages, smallNets } from './small-nets.ts';

const presets: Record<string, Composite> = Object.fromEntries(
  Object.entries(composites).map(([name, make]) => [name, make()]),
);

const cases = Object.keys(smallNets).flatMap((net) =>
  Object.keys(presets).flatMap((preset) => [false, true].map((isTraining) => ({ net, preset, isTraining }))),
);

/** Explains class 0 of the first and class 2 of the second image, two maps each. */
function explained(net: string, isTraining: boolean) {
  const device = new CpuDevice();
  const model = smallNets[net](device).train(isTraining);
  fillNet(model, { withBias: true });
  const input = tensor(device, smallImages(), [2, 1, 8, 8]);
  const output = model.forward(input);
  const seed = tensor(device, [1, 0, 0, 0, 0, 1, 0, 0.5, 0, 0.2, 0.1, 0], [4, 3]);
  return { model, input, output, seed };
}

describe('the parts of the leak report add up', () => {
  test.each(cases)(
    '$preset, $net net, training statistics: $isTraining',
    async ({ net, preset, isTraining }) => {
      const options = { ...explained(net, isTraining), composite: presets[preset] };
      const { rows } = await leakReport(options);
      for (const { name, kind, atOutput, unexplained } of rows) {
        unexplained.forEach((value, i) => {
          const scale = Math.max(1, Math.abs(atOutput[i]));
          expect(Math.abs(value) / scale, `${name} ${kind}`).toBeLessThan(1e-9);
        });
      }
      // Every loss between the seed and the image is in one of the rows.
      const R = dataOf(relevance(options));
      const seed = dataOf(options.seed);
      for (let i = 0; i < 4; i++) {
        const lost = rows.reduce((total, { atOutput, atInput }) => total + atOutput[i] - atInput[i], 0);
        const sumOf = (values: Float64Array, width: number) =>
          values.subarray(i * width, (i + 1) * width).reduce((a, b) => a + b, 0);
        expect(lost).toBeCloseTo(sumOf(seed, 3) - sumOf(R, 64), 8);
      }
    },
  );
});

const total = (rows: readonly LeakRow[], cause: (typeof leakCauses)[number]) =>
  rows.reduce((sum, { leaks }) => sum + Math.abs(leaks[cause][0]), 0);

describe('the leak report names the cause', () => {
  const device = new CpuDevice();
  const layer = () => {
    const net = new Sequential(new Linear(initOn(device), 2, 2));
    const [weight, bias] = net.parameters();
    assign(weight, tensor(device, [1, 2, 3, -4], [2, 2]));
    assign(bias, tensor(device, [0.5, -0.25], [2]));
    return net;
  };
  const report = async (act: (x: Tensor) => Tensor, chosen: Composite, x = [0.3, 0.7]) => {
    const input = tensor(device, x, [1, 2]);
    const output = act(input);
    return (await leakReport({ output, seed: mul(output, 1), input, composite: chosen })).rows;
  };
  test('bias, with its exact amount', async () => {
    const net = layer();
    const rows = await report((x) => net.forward(x), epsilonComposite({ eps: 1e-12, bias: 'keep' }));
    // z = [2.2, -2.15], R = z, so s = 1 and the biases keep 0.5 - 0.25.
    expect(rows[0].leaks.bias[0]).toBeCloseTo(0.25, 9);
    expect(total(rows, 'stabilizer')).toBeLessThan(1e-9);
  });
  test('stabiliser, with its exact amount', async () => {
    const net = layer();
    const rows = await report((x) => net.forward(x), epsilonComposite({ eps: 0.1, bias: 'zero' }));
    // R (eps / (|z| + eps)) for the outputs 1.7 and -1.9, the denominators without bias, and R = z.
    const expected = (2.2 * 0.1) / 1.8 - (2.15 * 0.1) / 2.0;
    expect(rows[0].leaks.stabilizer[0]).toBeCloseTo(expected, 9);
    expect(total(rows, 'bias')).toBe(0);
  });
  test('dead units of the gamma rule', async () => {
    const net = layer();
    const chosen = composite('gamma', [{ rule: gammaGeneralized() }], { bias: 'zero' });
    const input = tensor(device, [0, 0], [1, 2]);
    const output = net.forward(input);
    const { rows } = await leakReport({
      output,
      seed: tensor(device, [1, 2], [1, 2]),
      input,
      composite: chosen,
    });
    expect(rows[0].leaks.dead[0]).toBe(3);
  });
  test('a constant term of a sum as bias, and padding as padding', async () => {
    const constantRows = await report(
      (x) => add(x, tensor(device, [1, 1], [1, 2])),
      epsilonComposite({ eps: 1e-12 }),
    );
    expect(constantRows[0].leaks.bias[0]).toBeCloseTo(2, 9);
    const seedOnZeros = tensor(device, [5, 1, 1, 7], [1, 4]);
    const input = tensor(device, [0.3, 0.7], [1, 2]);
    const output = pad(input, [0, 1], [1, 4]);
    const { rows } = await leakReport({ output, seed: seedOnZeros, input, composite: epsilonComposite() });
    expect(rows[0].leaks.padding[0]).toBe(12);
  });
});

describe('tables', () => {
  const { model, input, output, seed } = explained('BatchNorm', false);
  test('show the resolved rule of every layer in the order of execution', () => {
    const rows = compositeTable({ output, input, composite: composites.epsilonPlusFlat(), model });
    const layers = rows
      .filter(({ rule }) => rule !== '(op)')
      .map(({ name, kind, rule }) => [name, kind, rule]);
    expect(layers).toEqual([
      ['0', 'Conv2d', 'flat'],
      ['4', 'Conv2d', 'zPlus'],
      ['9', 'Linear', 'epsilon'],
    ]);
    expect(formatCompositeTable(rows).split('\n')[0]).toMatch(/^layer +kind +rule +options$/);
  });
  test('show the leaks of one sample, a line per step', async () => {
    const chosen = composites.isnet();
    const report = await leakReport({ output, seed, input, composite: chosen, model });
    const text = formatLeakReport(report);
    expect(text.split('\n')).toHaveLength(report.rows.length + 1);
    expect(text).toMatch(
      /^layer +kind +rule +at output +at input +bias +stabilizer +dead +padding +other +unexplained\n/,
    );
  });
  test('by name and by last layer: rows decide, the first that fits', () => {
    const chosen = composite('mine', [
      { name: /^4$/, rule: gammaGeneralized() },
      { isLast: true, rule: epsilon(0.5) },
      { rule: epsilon(0.1) },
    ]);
    const rows = compositeTable({ output, input, composite: chosen, model });
    const layers = rows
      .filter(({ rule }) => rule !== '(op)')
      .map(({ name, rule, options }) => [name, rule, options.eps]);
    expect(layers).toEqual([
      ['0', 'epsilon', 0.1],
      ['4', 'gammaGeneralized', 1e-6],
      ['9', 'epsilon', 0.5],
    ]);
  });
});
