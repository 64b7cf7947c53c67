// Panels with many columns, and into how long blocks they cut their sums: each length is a program, and what a last block
// lacks is computed for nothing.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { conv2dInputGradOp, conv2dOp, conv2dWeightGradOp, convAttrs } from '../engine/ops/conv.ts';
import { equalBlocks, panelTerms } from '../engine/ops/gemm-panel.ts';
import { widePanelTerms } from '../engine/ops/gemm-panel-wide.ts';
import type { Product } from '../engine/ops/gemm-product.ts';
import { matmulOp } from '../engine/ops/matmul.ts';
import type { Shape } from '../engine/shape.ts';
import { withGpu } from './gpu.ts';
import { BOUND, errorOnGpu, plannedFor } from './kernel-check.ts';
import { isThorough } from './thorough.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const lengthOf = (terms: number, rows = 4096) =>
  widePanelTerms({ batches: 1, rows, columns: 32768, terms } as Product);

test('blocks are as few as possible, then as short, in whole vec4s', () => {
  expect([1, 27, 64, 65, 129].map((terms) => equalBlocks(terms, 64))).toEqual([4, 28, 64, 36, 44]);
  expect([10, 27, 60, 65].map((terms) => panelTerms(terms, 8))).toEqual([12, 32, 64, 64]);
});

describe('wide panels', () => {
  test('take all windows of 3x3 over multiples of eight channels in one length', () => {
    expect([8, 16, 32, 64, 128, 512].map((channels) => lengthOf(9 * channels))).toEqual(Array(6).fill(72));
  });

  test('waste nothing on powers of two, and little on other sums', () => {
    expect([64, 128, 256, 512, 4096].map((terms) => lengthOf(terms))).toEqual(Array(5).fill(64));
    for (let terms = 1; terms < 2000; terms++) {
      const length = lengthOf(terms);
      const filled = Math.ceil(terms / length) * length;
      const inShorter = Math.ceil(terms / equalBlocks(terms, 64)) * equalBlocks(terms, 64);
      expect([terms, length % 4, length <= 72, filled <= inShorter]).toEqual([terms, 0, true, true]);
    }
  });

  test('give a few terms a length of their own in large products only', () => {
    expect([lengthOf(10), lengthOf(27)]).toEqual([12, 28]);
    expect([lengthOf(10, 1), lengthOf(16, 1), lengthOf(32, 1)]).toEqual([32, 16, 32]);
  });
});

test('the side of a product that fills wide panels becomes its columns, unless few rows would use them', () => {
  const shadersOf = (N: number, C: number, O: number) => {
    const adapter = { ...gpu.profile, family: 'software', subgroupSize: 4, chooseGemm: undefined } as const;
    const inputs = [
      [N, C],
      [O, C],
    ];
    const attrs = { transposeA: false, transposeB: true };
    return matmulOp
      .kernel({ inputs, output: [N, O], attrs, adapter })
      .steps.map((step) => 'shader' in step && step.shader);
  };
  expect(shadersOf(128, 4096, 1000)).toContain('gemm_panel_wide');
  expect(shadersOf(32, 512, 1024)).toContain('gemm_panel_wide');
  expect(shadersOf(16, 2048, 1024)).toContain('gemm_panel');
});

/** Columns that fill wide panels. */
const products: readonly [Shape, Shape][] = [
  [
    [9, 72],
    [72, 256],
  ],
  [
    [9, 136],
    [136, 256],
  ],
  [
    [9, 203],
    [203, 259],
  ],
  [
    [9, 10],
    [10, 260],
  ],
];

test.each(products)('a product of %j and %j is right', async (...shapes) => {
  const attrs = { transposeA: false, transposeB: false };
  expect(await errorOnGpu(gpu, matmulOp, shapes, attrs)).toBeLessThan(BOUND);
});

const upTo = (max: number) => fc.integer({ min: 1, max });
/** Random products are checked by loops in f64. */
const drawn = { numRuns: isThorough ? 100 : 8, seed: 6 };

test('drawn products of many columns are right', { timeout: 600_000 }, async () => {
  const sizes = fc.record({
    M: upTo(20),
    K: upTo(220),
    N: fc.integer({ min: 250, max: 600 }),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
  });
  const check = fc.asyncProperty(sizes, async ({ M, K, N, ...attrs }) => {
    const shapes = [attrs.transposeA ? [K, M] : [M, K], attrs.transposeB ? [N, K] : [K, N]];
    expect(await errorOnGpu(gpu, matmulOp, shapes, attrs)).toBeLessThan(BOUND);
  });
  await fc.assert(check, drawn);
});

test('drawn convolutions of many pixels are right as products', { timeout: 600_000 }, async () => {
  const sizes = fc.record({
    C: upTo(20),
    O: upTo(10),
    width: fc.integer({ min: 12, max: 20 }),
    stride: upTo(2),
    padding: fc.nat(3),
  });
  const check = fc.asyncProperty(sizes, async ({ C, O, width, stride, padding }) => {
    const attrs = convAttrs({ stride, padding });
    const [x, w] = [
      [2 * stride ** 2, C, 14, width],
      [O, C, 3, 3],
    ];
    const y = conv2dOp.shape([x, w], attrs);
    const asProduct = 'all convolutions as products';
    const forward = plannedFor(conv2dOp, asProduct);
    expect(await errorOnGpu(gpu, forward, [x, w], attrs)).toBeLessThan(BOUND);
    const input = plannedFor(conv2dInputGradOp, asProduct);
    expect(await errorOnGpu(gpu, input, [y, w], { ...attrs, size: [14, width] })).toBeLessThan(BOUND);
    const weight = plannedFor(conv2dWeightGradOp, asProduct);
    expect(await errorOnGpu(gpu, weight, [x, y], { ...attrs, size: [3, 3] })).toBeLessThan(BOUND);
  });
  await fc.assert(check, drawn);
});

test('convolutions of blocks of eight channels are right, and their input gradients', async () => {
  const attrs = convAttrs({ padding: 1 });
  const [images, y] = [
    [1, 16, 16, 16],
    [1, 24, 16, 16],
  ];
  const w = [24, 16, 3, 3];
  expect(await errorOnGpu(gpu, conv2dOp, [images, w], attrs)).toBeLessThan(BOUND);
  expect(await errorOnGpu(gpu, conv2dInputGradOp, [y, w], { ...attrs, size: [16, 16] })).toBeLessThan(BOUND);
});
