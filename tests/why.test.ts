// The table behind one number: its entries are those of the layer's matrix, and its shares add up.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { composites } from '../lrp/composite.ts';
import { relevanceAt } from '../lrp/relevance.ts';
import { compositeTable } from '../lrp/table.ts';
import { formatWhy, why } from '../lrp/why.ts';
import { Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { fillNet, initOn, smallImages, smallNets } from './small-nets.ts';

function explained(net: string) {
  const device = new CpuDevice();
  const model = smallNets[net](device).eval();
  fillNet(model, { withBias: true });
  const input = tensor(device, smallImages().slice(0, 64), [1, 1, 8, 8]);
  const output = model.forward(input);
  const seed = mul(tensor(device, [0, 1, 0], [1, 3]), output);
  return { model, input, output, seed };
}

describe('why', () => {
  test('shows the products of a dense unit, largest part first', async () => {
    const device = new CpuDevice();
    const model = new Sequential(new Linear(initOn(device), 3, 2));
    const [weight, bias] = model.parameters();
    assign(weight, tensor(device, [1, 2, 3, 4, -5, 6], [2, 3]));
    assign(bias, tensor(device, [0.5, 1], [2]));
    const input = tensor(device, [1, 0.5, -1], [1, 3]);
    const output = model.forward(input);
    const composite = composites.epsilon({ eps: 0.25, bias: 'keep' });
    const report = await why({ output, seed: output, input, composite, model, layer: '0', unit: 1 });
    expect(report.z).toBe(-3.5);
    expect(report.relevance).toBe(-3.5);
    expect(report.rows.map(({ index, x, w, z }) => [...index, x, w, z])).toEqual([
      [2, -1, 6, -6],
      [0, 1, 4, 4],
      [1, 0.5, -5, -2.5],
    ]);
    // s = -3.5 / -3.75; the bias keeps 1 s, the stabiliser -0.25 s.
    expect(report.leaks.bias).toBeCloseTo(3.5 / 3.75, 12);
    expect(report.leaks.stabilizer).toBeCloseTo((-0.25 * 3.5) / 3.75, 12);
  });

  const cases = Object.keys(smallNets).flatMap((net) =>
    (['isnet', 'epsilonGammaBox', 'epsilonAlpha2Beta1'] as const).map((preset) => ({ net, preset })),
  );
  test.each(cases)(
    'shares of any unit add up, with what is lost: $preset, $net net',
    async ({ net, preset }) => {
      const options = { ...explained(net), composite: composites[preset]() };
      const { name } = compositeTable(options).filter(({ rule }) => rule !== '(op)')[1];
      for (const unit of [0, 5]) {
        const { rows, leaks, relevance } = await why({ ...options, layer: name, unit });
        const handed = rows.reduce((sum, row) => sum + row.relevance, 0);
        const lost = Object.values(leaks).reduce((a, b) => a + b, 0);
        expect(handed + lost).toBeCloseTo(relevance, 10);
      }
    },
  );

  test('summed over all units it is the relevance of the input of the layer', async () => {
    const options = { ...explained('plain'), composite: composites.epsilon() };
    const flat = options.output.call?.input;
    const [expected] = relevanceAt(options, flat ? [flat] : []).map((t) => dataOf(t));
    const sums = new Float64Array(expected.length);
    for (const unit of [0, 1, 2]) {
      const { rows } = await why({ ...options, layer: '7', unit });
      for (const { index, relevance } of rows) sums[index[0]] += relevance;
    }
    sums.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 12);
    });
  });

  test('prints a line per input and a sum of 100 %', async () => {
    const options = { ...explained('plain'), composite: composites.isnet() };
    const text = formatWhy(await why({ ...options, layer: '3', unit: 4 }), 3);
    const lines = text.split('\n');
    expect(lines[0]).toMatch(/^layer '3' \(Conv2d, rule epsilon\), unit \[0, 1, 0\]: z = .*, relevance /);
    expect(lines[1]).toMatch(/^input +x +w +x w +share +relevance$/);
    expect(lines.at(-1)).toMatch(/^sum +(100\.00|0\.00) %/);
    expect(lines.some((line) => / more /.test(line))).toBe(true);
  });

  test('refuses an unknown layer and a unit that does not exist', async () => {
    const options = { ...explained('plain'), composite: composites.isnet() };
    await expect(why({ ...options, layer: 'x', unit: 0 })).rejects.toThrow(
      /no layer 'x' with a rule on the way; use one of '0', '3', '7'/,
    );
    await expect(why({ ...options, layer: '7', unit: 3 })).rejects.toThrow(
      /layer '7' has 3 units \[3\]; use 0 to 2/,
    );
  });
});
