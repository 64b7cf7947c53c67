// Convolutions of few filters by windows: every number of filters is a program of its own.
import { describe, expect, test } from 'vitest';
import type { AdapterProfile, ConvDirection, ConvGeometry, KernelPlan } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { conv2dInputGradOp, conv2dOp, conv2dWeightGradOp, convAttrs } from '../engine/ops/conv.ts';
import { planConv2d } from '../engine/ops/conv-plan.ts';
import { withGpu } from './gpu.ts';
import { BOUND, convAdapters, errorOnGpu, plannedFor } from './kernel-check.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

/** Filters, and how many of them a thread computes: one block up to five, then as even blocks as can be. */
const blocks = [
  [1, 1],
  [2, 2],
  [3, 3],
  [4, 4],
  [5, 5],
  [6, 3],
  [7, 4],
  [8, 4],
  [9, 5],
  [13, 5],
] as const;

const small: ConvGeometry = {
  ...{ N: 32, C: 4, H: 28, W: 28, O: 4, OH: 28, OW: 28, groups: 1, kernel: [3, 3] },
  ...{ stride: [1, 1], padding: [1, 1], dilation: [1, 1] },
};

const byWindows = Object.keys(convAdapters).filter((name) => convAdapters[name][0] === 'windows');

describe.each(byWindows)('%s', (name) => {
  // lavapipe compiles a program for most of a second.
  test.each(blocks)('%i filters, forward and both gradients', { timeout: 60_000 }, async (filters) => {
    const attrs = convAttrs({ padding: 1, groups: 2 });
    // Edges that patches hang over; two groups, the second of which begins behind a block that is not full.
    const [few, many] = [
      [2, 4, 5, 7],
      [2, 2 * filters, 5, 7],
    ];
    const forward = plannedFor(conv2dOp, name);
    expect(await errorOnGpu(gpu, forward, [few, [2 * filters, 2, 3, 3]], attrs)).toBeLessThan(BOUND);
    // Its filters are the channels of the image.
    const input = plannedFor(conv2dInputGradOp, name);
    const dx = errorOnGpu(gpu, input, [few, [4, filters, 3, 3]], { ...attrs, size: [5, 7] });
    expect(await dx).toBeLessThan(BOUND);
    const weight = plannedFor(conv2dWeightGradOp, name);
    const dw = errorOnGpu(gpu, weight, [few, many], { ...attrs, size: [3, 3] });
    expect(await dw).toBeLessThan(BOUND);
  });
});

test.each(blocks)('of %i filters a thread computes %i', (filters, perThread) => {
  const adapter: AdapterProfile = { ...gpu.profile, chooseConv: () => 'windows' };
  for (const direction of ['forward', 'input', 'weight'] as const) {
    const sizes = direction === 'input' ? { C: filters } : { O: filters };
    const [step] = planConv2d(direction, { ...small, ...sizes }, adapter).steps;
    expect('shader' in step && step.prelude, direction).toContain(`const FILTERS = ${perThread}u;`);
  }
});

test('weight gradients keep no more sums than an adapter can bind', () => {
  const adapter: AdapterProfile = { ...gpu.profile, family: 'gpu', chooseConv: () => 'windows' };
  const plan = (sizes: Partial<ConvGeometry>) => planConv2d('weight', { ...small, ...sizes }, adapter);
  const shaderOf = ({ steps: [step] }: KernelPlan) => 'shader' in step && step.shader;
  const many = plan({ C: 64, O: 128, N: 256 });
  expect(shaderOf(many)).toBe('conv_windows_weight');
  expect(Math.max(...(many.temps ?? []))).toBeLessThanOrEqual(2 ** 25);
  // One workgroup would have too many already.
  expect(shaderOf(plan({ C: 512, O: 512 }))).not.toBe('conv_windows_weight');
});

test('few filters go by windows where that pays', () => {
  const shaderOf = (
    direction: ConvDirection,
    sizes: Partial<ConvGeometry>,
    changes: Partial<AdapterProfile>,
  ) => {
    const { chooseConv: _, chooseGemm: __, ...own } = gpu.profile;
    const [step] = planConv2d(direction, { ...small, ...sizes }, { ...own, ...changes }).steps;
    return 'shader' in step ? step.shader : '';
  };
  const software = { family: 'software', subgroupSize: 8 } as const;
  const card = { family: 'gpu', subgroupSize: 0 } as const;
  expect(shaderOf('forward', {}, software)).toBe('conv_windows');
  expect(shaderOf('input', {}, software)).toBe('conv_windows');
  expect(shaderOf('weight', {}, software)).toBe('conv_windows_weight');
  expect(shaderOf('weight', { O: 5 }, software)).toBe('conv_windows_weight');
  // More filters share what a product loads.
  expect(shaderOf('forward', { O: 32 }, software)).not.toBe('conv_windows');
  expect(shaderOf('input', { C: 32 }, software)).not.toBe('conv_windows');
  expect(shaderOf('weight', { O: 8 }, software)).not.toBe('conv_windows_weight');
  // SwiftShader, where products are slow.
  expect(shaderOf('weight', { O: 8 }, { ...software, subgroupSize: 4 })).toBe('conv_windows_weight');
  expect(shaderOf('weight', { O: 32 }, { ...software, subgroupSize: 4 })).not.toBe('conv_windows_weight');
  // Many taps are long programs.
  expect(shaderOf('forward', { kernel: [5, 5], padding: [2, 2] }, software)).not.toBe('conv_windows');
  // A GPU needs many threads, and has so many only of large images.
  expect(shaderOf('forward', {}, card)).not.toBe('conv_windows');
  expect(shaderOf('forward', { H: 128, W: 128, OH: 128, OW: 128 }, card)).toBe('conv_windows');
});
