// Kernels chosen by measurement: what is remembered between runs, and what a damaged or old file does.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { AdapterProfile, ProductFacts } from '../engine/dispatch.ts';
import { DataError } from '../engine/errors.ts';
import { type GemmTuning, productClass, tunedProfile } from '../engine/gemm-tuning.ts';
import { openDevice } from '../engine/node-device.ts';
import { loadTuning, saveTuning, tuningPath } from '../engine/tuning-file.ts';

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
  variants: { [productClass(product)]: 'plain' },
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
        variants: { [productClass(product)]: variant } as GemmTuning['variants'],
      }).chooseGemm?.({ ...product, ...facts });
    expect(choose('plain')).toBe('plain');
    expect(choose('plain', { rows: 90 })).toBe('plain');
    expect(choose('plain', { rows: 1000 })).toBeUndefined();
    expect(choose('plain', { operandsShader: 'operands_conv2d' })).toBeUndefined();
    // Without subgroups there are no panels, and nobody knows `magic`.
    expect([choose('panel'), choose('magic')]).toEqual([undefined, undefined]);
  });

  test('is what a device opened later goes by', async () => {
    const before = await openDevice();
    await saveTuning({ ...tuning, adapter: before.description });
    await before.close();
    const after = await openDevice();
    expect(before.profile.chooseGemm?.(product)).toBeUndefined();
    expect(after.profile.chooseGemm?.(product)).toBe('plain');
    await after.close();
  });
});
