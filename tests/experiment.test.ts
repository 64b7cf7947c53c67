// Runs as a library: what is left when the device is lost, and what a folder and a state dict refuse.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { CheckpointError, DeviceError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { randomStream } from '../engine/random-bits.ts';
import { loadState } from '../isnet/checkpoint.ts';
import { readRunConfig, runExperiment } from '../isnet/experiment.ts';
import { completeConfig, quickstartConfig } from '../isnet/quickstart-config.ts';
import { abandonRunFolder, createRunFolder, writeJson } from '../isnet/run-folder.ts';
import { stagesOf } from '../isnet/stage.ts';
import { Linear } from '../nn/layers.ts';
import { loadStateDict } from '../nn/state-dict.ts';
import { newFolder } from './command-line.ts';
import { openGpu } from './gpu.ts';

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const device = await openGpu();

describe.skipIf(!device)('a device lost in the middle of training', () => {
  test('is a DeviceError, and the last saved epoch is intact', async () => {
    const lost = device as GpuDevice;
    const config = completeConfig([
      {
        name: 'lost',
        method: 'classifier',
        data: { trainCount: 100, validationCount: 10, testCount: 10 },
        model: { hidden: [8] },
        classifier: { epochs: 3, batchSize: 10 },
      },
    ]);
    const folder = await createRunFolder(join(runs, 'lost'));
    const run = runExperiment(config, {
      device: lost,
      folder,
      progress: (event) => {
        if (event.kind === 'step' && event.report.epoch === 1) lost.raw.destroy();
      },
    });
    await expect(run).rejects.toThrow(DeviceError);
    await expect(run).rejects.toThrow(/the device was lost \(.*\); open a new device/);
    expect((await loadState(folder.state)).position).toMatchObject({ epoch: 1, batch: 0, step: 10 });
    expect(readdirSync(join(folder.path, 'weights')).toSorted()).toEqual([
      'best.safetensors',
      'last.safetensors',
    ]);
    expect(existsSync(folder.metrics)).toBe(false);
    await lost.close();
  });
});

test('an ISNet alone trains an ordinary copy first, unless the range is given', () => {
  const roles = (range: 'natural' | { C1: number; C2: number }) =>
    stagesOf(completeConfig([{ method: 'isnet', isnet: { range } }])).map(({ role }) => role);
  expect(roles('natural')).toEqual(['range-copy', 'isnet']);
  expect(roles({ C1: 1, C2: 25 })).toEqual(['isnet']);
});

test('settings that are left out or undefined keep their defaults', () => {
  const config = completeConfig([{ isnet: { P: { to: 0.5, epochs: 2 }, d: undefined } }, { seed: 3 }]);
  expect(config).toEqual({
    ...quickstartConfig,
    seed: 3,
    isnet: { ...quickstartConfig.isnet, P: { to: 0.5, epochs: 2 } },
  });
});

test('a run from before ReLUs had a slope has none', async () => {
  const folder = await createRunFolder(join(runs, 'older'));
  const { negativeSlope: _, ...model } = quickstartConfig.model;
  await writeJson(folder.config, { ...quickstartConfig, model });
  expect(await readRunConfig(folder)).toEqual({ ...quickstartConfig, model: { ...model, negativeSlope: 0 } });
  await writeJson(folder.config, quickstartConfig);
  expect(await readRunConfig(folder)).toEqual(quickstartConfig);
});

test('an abandoned run folder may be used again', async () => {
  const folder = await createRunFolder(join(runs, 'abandoned'));
  await createRunFolder(folder.path);
  await abandonRunFolder(folder);
  expect(existsSync(folder.path)).toBe(false);
});

describe('loadStateDict', () => {
  const cpu = new CpuDevice();
  const layer = new Linear({ device: cpu, random: randomStream(0, 'init') }, 2, 1);
  const weight = { shape: [1, 2], data: [5, 6] };

  test('names everything that does not fit in one error and changes nothing', () => {
    const before = [...dataOf(layer.weight)];
    const tensors = new Map([
      ['weight', { shape: [2, 1], data: [5, 6] }],
      ['fc.weight', weight],
    ]);
    expect(() => loadStateDict(layer, tensors)).toThrow(CheckpointError);
    expect(() => loadStateDict(layer, tensors)).toThrow(
      /^load: 1 missing \(bias\), 1 unexpected \(fc\.weight\), 1 misshapen \(weight is \[1, 2\] in the model and \[2, 1\] in the file\); /,
    );
    expect([...dataOf(layer.weight)]).toEqual(before);
  });

  test('loads what there is when it is not strict', () => {
    const report = loadStateDict(layer, new Map([['weight', weight]]), { strict: false });
    expect(report).toEqual({ missing: ['bias'], unexpected: [], skipped: [] });
    expect([...dataOf(layer.weight)]).toEqual([5, 6]);
  });
});
