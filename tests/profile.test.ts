// Profiles say where the time of a step or a benchmark goes, all of it, in a table that can be read.

import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { measure } from '../bench/measure.ts';
import { randomImages } from '../bench/small-net.ts';
import { stepCases } from '../bench/step.ts';
import { adapterProfile, keepAlive } from '../engine/adapter-profile.ts';
import { DeviceError } from '../engine/errors.ts';
import { GpuDevice } from '../engine/gpu-device.ts';
import { requestNodeAdapter } from '../engine/node-adapter.ts';
import type { DispatchSummary } from '../engine/profiler.ts';
import { memorySource } from '../isnet/data/source.ts';
import { type KernelProfile, kernelTable } from '../isnet/kernel-profile.ts';
import { profileSteps } from '../isnet/profile.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { loadShaders } from '../shaders/catalogue.ts';
import { openGpu } from './gpu.ts';

const device = await openGpu();
afterAll(() => device?.close());

/** Where the six columns of a table end, and for the last one begin; of its head and of each of its rows. */
const edgesOf = (lines: readonly string[]): number[][] =>
  lines.map((line) => {
    const cells = [...line.matchAll(/\S+/g)].slice(0, 6);
    return cells.map(({ 0: text, index }, i) => (i < 5 ? index + text.length : index));
  });

function expectTable(table: string): void {
  const [total, blank, head, ...rows] = table.split('\n');
  expect(total).toMatch(/: \d+\.\d\d ms a (step|call) in \d+ launches of \d+ kinds, medians of 5 \1s$/);
  expect(blank).toBe('');
  expect(head).toMatch(/^ +ms\/(step|call) +time +bytes +GB\/s +launches +op \(kernel\)$/);
  const [ofHead, ...ofRows] = edgesOf([head, ...rows]);
  for (const edges of ofRows) expect(edges).toEqual(ofHead);
}

const sumOf = (kernels: readonly DispatchSummary[], part: 'timeShare' | 'byteShare') =>
  kernels.reduce((sum, kernel) => sum + kernel[part], 0);

describe.skipIf(!device?.raw.features.has('timestamp-query'))('the profile of', () => {
  // biome-ignore lint/style/noNonNullAssertion: skipped without a device
  const gpu = device!;

  // Of ordinary classifiers: an ISNet's step has more kernels, which take long to compile.
  const ofTraining = async (): Promise<KernelProfile> => {
    const config = completeConfig([{ method: 'classifier', classifier: { batchSize: 4 } }]);
    return (await profileSteps(gpu, config, memorySource(randomImages(4))))[0];
  };
  const ofBenchmark = async (): Promise<KernelProfile> => {
    const [bench] = stepCases.filter(({ name }) => name === 'classifier-step');
    const { profile } = await measure(gpu, bench, { isQuick: true, isProfiled: true });
    if (!profile) throw new Error('measure made no profile');
    return profile;
  };

  test.each([
    ['training', 'step', ofTraining],
    ['benchmark', 'call', ofBenchmark],
  ] as const)('a %s has every kernel, the ten most expensive in its table', async (name, run, make) => {
    const profile = await make();
    const { kernels } = profile;
    expect(kernels.length).toBeGreaterThan(10);
    expect(sumOf(kernels, 'timeShare')).toBeCloseTo(1, 9);
    expect(sumOf(kernels, 'byteShare')).toBeCloseTo(1, 9);
    const times = kernels.map(({ ms }) => ms);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    const table = kernelTable({ name, run }, profile);
    expectTable(table);
    const rows = table.split('\n').slice(3);
    expect(rows).toHaveLength(10);
    rows.forEach((row, i) => {
      expect(row.endsWith(`  ${kernels[i].name}`)).toBe(true);
    });
  });
});

describe('a table of kernels', () => {
  const kernel = { byteCount: 4e9, count: 1, timeShare: 0.5, byteShare: 0.5 };

  test('lines up, however large and small the numbers are, and has as many rows as there are kernels', () => {
    const kernels = [
      { ...kernel, name: 'a b (map)', ms: 123456, count: 1_000_000, timeShare: 1 },
      { ...kernel, name: 'c (gemm)', ms: 1e-3 },
      { ...kernel, name: 'd (map)', ms: 0, timeShare: 0 },
    ];
    const table = kernelTable({ name: 'x', run: 'call' }, { runCount: 5, kernels });
    expectTable(table);
    expect(table.split('\n')).toHaveLength(6);
    expect(table).toContain('x: 123456.00 ms a call in 1000002 launches of 3 kinds');
    // 4 GB in a microsecond, and in no time that could be seen.
    expect(table).toMatch(/0\.001 +50\.0% +50\.0% +4000000\.00 +1 {2}c/);
    expect(table).toMatch(/0\.000 +0\.0% +50\.0% +- +1 {2}d/);
  });

  test('of no kernels says so', () => {
    expect(kernelTable({ name: 'upload', run: 'call' }, { runCount: 5, kernels: [] })).toBe(
      'upload: no kernels, only copies',
    );
  });
});

test.skipIf(!device)(
  'a profile on an adapter without timestamps is refused before anything runs',
  async () => {
    const found = await requestNodeAdapter();
    const { adapter, description } = found;
    // WebGPU grants no feature that is not asked for.
    const raw = await adapter.requestDevice();
    keepAlive(raw, adapter);
    const texts = await loadShaders((url) => readFile(url, 'utf8'));
    const driver = adapter.info.description;
    const bare = new GpuDevice({ device: raw, profile: adapterProfile(adapter), texts, description, driver });
    let hasRun = false;
    const profiled = bare.profileDispatches(() => {
      hasRun = true;
    });
    await expect(profiled).rejects.toThrow(DeviceError);
    await expect(profiled).rejects.toThrow(/^profile: this adapter has no timestamps .*; profile on another/);
    expect(hasRun).toBe(false);
    await bare.close();
    found.release();
  },
);
