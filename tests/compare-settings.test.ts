// The settings that all cells of a comparison share: what is refused, what they reach, and the options that repeat a cell.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { constant, full, readScalar, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { MetaDevice } from '../engine/meta-device.ts';
import type { Tensor } from '../engine/tensor.ts';
import {
  cellOptions,
  claimFolder,
  completeSettings,
  defaultComparison,
  methodsOf,
  networksOf,
} from '../isnet/compare/settings.ts';
import { methodNamed } from '../isnet/rivals/index.ts';
import { newFolder } from './command-line.ts';
import { initOn } from './small-nets.ts';

let folder: string;
beforeEach(() => {
  folder = newFolder();
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('settings', () => {
  test('that are wrong are named as in a configuration', () => {
    expect(() => completeSettings({}, { epochs: 0 })).toThrow(/classifier.epochs is 0; use a whole number/);
    expect(() => completeSettings({ trainCount: 0 }, {})).toThrow(/data.trainCount is 0/);
    expect(() => completeSettings({ heatmapWeight: 1.5 }, {})).toThrow(/isnet.P is 1.5/);
  });

  test('of a folder stay as they are', async () => {
    await claimFolder(folder, defaultComparison);
    await claimFolder(folder, completeSettings({}, {}));
    const older = JSON.parse(readFileSync(join(folder, 'comparison.json'), 'utf8'));
    delete older.negativeSlope;
    delete older.range;
    delete older.rightReasonsWeight;
    writeFileSync(join(folder, 'comparison.json'), JSON.stringify(older));
    await claimFolder(folder, completeSettings({ negativeSlope: 0 }, {}));
    await expect(claimFolder(folder, completeSettings({}, {}))).rejects.toThrow(/negativeSlope 0, now 0.1/);
    const heavier = completeSettings({ negativeSlope: 0, rightReasonsWeight: 1 }, {});
    await expect(claimFolder(folder, heavier)).rejects.toThrow(/\(rightReasonsWeight 0.1, now 1\); give/);
    const other = completeSettings({ trainCount: 17, negativeSlope: 0 }, { epochs: 9 });
    await expect(claimFolder(folder, other)).rejects.toThrow(UsageError);
    await expect(claimFolder(folder, other)).rejects.toThrow(
      /with other settings \(trainCount 8000, now 17, training.epochs 4, now 9\); give those/,
    );
  });

  test('name a range of the relevance and larger networks', () => {
    const settings = completeSettings({ networks: 'medium', range: { C1: 1, C2: 25 } }, {});
    const name = { benchmark: 'mnist-marker', method: 'rrr', seed: 2 };
    expect(cellOptions(name, settings)).toMatch(/--networks medium .* --negative-slope 0.1 --range 1,25$/);
    expect(() => completeSettings({ range: { C1: 2, C2: 1 } }, {})).toThrow(/isnet.range is/);
  });

  test('name the weight of RRR, and those of the ISNets, which their losses show', () => {
    const settings = completeSettings({ heatmapWeight: 0.8, rightReasonsWeight: 0.5 }, {});
    const name = { benchmark: 'mnist-marker', method: 'right-reasons', seed: 2 };
    expect(cellOptions(name, settings)).toContain(' --right-reasons-weight 0.5');
    const made = (method: string) => methodNamed(method, methodsOf(settings));
    expect(made('isnet-dual').loss).toMatch(/P = 0.8$/);
    expect(made('right-reasons').loss).toMatch(/lambda = 0.5$/);
    for (const rightReasonsWeight of [0, -1, Number.NaN]) {
      expect(() => completeSettings({ rightReasonsWeight }, {})).toThrow(
        `compare: --right-reasons-weight is ${rightReasonsWeight}; use a number above 0`,
      );
    }
  });

  test.each([0.1, 0.5])('reach the penalty of RRR: %d', async (rightReasonsWeight) => {
    const settings = completeSettings({ rightReasonsWeight }, {});
    const init = initOn(new CpuDevice());
    const { device } = init;
    const input = { channels: 1, height: 12, width: 12, classNames: ['a', 'b'] };
    const { phases } = methodNamed('right-reasons', methodsOf(settings)).plan({
      init,
      input,
      networks: networksOf(settings),
    });
    const [{ model, objective }] = phases;
    const losses = objective(model, {
      images: full(device, [1, 1, 12, 12], 0.5),
      targets: tensor(device, [1, 0], [1, 2]),
      masks: full(device, [1, 1, 12, 12], 0),
      ...{ P: constant(device, 0), key: full(device, [2], 0) },
    });
    const { total: all, classification: ofAnswers, heatmap } = losses;
    const total = await readScalar(all);
    const classification = await readScalar(ofAnswers);
    const penalty = await readScalar(heatmap as Tensor);
    expect(penalty).toBeGreaterThan(0);
    expect((total - classification) / penalty).toBeCloseTo(rightReasonsWeight, 9);
  });

  test('name leaky ReLUs', () => {
    const layersWith = (negativeSlope: number) => {
      const classifier = networksOf(completeSettings({ negativeSlope }, {})).classifier(
        initOn(new CpuDevice()),
        {
          channels: 1,
          height: 28,
          width: 28,
          classNames: ['a', 'b'],
        },
      );
      return [...classifier.namedModules()].map(([, module]) => module.constructor.name);
    };
    expect(layersWith(0)).not.toContain('LeakyReLU');
    expect(layersWith(0.1)).not.toContain('ReLU');
    expect(completeSettings({}, {}).negativeSlope).toBe(0.1);
    expect(completeSettings({ networks: 'published' }, {}).negativeSlope).toBe(0);
    expect(() => completeSettings({ negativeSlope: 1 }, {})).toThrow(/model.negativeSlope is 1/);
  });

  test('make the DenseNets among published networks leaky, and leave the others as published', () => {
    const settings = completeSettings({ networks: 'published', negativeSlope: 0.1 }, {});
    const networks = networksOf(settings);
    const input = { channels: 3, height: 224, width: 224, classNames: ['a', 'b'] };
    const kindsOf = (
      kind: 'classifier' | 'ham' | 'unet' | 'multiTask' | 'attentionGated' | 'transformer',
    ) => {
      // Shapes alone: the weights of all of them would take a minute to draw.
      const modules = networks[kind](initOn(new MetaDevice()), input).namedModules();
      const kinds = modules.map(([, module]) => module.constructor.name);
      return ['LeakyReLU', 'ReLU'].map((name) => kinds.filter((other) => other === name).length);
    };
    expect(kindsOf('classifier')).toEqual([121, 0]);
    // The last one stands behind HAM's own attention.
    expect(kindsOf('ham')).toEqual([121, 1]);
    for (const kind of ['unet', 'multiTask', 'attentionGated', 'transformer'] as const) {
      expect(kindsOf(kind)[0], kind).toBe(0);
    }
    const name = { benchmark: 'mnist-marker', method: 'rrr', seed: 2 };
    expect(cellOptions(name, settings)).toMatch(/--networks published .* --negative-slope 0.1$/);
  });

  test('of one cell are options of the command', () => {
    const name = { benchmark: 'mnist-marker', method: 'rrr', seed: 2 };
    expect(cellOptions(name, completeSettings({ testCount: 100 }, {}))).toBe(
      '--benchmarks mnist-marker --methods rrr --seeds 2 --networks small --train-count 8000 --validation-count 500 --test-count 100 --epochs 4 --batch-size 32 --lr 0.006 --heatmap-weight 0.7 --right-reasons-weight 0.1 --negative-slope 0.1',
    );
  });
});
