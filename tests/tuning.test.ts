// Kernels chosen by measurement: what is remembered between runs, and what a damaged or old file does.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { full } from '../engine/create.ts';
import type {
  AdapterProfile,
  ConvGeometry,
  ConvVariant,
  GemmVariant,
  ProductFacts,
} from '../engine/dispatch.ts';
import { DataError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { conv2d, conv2dInputGradOp, conv2dOp, conv2dWeightGradOp } from '../engine/ops/conv.ts';
import { planConv2d, possibleConvVariants } from '../engine/ops/conv-plan.ts';
import { possibleVariants } from '../engine/ops/gemm-variants.ts';
import { matmul } from '../engine/ops/matmul.ts';
import type { Op } from '../engine/tensor.ts';
import { convClass, productClass, type Tuning, tunedProfile } from '../engine/tuning.ts';
import { loadTuning, saveTuning, tuningBasis, tuningPath } from '../engine/tuning-file.ts';
import { describeTuning } from '../isnet/commands/doctor.ts';
import { type TunedProduct, tuneProducts } from '../isnet/tune-products.ts';
import { type TunedWay, tuneWays } from '../isnet/tune-ways.ts';
import { type ConvCase, convCases, matmulCase, type TuningCase } from '../isnet/tuning-cases.ts';
import { loadShaders } from '../shaders/catalogue.ts';
import { hasGpu } from './gpu.ts';
import { BOUND, convVariantOf, errorOnGpu } from './kernel-check.ts';

const hasAdapter = await hasGpu();

/** A convolution that goes without a product on every adapter. */
const depthwise: TuningCase = {
  name: 'depthwise',
  shapes: [
    [2, 8, 6, 6],
    [8, 1, 3, 3],
  ],
  run: ([x, w]) => conv2d(x, w, { padding: 1, groups: 8 }),
};

const product: ProductFacts = {
  operandsShader: 'operands_matmul',
  batches: 1,
  rows: 100,
  columns: 60,
  terms: 70,
};
/** A convolution that no rule sends directly, in no direction. */
const [forward, input, weight] = convCases({ N: 2, C: 4, O: 3, size: 6, kernel: 3 });
const { sizes } = forward;
const texts = await loadShaders(async (url) => readFileSync(url, 'utf8'));
/** What a device says of itself, as far as tunings go. */
const here = { description: 'Some GPU (gpu, 32 lanes)', driver: 'Some driver 1.2.3', texts };
const tuning: Tuning = {
  ...tuningBasis(here),
  date: '2026-01-02T03:04:05.000Z',
  variants: { [productClass(product, 'f32')]: 'plain' },
  ways: { [convClass('forward', sizes, 'f32')]: 'direct' },
};
/** As files were before ways were measured. */
const { ways: _, ...olderTuning } = tuning;
const base = { family: 'gpu', subgroupSize: 0, maxStorageBuffers: 8, precision: 'f32' } as const;
const limits = { maxWorkgroupsPerDimension: 65535, maxWorkgroupStorageSize: 16384 };
const profile: AdapterProfile = { ...base, ...limits, maxInvocationsPerWorkgroup: 256 };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tuning-'));
  // Wherever this system keeps its caches.
  for (const name of ['XDG_CACHE_HOME', 'LOCALAPPDATA', 'HOME']) vi.stubEnv(name, join(folder, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe('a tuning', () => {
  test('is found again under the name of its adapter, and under no other', async () => {
    const path = await saveTuning(tuning);
    expect(path).toBe(tuningPath(tuning.adapter));
    expect(await loadTuning(here)).toEqual({ tuning, outdated: undefined });
    expect(await loadTuning({ ...here, description: 'Another GPU' })).toBeUndefined();
    // The same file name, and yet another adapter.
    expect(await loadTuning({ ...here, description: 'Some GPU [gpu, 32 lanes]' })).toBeUndefined();
  });

  test('is outdated by another driver, and by other kernels', async () => {
    await saveTuning(tuning);
    const driver = 'Some driver 1.2.4';
    const newDriver = "driver 'Some driver 1.2.4' in place of 'Some driver 1.2.3'";
    expect(await loadTuning({ ...here, driver })).toEqual({ tuning, outdated: newDriver });
    // By one character in the last of them, as a faster kernel may be.
    const changed = { ...texts, conv_windows_weight: texts.conv_windows_weight.replace(';', ' ;') };
    const { kernels } = tuningBasis({ ...here, texts: changed });
    const newKernels = `kernels '${kernels}' in place of '${tuning.kernels}'`;
    expect(kernels).toMatch(/^\d+\.\d+\.\d+ [0-9a-f]{8}$/);
    expect(kernels).not.toBe(tuning.kernels);
    expect((await loadTuning({ ...here, texts: changed }))?.outdated).toBe(newKernels);
    expect((await loadTuning({ ...here, driver, texts: changed }))?.outdated).toBe(
      `${newDriver}, ${newKernels}`,
    );
    // The code that plans kernels changes from version to version.
    await saveTuning({ ...tuning, kernels: tuning.kernels.replace(/^\S+/, '0.0.1') });
    expect((await loadTuning(here))?.outdated).toMatch(/^kernels '\S+ (\w+)' in place of '0\.0\.1 \1'$/);
  });

  test('that does not say what it was measured with, as older ones do not, is outdated', async () => {
    const { driver: _driver, kernels: _kernels, ...unnamed } = tuning;
    await saveTuning(unnamed as Tuning);
    expect((await loadTuning(here))?.outdated).toBe(
      `driver 'Some driver 1.2.3' in place of 'unknown', kernels '${tuning.kernels}' in place of 'unknown'`,
    );
  });

  test('is shown with what to do about it', () => {
    const tuned = tuning.date;
    expect(describeTuning({ tuned: null, outdated: null })).toMatch(
      /^kernels: by rule; `.*doctor --tune` measures which are fastest here$/,
    );
    expect(describeTuning({ tuned, outdated: null })).toBe('kernels: as measured on 2026-01-02');
    expect(describeTuning({ tuned, outdated: "driver '2' in place of '1'" })).toMatch(
      /^kernels: by rule; what was measured on 2026-01-02 is outdated \(driver '2' in place of '1'\), `.*doctor --tune` measures anew$/,
    );
  });

  test('that knows products alone, as older ones do, is still good', async () => {
    await saveTuning(olderTuning);
    expect((await loadTuning(here))?.tuning).toEqual(olderTuning);
    const { chooseGemm, chooseConv } = tunedProfile(profile, olderTuning);
    expect([chooseGemm?.(product), chooseConv?.('forward', sizes)]).toEqual(['plain', undefined]);
  });

  const damages = ['', '{', 'null', '[]', '"text"', '{}', 'variants: null', 'variants: "plain"', 'date: 3'];
  test.each([...damages, 'ways: null', 'ways: "direct"'])('that is damaged (%s) is none', async (damage) => {
    const [, field, value] = /^(\w+): (.*)$/.exec(damage) ?? [];
    const text = field ? JSON.stringify({ ...tuning, [field]: JSON.parse(value) }) : damage;
    const path = tuningPath(tuning.adapter);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    expect(await loadTuning(here)).toBeUndefined();
  });

  test('that cannot be written is a DataError', async () => {
    writeFileSync(join(folder, 'cache'), 'a file where the folder should be');
    const error = await saveTuning(tuning).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/^tune: part of the path .* is a file, not a folder; check the path$/);
  });

  test('decides for products like those measured, if the adapter can run what it names', () => {
    const choose = (variant: string, facts: Partial<ProductFacts> = {}) =>
      tunedProfile(profile, {
        ...tuning,
        variants: { [productClass(product, 'f32')]: variant } as Tuning['variants'],
      }).chooseGemm?.({ ...product, ...facts });
    expect(choose('plain')).toBe('plain');
    expect(choose('plain', { rows: 90 })).toBe('plain');
    expect(choose('plain', { rows: 1000 })).toBeUndefined();
    expect(choose('plain', { operandsShader: 'operands_conv2d' })).toBeUndefined();
    // Measured in f32, it says nothing of products whose factors are kept as f16.
    const mixed = tunedProfile({ ...profile, precision: 'mixed' }, tuning);
    expect(mixed.chooseGemm?.(product)).toBeUndefined();
    // Without subgroups there are no panels, and nobody knows `magic`.
    expect([choose('panel'), choose('magic')]).toEqual([undefined, undefined]);
  });

  test('decides for convolutions like those measured', () => {
    const { chooseConv } = tunedProfile(profile, tuning);
    const choose = (changes: Partial<ConvGeometry>) => chooseConv?.('forward', { ...sizes, ...changes });
    expect(choose({})).toBe('direct');
    // As many pixels, and channels, to a factor of two.
    expect(choose({ N: 3, H: 7, OH: 7, O: 5 })).toBe('direct');
    const others: Partial<ConvGeometry>[] = [
      { N: 20 },
      { C: 16 },
      { O: 16 },
      { kernel: [3, 5] },
      { stride: [2, 1] },
      { dilation: [1, 2] },
      { C: 8, O: 6, groups: 2 },
    ];
    expect(others.map(choose)).toEqual(others.map(() => undefined));
    // Of depthwise ones other counts of channels are other counts of groups.
    const grouped = {
      ...tuning,
      ways: { [convClass('forward', { ...sizes, groups: 64 }, 'f32')]: 'direct' },
    } as const;
    const waysOf = [1, 20, 40, 64, 96, 144].map((groups) =>
      tunedProfile(profile, grouped).chooseConv?.('forward', {
        ...sizes,
        C: (sizes.C / 64) * groups,
        O: (sizes.O / 64) * groups,
        groups,
      }),
    );
    expect(waysOf).toEqual([undefined, undefined, 'direct', 'direct', 'direct', undefined]);
    expect(chooseConv?.('input', sizes)).toBeUndefined();
    const mixed = tunedProfile({ ...profile, precision: 'mixed' }, tuning);
    expect(mixed.chooseConv?.('forward', sizes)).toBeUndefined();
  });

  // Compiles every kernel for products, hence seconds.
  test.skipIf(!hasAdapter)(
    'is made by running every kernel that can run, and names the fastest of each class',
    {
      timeout: 120_000,
    },
    async () => {
      const device = await openDevice();
      const told: TunedProduct[] = [];
      // The second is of the class of the first.
      const cases = [matmulCase(24, 64, 16), matmulCase(25, 64, 16), matmulCase(24, 64, 64), depthwise];
      const made = await tuneProducts(device, (each) => told.push(each), cases);
      expect(made).toMatchObject(tuningBasis(device));
      expect(made.driver).toBe(device.raw.adapterInfo.description);
      expect(told.map(({ example }) => example)).toEqual([cases[0].name, cases[2].name]);
      expect(made.variants).toEqual(Object.fromEntries(told.map(({ name, fastest }) => [name, fastest])));
      for (const { ms, fastest } of told) {
        expect(Object.keys(ms).sort()).toEqual(possibleVariants(device.profile).sort());
        expect(Math.min(...Object.values(ms))).toBe(ms[fastest]);
        expect(ms[fastest]).toBeGreaterThan(0);
      }
      // What is remembered is found by what is asked when such a product is planned.
      const asked: (GemmVariant | undefined)[] = [];
      const { chooseGemm } = tunedProfile(device.profile, made);
      const later = await openDevice({
        profile: {
          chooseGemm: (facts) => {
            asked.push(chooseGemm?.(facts));
            return undefined;
          },
        },
      });
      matmul(full(later, [24, 64], 1), full(later, [64, 16], 1));
      expect(asked).toEqual([told[0].fastest]);
      await later.close();
      await device.close();
    },
  );

  test.skipIf(!hasAdapter)(
    'of products is made with convolutions going by rule, whatever an earlier one says',
    async () => {
      // Can run plain products alone: the fewest kernels to compile.
      const device = await openDevice({ profile: { subgroupSize: 0, maxInvocationsPerWorkgroup: 1 } });
      // By rule a product; the earlier tuning leaves none to measure.
      const [each] = convCases({ N: 1, C: 8, O: 32, size: 8, kernel: 1 });
      const ways = { [convClass('forward', each.sizes, 'f32')]: 'direct' } as const;
      await saveTuning({ ...tuning, ...tuningBasis(device), ways });
      const made = await tuneProducts(device, undefined, [each]);
      expect(Object.values(made.variants)).toEqual(['plain']);
      await device.close();
    },
  );

  test.skipIf(!hasAdapter)(
    'of convolutions is made by going every way that is possible, with the products just tuned',
    async () => {
      const device = await openDevice();
      // An earlier tuning must not decide.
      await saveTuning({ ...tuning, ...tuningBasis(device), variants: {} });
      const told: TunedWay[] = [];
      const strided = convCases({ N: 2, C: 4, O: 3, size: 7, kernel: 3, stride: 2 });
      const cases = [forward, input, weight, ...strided];
      // Milliseconds as some adapter might need.
      const ms = { product: 9, taps: 8, direct: 1, windows: 2 };
      const waysOf: ConvVariant[][] = [];
      const wayOf = ({ direction, sizes }: ConvCase, { profile }: GpuDevice) =>
        convVariantOf(planConv2d(direction, sizes, profile));
      const measure = async (each: ConvCase, devices: readonly GpuDevice[], byRule?: GpuDevice) => {
        expect(devices.map(({ profile }) => profile.chooseGemm?.(product))).toEqual(
          devices.map(() => 'plain'),
        );
        expect(byRule && wayOf(each, byRule)).toBe(wayOf(each, device));
        const ways = devices.map((candidate) => wayOf(each, candidate));
        waysOf.push(ways);
        return ways.map((way) => [ms[way], ms[way], ms[way]]);
      };
      const made = await tuneWays(device, olderTuning, { onWay: (each) => told.push(each), cases, measure });
      await device.close();
      expect(waysOf).toEqual(cases.map((each) => possibleConvVariants(each.direction, each.sizes)));
      expect(told.map((each) => each.ms)).toEqual(
        waysOf.map((ways) => Object.fromEntries(ways.map((way) => [way, ms[way]]))),
      );
      expect(told.map(({ best }) => best)).toEqual(cases.map(() => 'direct'));
      const names = cases.map((each) => convClass(each.direction, each.sizes, 'f32'));
      expect(made).toEqual({
        ...olderTuning,
        ways: Object.fromEntries(names.map((name) => [name, 'direct'])),
      });
    },
  );

  test.skipIf(!hasAdapter)('is what a device opened later goes by', async () => {
    const before = await openDevice();
    await saveTuning({ ...tuning, ...tuningBasis(before) });
    await before.close();
    const after = await openDevice();
    expect(before.profile.chooseGemm?.(product)).toBeUndefined();
    expect(after.profile.chooseGemm?.(product)).toBe('plain');
    await after.close();
    // As after an update of the driver: by rule again.
    await saveTuning({ ...tuning, ...tuningBasis(before), driver: 'one of last year' });
    const updated = await openDevice();
    expect(updated.profile.chooseGemm?.(product)).toBeUndefined();
    await updated.close();
  });

  test.skipIf(!hasAdapter)('sends the convolutions of a device opened later its way', async () => {
    const before = await openDevice();
    await before.close();
    const directions = ['forward', 'input', 'weight'] as const;
    const byRule = directions.map((each) => convVariantOf(planConv2d(each, sizes, before.profile)));
    expect(byRule).not.toContain('direct');
    const ways = Object.fromEntries(
      directions.map((each) => [convClass(each, sizes, 'f32'), 'direct' as const]),
    );
    await saveTuning({ ...tuning, ...tuningBasis(before), ways });
    const after = await openDevice();
    const taken: ConvVariant[] = [];
    const watched = <A>(op: Op<A>): Op<A> => ({
      ...op,
      kernel(request) {
        const plan = op.kernel(request);
        taken.push(convVariantOf(plan));
        return plan;
      },
    });
    const { stride, padding, dilation, groups, kernel, H, W } = sizes;
    const attrs = { stride, padding, dilation, groups };
    const errors = [
      await errorOnGpu(after, watched(conv2dOp), forward.shapes, attrs),
      await errorOnGpu(after, watched(conv2dInputGradOp), input.shapes, { ...attrs, size: [H, W] }),
      await errorOnGpu(after, watched(conv2dWeightGradOp), weight.shapes, { ...attrs, size: kernel }),
    ];
    await after.close();
    expect(taken).toEqual(['direct', 'direct', 'direct']);
    expect(Math.max(...errors)).toBeLessThan(BOUND);
  });
});
