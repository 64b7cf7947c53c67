// The background share of Grad-CAM, where many maps are empty: what it is a mean of, and how tables say so.
import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { TrainingError } from '../engine/errors.ts';
import type { CellResult } from '../isnet/compare/cell.ts';
import { comparisonPage } from '../isnet/compare/page.ts';
import { summarizeCells } from '../isnet/compare/summary.ts';
import { csvOfCells, markdownShares } from '../isnet/compare/tables.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { gradCamBackground } from '../isnet/evaluation/grad-cam-background.ts';
import { Conv2d, Flatten, Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { initOn } from './small-nets.ts';

const device = new CpuDevice();

/**
 * Maps A = 2x of images a b over c d, and logits A_a + A_b and A_c + A_d - 3 A_a. The mean slope of the first is 1/2: its
 * Grad-CAM is x. That of the second is -1/4: its Grad-CAM is empty.
 */
function model(scale = 2): Sequential {
  const init = initOn(device);
  const conv = new Conv2d(init, 1, 1, 1, { bias: false });
  assign(conv.weight, tensor(device, [scale], [1, 1, 1, 1]));
  const linear = new Linear(init, 4, 2, { bias: false });
  assign(linear.weight, tensor(device, [1, 1, 0, 0, -3, 0, 1, 1], [2, 4]));
  return new Sequential(conv, new Flatten(), linear);
}

/** Of the first logit; of the second; black; of the first. The left column is the object. */
const images: Dataset = {
  images: Float32Array.from(
    [
      [0.9, 0.1, 0, 0.2],
      [0, 0.1, 0.6, 0.2],
      [0, 0, 0, 0],
      [0.5, 0.5, 0, 0],
    ].flat(),
  ),
  masks: Float32Array.from([0, 1, 2, 3].flatMap(() => [1, 0, 1, 0])),
  labels: Uint8Array.of(0, 1, 1, 0),
  count: 4,
  channels: 1,
  height: 2,
  width: 2,
  classNames: ['upper', 'lower'],
};

const of = (n: number): Dataset => ({
  ...images,
  ...{ images: images.images.slice(4 * n, 4 * n + 4), masks: images.masks.slice(0, 4) },
  ...{ labels: images.labels.slice(n, n + 1), count: 1 },
});

describe('the background share of Grad-CAM', () => {
  test('is the mean over maps that are not empty, which are counted', async () => {
    const net = model().train();
    const { share, maps } = await gradCamBackground(device, net, memorySource(images));
    expect(share).toBeCloseTo((0.3 / 1.2 + 0.5) / 2, 6);
    expect(maps).toEqual({ explained: 4, empty: 2 });
    expect(net.isTraining).toBe(true);
  });

  test('is none where all maps are empty', async () => {
    const found = await gradCamBackground(device, model(), memorySource(of(1)));
    expect(found).toEqual({ share: null, maps: { explained: 1, empty: 1 } });
  });

  test('leaves out images without a mask', async () => {
    const source = memorySource({ ...images, hasMask: Uint8Array.of(1, 0, 1, 0) });
    const { share, maps } = await gradCamBackground(device, model(), source);
    expect(share).toBeCloseTo(0.25, 6);
    expect(maps).toEqual({ explained: 2, empty: 1 });
  });

  test('refuses a map that is NaN, which is not empty', async () => {
    const work = gradCamBackground(device, model(Number.NaN), memorySource(images));
    await expect(work).rejects.toThrow(TrainingError);
  });
});

describe('cells', () => {
  const cell = (method: string, seed: number, gradCamMaps?: CellResult['gradCamMaps']): CellResult => ({
    ...{ benchmark: 'mnist-marker', method, seed, accuracy: { biased: 1 } },
    ...{ backgroundShare: 0.25, gradCamBackgroundShare: 0.5 },
    ...(gradCamMaps ? { gradCamMaps } : {}),
    ...{ trainSecondsPerImage: 0.002, inferenceMs: 1, parameters: { training: 2, runTime: 1 } },
    ...{ adapter: 'An adapter', date: '2026-01-02T03:04:05.000Z', version: '1.2.3', commit: null },
    command: 'isnet compare',
  });
  const maps = { explained: 200, empty: 14 };
  const counted = [cell('classifier', 0, maps), cell('classifier', 1, { explained: 200, empty: 0 })];
  const older = [cell('gain', 0, maps), cell('gain', 1)];
  const note = /Where the empty maps of Grad-CAM are not known, some cell is by an older version/;

  test('say in tables how many maps of all seeds were empty', () => {
    expect(markdownShares(summarizeCells(counted), {})).toBe(`### Share of heatmaps in the background

| benchmark | method | LRP | Grad-CAM | empty maps of Grad-CAM | seeds |
| --- | --- | ---: | ---: | ---: | ---: |
| mnist-marker | classifier | 25.0 ± 0.0 (25.0 to 25.0) | 50.0 ± 0.0 (50.0 to 50.0) | 3.5 | 2 |`);
    const lines = parse(csvOfCells([...counted, ...older]), { columns: true }) as Record<string, string>[];
    expect(lines.map((line) => line.grad_cam_empty_maps)).toEqual(['14', '0', '14', '']);
    expect(lines[0].grad_cam_maps).toBe('200');
  });

  test('by versions that took empty maps for background are told apart', () => {
    const table = markdownShares(summarizeCells([...counted, ...older]), {});
    expect(table).toContain(
      '| mnist-marker | gain | 25.0 ± 0.0 (25.0 to 25.0) | 50.0 ± 0.0 (50.0 to 50.0) | - | 2 |',
    );
    expect(table).toMatch(note);
  });

  test('say so on the page, too', () => {
    const pageOf = (cells: readonly CellResult[]) =>
      comparisonPage({
        ...{ summaries: summarizeCells(cells), titles: {}, bounds: new Set<string>(), setting: '' },
        ...{ adapters: [], warning: null, date: '2026-01-02T03:04:05.000Z' },
      });
    expect(pageOf(counted)).toContain('<td class="n">3.5</td>');
    expect(pageOf(counted)).not.toMatch(note);
    expect(pageOf(older)).toMatch(note);
  });

  test('without feature maps have nothing to say of it', () => {
    const none = { ...cell('vision-transformer', 0), gradCamBackgroundShare: null };
    expect(markdownShares(summarizeCells([none]), {})).not.toMatch(note);
  });
});
