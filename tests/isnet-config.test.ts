// From settings to the ISNet they stand for, and a run whose range is estimated along the way.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { UsageError } from '../engine/errors.ts';
import { loadState, type SavedState } from '../isnet/checkpoint.ts';
import { heatmapWeight, modules, range } from '../isnet/commands/parse.ts';
import { settingsOf, type TrainOptions } from '../isnet/commands/train-options.ts';
import type { PartialRunConfig } from '../isnet/config.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { markerSplits } from '../isnet/data/splits.ts';
import { createModel, isnetOptions, runningRangeOf, trainingOptions } from '../isnet/from-config.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { clearRunFolder, createRunFolder } from '../isnet/run-folder.ts';
import type { RunningRange } from '../isnet/running-range.ts';
import { type RunContext, stagesOf, trainStage } from '../isnet/stage.ts';
import { finalHeatmapWeight, heatmapWeightAt } from '../isnet/weight.ts';
import type { Composite } from '../lrp/composite.ts';
import { expectClose } from './close.ts';
import { newFolder } from './command-line.ts';

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const device = new CpuDevice();
const input = { channels: 1, height: 28, width: 28, classNames: ['a', 'b'] };

function optionsOf(isnet: PartialRunConfig['isnet']) {
  const config = completeConfig([{ isnet }]);
  const model = createModel(device, config.model, input, 0);
  return { options: isnetOptions(config.isnet, model), config, model };
}

describe('settings of an ISNet', () => {
  test('name its depths: none, the stages of the model, or modules', () => {
    expect(optionsOf({}).options.deepSupervision).toEqual([]);
    expect(optionsOf({ deepSupervision: 'stages' }).options.deepSupervision).toEqual([
      'features.2',
      'classifier',
    ]);
    expect(optionsOf({ deepSupervision: ['features.2'] }).options.deepSupervision).toEqual(['features.2']);
  });

  test('say what the heatmap loss may reach', () => {
    const policies = ({ bias, statisticsGradient }: Composite) => [bias, statisticsGradient];
    expect(policies(optionsOf({}).options.composite as Composite)).toEqual(['detach', 'detach']);
    const kept = optionsOf({ biasGradient: 'keep', statisticsGradient: 'keep' });
    expect(policies(kept.options.composite as Composite)).toEqual(['keep', 'keep']);
  });

  test('with a running range make one row for each depth and rule, and no other model', () => {
    const { config, model } = optionsOf({ range: 'running', variant: 'dual', deepSupervision: 'stages' });
    const running = runningRangeOf(config.isnet, device, model) as RunningRange;
    expect(running.groupCount).toBe(6);
    const { isnet } = trainingOptions(config.isnet, 0, { config: config.isnet, model, range: running });
    expect(isnet?.runningRange).toBe(running);
    expect(stagesOf({ ...config, method: 'isnet' }).map(({ role }) => role)).toEqual(['isnet']);
    expect(runningRangeOf(completeConfig([]).isnet, device, model)).toBeNull();
  });

  test.each<[string, object, string]>([
    [
      'an unknown propagation',
      { propagation: 'flexx' },
      "(did you mean 'flex'?); use one of lrp, flex, gradient-input",
    ],
    [
      'a word for depths',
      { deepSupervision: 'all' },
      "use 'none', 'stages' (behind each stage of the network) or a list",
    ],
    ['a word for a range', { range: 'narrow' }, "'running' (estimated while training) or { C1, C2 }"],
    ['no depth', { deepSupervision: [] }, 'or a list of module names'],
  ])('with %s are refused', (_, isnet, message) => {
    expect(() => completeConfig([{ isnet }])).toThrow(UsageError);
    expect(() => completeConfig([{ isnet }])).toThrow(message);
  });

  test('come from the command line', () => {
    expect([modules('stages'), modules('none'), modules('layer2,layer3')]).toEqual([
      'stages',
      'none',
      ['layer2', 'layer3'],
    ]);
    expect([range('running'), range('1,25')]).toEqual(['running', { C1: 1, C2: 25 }]);
    const given = {
      propagation: 'flex',
      deepSupervision: ['layer2'],
      dLoss: 0.8,
      biasGradient: 'keep',
    } satisfies Partial<TrainOptions>;
    expect(settingsOf({ outputDir: 'runs', ...given }).isnet).toMatchObject(given);
  });
});

describe('P over a run', () => {
  const at = (text: string, progress: number) =>
    heatmapWeightAt(heatmapWeight(text), Math.floor(progress), progress);

  test('is a number, a ramp from 0 within an epoch too, or holds from its epoch on', () => {
    expect([at('0.7', 0), at('0.7', 9)]).toEqual([0.7, 0.7]);
    expect([0, 1.5, 3, 8].map((progress) => at('ramp:0.6:3', progress))).toEqual([0, 0.3, 0.6, 0.6]);
    expect([0, 4.9, 5, 12].map((progress) => at('0:0.3,5:0.7', progress))).toEqual([0.3, 0.3, 0.7, 0.7]);
    expect(finalHeatmapWeight(heatmapWeight('0:0.3,5:0.7'), 6)).toBe(0.7);
  });

  test('has a value for the first epoch, and none outside [0, 1]', () => {
    expect(() => at('1:0.3,5:0.7', 6)).toThrow('has no value for epoch 0; add it');
    expect(() => at('0:0.3,5:1.7', 6)).toThrow('the heatmap loss has weight 1.7; use 0 to 1');
  });
});

test('a stage with a running range goes on after an interruption as if there had been none', async () => {
  const config = completeConfig([
    {
      method: 'isnet',
      model: { blocks: [{ channels: 2, kernel: 3, stride: 2 }], hidden: [] },
      isnet: { epochs: 2, batchSize: 2, variant: 'dual', deepSupervision: ['classifier'], range: 'running' },
    },
  ]);
  const train: Dataset = {
    images: Float32Array.from({ length: 6 * 64 }, (_, i) => 0.5 + 0.49 * Math.sin(2.3 * i)),
    masks: Float32Array.from({ length: 6 * 64 }, (_, i) => (i % 8 < 4 ? 1 : 0)),
    labels: Uint8Array.of(0, 1, 2, 0, 1, 2),
    count: 6,
    channels: 1,
    height: 8,
    width: 8,
    classNames: ['a', 'b', 'c'],
  };
  const sets = { validation: train, biased: train, unbiased: train, deceiving: train };
  const data = markerSplits({ train, ...sets });
  const [stage] = stagesOf(config);
  const run = async (name: string, { stopsEarly = false, saved = null as SavedState | null } = {}) => {
    const folder = await createRunFolder(join(runs, name));
    await clearRunFolder(folder);
    const controller = new AbortController();
    const context: RunContext = {
      config,
      device: new CpuDevice(),
      folder,
      data,
      signal: controller.signal,
      elapsed: () => 0,
      progress: ({ kind }) => {
        if (kind === 'epoch' && stopsEarly) controller.abort();
      },
    };
    await trainStage(context, stage, null, saved);
    return loadState(folder.state);
  };
  const whole = await run('whole');
  const cut = await run('cut', { stopsEarly: true });
  expect(cut.position.epoch).toBe(1);
  // Two depths times two rules, and three steps so far.
  expect(cut.runningRange?.filter((_, i) => i % 3 === 2)).toEqual([3, 3, 3, 3]);
  const resumed = await run('resumed', { saved: cut });
  // Files hold weights in f32, and the reference computes in f64.
  const digits = 5;
  expectClose(resumed.runningRange ?? [], whole.runningRange ?? [], digits);
  for (const [name, { data: expected }] of whole.model) {
    expectClose(resumed.model.get(name)?.data ?? [], expected, digits);
  }
  // Unlike a run that begins anew with its estimate.
  const forgetful = await run('forgetful', { saved: { ...cut, runningRange: undefined } });
  const [mu, other] = [whole, forgetful].map(({ runningRange = [] }) => runningRange[0]);
  expect(Math.abs(mu - other)).toBeGreaterThan(1e-3);
});
