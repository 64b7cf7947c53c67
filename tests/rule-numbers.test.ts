// Rules against numbers from other libraries' tests, and the pages that tell the equations against the code.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { Rule } from '../lrp/rule.ts';
import { ruleTable } from '../lrp/rule-catalogue.ts';
import { alphaBeta, gammaGeneralized, lrp0 } from '../lrp/rules.ts';
import { affineOf } from '../nn/batch-norm.ts';
import { Linear } from '../nn/layers.ts';
import { expectClose } from './close.ts';
import { applied } from './rule-call.ts';
import { initOn } from './small-nets.ts';

describe('published small numbers', () => {
  const dense = (x: number[], W: number[][], b: number[], R: number[], rule: Rule) => {
    const device = new CpuDevice();
    const layer = new Linear(initOn(device), x.length, W.length);
    const inputs = [
      tensor(device, x, [1, x.length]),
      tensor(device, W.flat(), [W.length, x.length]),
      tensor(device, b, [b.length]),
      tensor(device, R, [1, R.length]),
    ];
    return dataOf(applied(layer, rule, inputs));
  };
  // From the tests of RelevancePropagation.jl.
  test('LRP-0 on a dense layer', () => {
    const R = dense(
      [1, 2],
      [
        [3, 4],
        [5, 6],
      ],
      [7, 8],
      [1 / 3, 2 / 3],
      lrp0(),
    );
    expectClose(R, [17 / 90, 316 / 675], 9);
  });
  test('alpha-beta with a negative bias', () => {
    expectClose(dense([1, 1], [[1, -1]], [-1], [-1], alphaBeta(1, 0, 1e-12)), [-1, 0], 9);
    expectClose(dense([1, 1], [[1, -1]], [-1], [-1], alphaBeta(2, 1, 1e-12)), [-2, 0.5], 9);
  });
  test('generalised gamma with inputs and outputs of both signs', () => {
    const R = dense(
      [-1, 1],
      [
        [1, -4],
        [2, 0],
      ],
      [-2, 3],
      [-0.07, 1],
      gammaGeneralized(0.25, 1e-12),
    );
    expectClose(R, [-1.15285714, -0.04], 7);
  });
  // The other libraries' mistake here, sqrt(var^2 + eps) with beta unscaled, gives 5.5892.
  test('BatchNorm as an affine map', () => {
    const device = new CpuDevice();
    const one = (value: number) => tensor(device, [value], [1]);
    const params = { weight: one(1.5), bias: one(0.2), mean: one(0.3), variance: one(0.5) };
    const { scale, shift } = affineOf(params, 1e-3);
    expect(2 * dataOf(scale)[0] + dataOf(shift)[0]).toBeCloseTo(3.8026437398, 9);
  });
});

test('the table in lrp/README.md is the catalogue', () => {
  const readme = readFileSync(new URL('../lrp/README.md', import.meta.url), 'utf8');
  expect(readme).toContain(ruleTable());
});

test.each(['lrp/README.md', 'docs/isnet.md'])('%s points to the lines that it names', (page) => {
  const place = new URL(`../${page}`, import.meta.url);
  const links = [...readFileSync(place, 'utf8').matchAll(/\[`(\w+)`\]\(([^)#]+)#L(\d+)\)/g)];
  expect(links.length).toBeGreaterThan(10);
  for (const [, name, file, line] of links) {
    const lines = readFileSync(new URL(file, place), 'utf8').split('\n');
    expect(lines[Number(line) - 1], `${file}:${line}`).toContain(name);
  }
});
