// Every way to multiply matrices, whatever the adapter would choose, against the reference on shapes drawn at random.
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { tensor } from '../engine/create.ts';
import type { AdapterProfile, ConvVariant } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import {
  type ConvOptions,
  conv2dInputGradOp,
  conv2dOp,
  conv2dWeightGradOp,
  convAttrs,
} from '../engine/ops/conv.ts';
import { inputGeometry } from '../engine/ops/conv-geometry.ts';
import { planConv2d, possibleConvVariants } from '../engine/ops/conv-plan.ts';
import { matmul, matmulOp } from '../engine/ops/matmul.ts';
import { pairOf } from '../engine/ops/pair.ts';
import { formatShape, type Shape } from '../engine/shape.ts';
import { withGpu } from './gpu.ts';
import {
  adapters,
  BOUND,
  canRun,
  convAdapters,
  errorOnGpu,
  gemmAdapters,
  plannedFor,
  type Spread,
  spreadOnGpu,
} from './kernel-check.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const size = (max: number) => fc.integer({ min: 1, max });
/** Half of them multiples of 4: those take the ways without packing. */
const mixed = (max: number) =>
  fc.oneof(
    size(max),
    size(Math.floor(max / 4)).map((n) => 4 * n),
  );
/** Lengths of sums: a panel of each is a program of its own, and compiling takes longer than running. */
const terms = fc.constantFrom(1, 7, 12, 36, 64, 70, 132);

interface Matrices {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly tA: boolean;
  readonly tB: boolean;
}

const matrices: fc.Arbitrary<Matrices> = fc.record({
  batch: size(3),
  M: mixed(90),
  N: mixed(90),
  K: terms,
  tA: fc.boolean(),
  tB: fc.boolean(),
});

/** x, w and the options of a convolution. */
type Convolution = readonly [x: Shape, w: Shape, options: ConvOptions];

const convolutions: fc.Arbitrary<Convolution> = fc
  .record({
    N: size(3),
    groups: size(3),
    inPerGroup: fc.constantFrom(1, 4, 5),
    outPerGroup: size(6),
    kernel: fc.constantFrom([1, 1], [3, 3], [4, 2], [1, 3]),
    stride: fc.tuple(size(3), size(3)),
    dilation: fc.tuple(size(2), size(2)),
    padding: fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2 })),
    extra: fc.tuple(size(9), size(9)),
  })
  .map(({ N, groups, inPerGroup, outPerGroup, kernel, extra, ...options }) => {
    const reach = [0, 1].map((axis) => options.dilation[axis] * (kernel[axis] - 1) + 1);
    return [
      [N, inPerGroup * groups, reach[0] + extra[0], reach[1] + extra[1]],
      [outPerGroup * groups, inPerGroup, ...kernel],
      { ...options, groups },
    ];
  });

/** What windows are for. Kernels of one size: each other is a program of its own, and compiling takes longer than running. */
const isWindows = ([, w]: Convolution): boolean => w[2] === 3 && w[3] === 3;
const windowsLike = ([x, [O, C], { groups, padding }]: Convolution): Convolution => {
  const [height, width] = pairOf(padding ?? 0).map((n) => Math.max(1, n));
  return [x, [O, C, 3, 3], { groups, padding: [height, width] }];
};

/** Shapes that a chance draw would miss, each with what it is there for. */
const chosen: Record<string, Convolution> = {
  'filters 1x1 on whole vec4s': [[3, 6, 12, 12], [10, 6, 1, 1], {}],
  'filters 1x1 on few pixels': [[5, 6, 7, 7], [10, 6, 1, 1], {}],
  'filters 1x1 with a stride': [[2, 6, 9, 8], [5, 6, 1, 1], { stride: 2 }],
  'one channel per group': [[2, 6, 12, 10], [6, 1, 3, 3], { padding: 1, groups: 6 }],
  'one channel per group with a stride': [
    [2, 6, 11, 10],
    [12, 1, 3, 3],
    { padding: 1, groups: 6, stride: 2 },
  ],
  'few channels per group, strides that differ': [
    [2, 4, 11, 13],
    [4, 2, 5, 4],
    { stride: [2, 3], padding: [1, 4], groups: 2 },
  ],
  'one channel per group, dilated': [[2, 3, 9, 7], [3, 1, 3, 3], { dilation: [2, 1], padding: 1, groups: 3 }],
  'a single filter': [[2, 6, 7, 9], [1, 6, 3, 3], { padding: 1 }],
  'strides with dilations': [[2, 4, 9, 8], [6, 4, 2, 3], { stride: 2, dilation: 2, padding: 1 }],
  'a stride longer than the kernel': [[2, 3, 11, 13], [5, 3, 2, 2], { stride: [3, 4] }],
  'a sum that is split': [[3, 3, 16, 15], [5, 3, 3, 3], { padding: 1 }],
  'a sum that is split, in whole vec4s': [[3, 4, 16, 16], [8, 4, 3, 3], { padding: 1 }],
  'several blocks of terms': [[1, 16, 5, 6], [14, 16, 3, 3], { padding: 1 }],
  'windows side by side, wider than the image': [[2, 3, 4, 2], [4, 3, 3, 5], { padding: [1, 3] }],
  'windows side by side, a sum split amid their taps': [[1, 77, 4, 4], [8, 77, 1, 7], { padding: [0, 3] }],
  'the same in wide panels': [[4, 77, 8, 8], [8, 77, 1, 7], { padding: [0, 3] }],
  'wide panels, rows of padding that begin where others are': [[1, 9, 4, 4], [32, 9, 3, 3], { padding: 25 }],
  'the same with a last block of its own': [[1, 9, 6, 8], [32, 9, 3, 3], { padding: 25 }],
  'more filters than a thread takes, in two groups': [[2, 4, 6, 9], [14, 2, 3, 3], { padding: 1, groups: 2 }],
  'more pixels than a workgroup takes at once': [[6, 2, 21, 22], [3, 2, 3, 3], { padding: 1 }],
  'padding wider than the kernel': [[2, 3, 5, 4], [4, 3, 2, 2], { padding: 4 }],
};

/** Sums of nothing, which the rules would send every way. */
const empty: Readonly<Record<string, Convolution>> = {
  'no images': [[0, 16, 6, 7], [16, 16, 3, 3], { padding: 1 }],
  'no images, few filters': [[0, 3, 6, 7], [4, 3, 3, 3], { padding: 1 }],
  'no images, one channel per group': [[0, 4, 6, 7], [4, 1, 3, 3], { padding: 1, groups: 4, stride: 2 }],
  'no channels': [[2, 0, 6, 7], [4, 0, 3, 3], { padding: 1 }],
  'no filters': [[2, 3, 6, 7], [0, 3, 3, 3], { padding: 1 }],
};

/** Compares the three directions of a convolution, planned for an adapter, with the reference. */
async function checkTriple(name: string, [x, w, options]: Convolution): Promise<void> {
  const attrs = convAttrs(options);
  const y = conv2dOp.shape([x, w], attrs);
  const where = `${formatShape(x)} ${formatShape(w)} ${JSON.stringify(attrs)}`;
  const forward = errorOnGpu(gpu, plannedFor(conv2dOp, name), [x, w], attrs);
  expect(await forward, `forward ${where}`).toBeLessThan(BOUND);
  const input = plannedFor(conv2dInputGradOp, name);
  const dx = errorOnGpu(gpu, input, [y, w], { ...attrs, size: [x[2], x[3]] });
  expect(await dx, `input gradient ${where}`).toBeLessThan(BOUND);
  const weight = plannedFor(conv2dWeightGradOp, name);
  const dw = errorOnGpu(gpu, weight, [x, y], { ...attrs, size: [w[2], w[3]] });
  expect(await dw, `weight gradient ${where}`).toBeLessThan(BOUND);
}

/** What is no number, and where: at the far edge, and amid the others. */
const poisons = [Number.NaN, Infinity].flatMap((value) => [1, 0.6].map((at) => ({ value, at })));

/**
 * What is no number in an image or an output gradient must reach all results that are sums of it, as in the reference, and no
 * others. A kernel's tap over padding counts as a product with 0: of an output gradient that is none, all taps may be none.
 */
async function checkSpread(name: string, [x, w, options]: Convolution): Promise<void> {
  const attrs = convAttrs(options);
  const y = conv2dOp.shape([x, w], attrs);
  const [size, kernel] = [[x[2], x[3]] as const, [w[2], w[3]] as const];
  const lost: Record<string, readonly number[]> = {};
  for (const { value, at } of poisons) {
    const forward = plannedFor(conv2dOp, name);
    const dx = plannedFor(conv2dInputGradOp, name);
    const dw = plannedFor(conv2dWeightGradOp, name);
    const spreads: Record<string, Spread> = {
      'image, forward': await spreadOnGpu(gpu, forward, [x, w], attrs, { input: 0, value, at }),
      'gradient, to the input': await spreadOnGpu(
        gpu,
        dx,
        [y, w],
        { ...attrs, size },
        { input: 0, value, at },
      ),
      'image, to the weights': await spreadOnGpu(
        gpu,
        dw,
        [x, y],
        { ...attrs, size: kernel },
        { input: 0, value, at },
      ),
    };
    for (const [what, { tooFew, tooMany }] of Object.entries(spreads)) {
      lost[`${what}, ${value} at ${at}: missing`] = tooFew;
      lost[`${what}, ${value} at ${at}: too many`] = tooMany;
    }
    const input = { input: 1, value, at };
    const { tooFew, tooMany, place } = await spreadOnGpu(gpu, dw, [x, y], { ...attrs, size: kernel }, input);
    const filter = Math.floor(place / (y[2] * y[3])) % y[1];
    const filterSize = w[1] * w[2] * w[3];
    lost[`gradient, to the weights, ${value} at ${at}: missing`] = tooFew;
    lost[`gradient, to the weights, ${value} at ${at}: too many`] = tooMany.filter(
      (i) => Math.floor(i / filterSize) !== filter || attrs.padding.every((n) => n === 0),
    );
  }
  const wrong = Object.entries(lost).filter(([, places]) => places.length > 0);
  expect(wrong, `${formatShape(x)} ${formatShape(w)} ${JSON.stringify(attrs)}`).toEqual([]);
}

/** How the input gradient of a convolution can be computed. */
function waysBack([x, w, options]: Convolution): ConvVariant[] {
  const attrs = convAttrs(options);
  const y = conv2dOp.shape([x, w], attrs);
  return possibleConvVariants('input', inputGeometry(y, w, { ...attrs, size: [x[2], x[3]] }));
}

describe.each(Object.keys(gemmAdapters))('products planned for %s', (name) => {
  beforeEach((context) => {
    if (!canRun(name, gpu.profile)) context.skip('the adapter has no subgroups of a fixed size');
  });

  test('matmul', { timeout: 60_000 }, async () => {
    const op = plannedFor(matmulOp, name);
    const check = async ({ batch, M, N, K, tA, tB }: Matrices) => {
      const a = [batch, ...(tA ? [K, M] : [M, K])];
      const b = [batch, ...(tB ? [N, K] : [K, N])];
      const error = await errorOnGpu(gpu, op, [a, b], { transposeA: tA, transposeB: tB });
      expect(error, `${formatShape(a)} ${formatShape(b)}`).toBeLessThan(BOUND);
    };
    await fc.assert(fc.asyncProperty(matrices, check), { numRuns: 10, seed: 1 });
    await check({ batch: 1, M: 3, N: 5, K: 2100, tA: false, tB: true });
    await check({ batch: 1, M: 33, N: 8, K: 1028, tA: true, tB: false });
    await check({ batch: 2, M: 131, N: 132, K: 12, tA: false, tB: false });
    // Wide panels of four lanes: whole ones, and columns that end amid one and amid a vec4.
    await check({ batch: 1, M: 17, N: 256, K: 70, tA: false, tB: false });
    await check({ batch: 2, M: 3, N: 509, K: 12, tA: true, tB: false });
  });

  test('conv2d and both gradients', { timeout: 120_000 }, async () => {
    const check = (problem: Convolution) => checkTriple(name, problem);
    await fc.assert(fc.asyncProperty(convolutions, check), { numRuns: 8, seed: 2 });
  });

  test.each(Object.entries(chosen))(
    'conv2d and both gradients: %s',
    { timeout: 60_000 },
    async (_, problem) => {
      await checkTriple(name, problem);
    },
  );
});

test.each(Object.entries(empty))('conv2d and both gradients of nothing: %s', async (_, problem) => {
  for (const name of Object.keys(adapters)) await checkTriple(name, problem);
});

test.each(Object.entries(convAdapters))('%s', { timeout: 120_000 }, async (name, [variant]) => {
  const isOfWindows = variant === 'windows';
  const problems = Object.values(chosen).filter((problem) => !isOfWindows || isWindows(problem));
  for (const problem of problems) await checkTriple(name, problem);
  let taken = 0;
  const check = async (problem: Convolution) => {
    await checkTriple(name, problem);
    if (waysBack(problem).includes(variant)) taken++;
  };
  const drawn = isOfWindows ? convolutions.map(windowsLike) : convolutions;
  await fc.assert(fc.asyncProperty(drawn, check), { numRuns: 16, seed: 3 });
  // Draws could all be of shapes that have to go another way.
  expect(taken).toBeGreaterThan(4);
});

/** Edges at which patches of pixels, vec4s and tiles hang over. */
const ragged: readonly Convolution[] = [
  [[2, 2, 7, 9], [3, 2, 3, 3], {}],
  [[2, 2, 5, 7], [3, 2, 3, 3], { padding: 1 }],
  [[1, 3, 6, 10], [5, 3, 3, 3], { padding: [0, 1] }],
  [[2, 4, 5, 6], [4, 1, 3, 3], { padding: 1, groups: 4 }],
  [[3, 5, 3, 3], [6, 5, 3, 3], { padding: 2 }],
  [[2, 3, 9, 8], [5, 3, 3, 3], { padding: 1, stride: 2 }],
  [[2, 5, 7, 7], [9, 5, 1, 1], {}],
];

test.each([...Object.keys(convAdapters), ...Object.keys(gemmAdapters)])(
  'what is no number spreads in convolutions as in the reference, planned for %s',
  { timeout: 120_000 },
  async (name) => {
    if (!canRun(name, gpu.profile)) return;
    for (const problem of ragged) await checkSpread(name, problem);
  },
);

test('a way to convolve is taken where it is possible, and else the one by rule', () => {
  const sizes = { N: 2, C: 8, H: 9, W: 9, O: 16, OH: 4, OW: 4, kernel: [3, 3], groups: 1 } as const;
  const geometry = { ...sizes, stride: [2, 2], padding: [0, 0], dilation: [1, 1] } as const;
  const shadersOf = (
    chooseConv: AdapterProfile['chooseConv'],
    dilation: readonly [number, number] = [1, 1],
  ) =>
    planConv2d('input', { ...geometry, dilation }, { ...gpu.profile, chooseConv }).steps.map((step) =>
      'shader' in step ? step.shader : '',
    );
  expect(shadersOf(undefined)).toContain('col2im');
  expect(shadersOf(() => 'taps')).toContain('col2im');
  expect(shadersOf(() => 'product')).not.toContain('col2im');
  expect(shadersOf(() => 'direct')).toEqual(['conv_direct_input']);
  // Windows have no stride.
  expect(shadersOf(() => 'windows')).toEqual(shadersOf(undefined));
  // Stride and dilation above 1 along one axis: neither by taps nor directly.
  expect(shadersOf(() => 'direct', [2, 2])).toEqual(shadersOf(() => 'product', [2, 2]));
});

test('many columns go by wide panels where subgroups have four lanes', () => {
  const shadersOf = (columns: number, subgroupSize: number) => {
    const inputs = [
      [64, 32],
      [32, columns],
    ];
    const adapter = { ...gpu.profile, family: 'software', subgroupSize, chooseGemm: undefined } as const;
    const plan = matmulOp.kernel({
      inputs,
      attrs: { transposeA: false, transposeB: false },
      adapter,
    } as never);
    return plan.steps.map((step) => ('shader' in step ? step.shader : ''));
  };
  expect(shadersOf(512, 4)).toContain('gemm_panel_wide');
  expect(shadersOf(512, 8)).toContain('gemm_panel');
  // Few columns, and a quarter of the last panel filled.
  expect(shadersOf(128, 4)).toContain('gemm_panel');
  expect(shadersOf(272, 4)).toContain('gemm_panel');
});

test('a NaN in one row of a product leaves the other rows alone', async () => {
  // Rows whose length is no multiple of the block end inside a load that reaches into the next row.
  const K = 36;
  const a = Array.from({ length: 3 * K }, (_, i) => (i >= K && i < 2 * K ? Number.NaN : 1));
  const inputs = [tensor(gpu, a, [3, K]), tensor(gpu, new Array(K * 8).fill(1), [K, 8])];
  const [values] = await gpu.read([matmul(inputs[0], inputs[1])]);
  expect([...values].map((value) => (Number.isNaN(value) ? 'NaN' : value))).toEqual([
    ...new Array(8).fill(K),
    ...new Array(8).fill('NaN'),
    ...new Array(8).fill(K),
  ]);
});

test('the three directions of a convolution share their programs with other shapes', () => {
  const adapter: AdapterProfile = { ...gpu.profile, family: 'software', subgroupSize: 8 };
  const programs = new Set<string>();
  for (const [C, O, H] of [
    [3, 32, 32],
    [32, 32, 32],
    [32, 64, 16],
    [64, 64, 15],
  ]) {
    const same = [1, 1] as const;
    const geometry = {
      N: 32,
      C,
      O,
      H,
      W: H,
      OH: H,
      OW: H,
      kernel: [3, 3],
      stride: same,
      padding: same,
    } as const;
    for (const direction of ['forward', 'input', 'weight'] as const) {
      const plan = planConv2d(direction, { ...geometry, dilation: same, groups: 1 }, adapter);
      for (const step of plan.steps) {
        if ('shader' in step) programs.add(`${step.shader} ${step.operandsShader} ${step.prelude}`);
      }
    }
  }
  // gemm_panel on pixels, on weights, and on pixels without windows; packing, finishing, and gathering taps.
  expect(programs.size).toBe(6);
});
