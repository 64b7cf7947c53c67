// Kernels chosen by measurement: what is remembered between runs, and what a damaged or old file does.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { full } from '../engine/create.ts';
import type { AdapterProfile, GemmVariant, ProductFacts } from '../engine/dispatch.ts';
import { DataError } from '../engine/errors.ts';
import { type GemmTuning, productClass, tunedProfile } from '../engine/gemm-tuning.ts';
import { openDevice } from '../engine/node-device.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { possibleVariants } from '../engine/ops/gemm-variants.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { loadTuning, saveTuning, tuningPath } from '../engine/tuning-file.ts';
import { matmulCase, type TunedClass, type TuningCase, tuneGemm } from '../isnet/tune.ts';
import { hasGpu } from './gpu.ts';

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
const tuning: GemmTuning = {
  adapter: 'Some GPU (gpu, 32 lanes)',
  date: '2026-01-02T03:04:05.000Z',
  variants: { [productClass(product, 'f32')]: 'plain' },
};

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
    expect(await loadTuning(tuning.adapter)).toEqual(tuning);
    expect(await loadTuning('Another GPU')).toBeUndefined();
    // The same file name, and yet another adapter.
    expect(await loadTuning('Some GPU [gpu, 32 lanes]')).toBeUndefined();
  });

  test.each(['', '{', 'null', '[]', '"text"', '{}', 'variants: null', 'variants: "plain"', 'date: 3'])(
    'that is damaged (%s) is none',
    async (damage) => {
      const [, field, value] = /^(\w+): (.*)$/.exec(damage) ?? [];
      const text = field ? JSON.stringify({ ...tuning, [field]: JSON.parse(value) }) : damage;
      const path = tuningPath(tuning.adapter);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      expect(await loadTuning(tuning.adapter)).toBeUndefined();
    },
  );

  test('that cannot be written is a DataError', async () => {
    writeFileSync(join(folder, 'cache'), 'a file where the folder should be');
    const error = await saveTuning(tuning).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/^tune: part of the path .* is a file, not a folder; check the path$/);
  });

  test('decides for products like those measured, if the adapter can run what it names', () => {
    const base = { family: 'gpu', subgroupSize: 0, maxStorageBuffers: 8, precision: 'f32' } as const;
    const limits = { maxWorkgroupsPerDimension: 65535, maxWorkgroupStorageSize: 16384 };
    const profile: AdapterProfile = { ...base, ...limits, maxInvocationsPerWorkgroup: 256 };
    const choose = (variant: string, facts: Partial<ProductFacts> = {}) =>
      tunedProfile(profile, {
        ...tuning,
        variants: { [productClass(product, 'f32')]: variant } as GemmTuning['variants'],
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

  // Compiles every kernel for products, hence seconds.
  test.skipIf(!hasAdapter)(
    'is made by running every kernel that can run, and names the fastest of each class',
    {
      timeout: 120_000,
    },
    async () => {
      const device = await openDevice();
      const told: TunedClass[] = [];
      // The second is of the class of the first.
      const cases = [matmulCase(24, 64, 16), matmulCase(25, 64, 16), matmulCase(24, 64, 64), depthwise];
      const made = await tuneGemm(device, (each) => told.push(each), cases);
      expect(made.adapter).toBe(device.description);
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

  test.skipIf(!hasAdapter)('is what a device opened later goes by', async () => {
    const before = await openDevice();
    await saveTuning({ ...tuning, adapter: before.description });
    await before.close();
    const after = await openDevice();
    expect(before.profile.chooseGemm?.(product)).toBeUndefined();
    expect(after.profile.chooseGemm?.(product)).toBe('plain');
    await after.close();
  });
});
