// Comparisons: what seeds say together, the files of cells, the tables and the page.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../engine/errors.ts';
import { fashionMarker } from '../isnet/benchmarks/fashion.ts';
import { type CellResult, cellNames, cellPath, readCell, writeCell } from '../isnet/compare/cell.ts';
import { imagesOf } from '../isnet/compare/make-cell.ts';
import { comparisonPage } from '../isnet/compare/page.ts';
import { cellOptions, claimFolder, completeSettings, defaultComparison } from '../isnet/compare/settings.ts';
import { spreadOf, summarizeCells } from '../isnet/compare/summary.ts';
import { csvOfCells, markdownTables } from '../isnet/compare/tables.ts';
import { RunFolderError } from '../isnet/run-folder.ts';
import { madeUpGarments } from './benchmark-pictures.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'compare-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const cell = (method: string, seed: number, biased: number, deceiving: number): CellResult => ({
  benchmark: 'mnist-marker',
  method,
  seed,
  accuracy: { biased, deceiving },
  backgroundShare: method === 'vision-transformer' ? null : 0.25,
  gradCamBackgroundShare: 0.5,
  trainSecondsPerImage: 0.002 * (seed + 1),
  inferenceMs: 1,
  parameters: { training: 12_345, runTime: 12_000 },
  adapter: 'An adapter',
  date: '2026-01-02T03:04:05.000Z',
  version: '1.2.3',
  commit: null,
  command: `isnet compare --methods ${method} --seeds ${seed}`,
});

test('the weights of the oracle are chosen by the validation images without the bias', async () => {
  const clothes = { train: madeUpGarments(3, 1), test: madeUpGarments(1, 2) };
  const size = { trainCount: 20, validationCount: 10, testCount: 10, seed: 0 };
  const benchmark = fashionMarker(clothes, size);
  const { validation, unbiased } = imagesOf(benchmark);
  const all = Array.from({ length: 10 }, (_, n) => n);
  expect((await validation?.batch(all))?.images).toEqual(benchmark.validation.images);
  expect((await unbiased?.validation?.batch(all))?.images).toEqual(benchmark.unbiasedValidation.images);
});

describe('seeds together', () => {
  test.each([
    // R: t.test(c(0.9, 0.8, 0.7))$conf.int and so on.
    [[0.9, 0.8, 0.7], 0.8, 0.1, 0.5515862, 1.0484138],
    [[1, 2, 3, 4], 2.5, 1.2909944, 0.4457397, 4.5542603],
  ])('%j: mean, deviation and the interval of Student', (values, mean, deviation, low, high) => {
    const spread = spreadOf(values);
    expect(spread.value).toBeCloseTo(mean, 9);
    expect(spread.deviation).toBeCloseTo(deviation, 6);
    expect(spread.low).toBeCloseTo(low, 6);
    expect(spread.high).toBeCloseTo(high, 6);
  });

  test('of many seeds the interval goes by the expansion of the quantile', () => {
    // R: qt(0.975, 39) is 2.022691, qt(0.975, 99) is 1.984217.
    for (const [n, quantile] of [
      [40, 2.022691],
      [100, 1.984217],
    ]) {
      const { high, value, deviation } = spreadOf(Array.from({ length: n }, (_, i) => i));
      const half = (high ?? 0) - (value ?? 0);
      expect((half * Math.sqrt(n)) / (deviation ?? 0)).toBeCloseTo(quantile, 4);
    }
  });

  test('one seed has no interval, and none has nothing', () => {
    expect(spreadOf([0.5])).toEqual({ value: 0.5, low: null, high: null, deviation: null, count: 1 });
    expect(spreadOf([])).toEqual({ value: null, low: null, high: null, deviation: null, count: 0 });
  });

  test('are grouped by benchmark and method, and shares stay shares', () => {
    const summaries = summarizeCells([
      cell('classifier', 0, 0.99, 0.4),
      cell('rrr', 0, 0.9, 0.8),
      cell('classifier', 1, 1, 0.5),
    ]);
    expect(summaries.map(({ method, seeds }) => [method, seeds])).toEqual([
      ['classifier', [0, 1]],
      ['rrr', [0]],
    ]);
    const [{ accuracy, trainMsPerImage, commands }] = summaries;
    expect(accuracy.deceiving.value).toBeCloseTo(0.45, 12);
    expect(accuracy.biased.high).toBe(1);
    expect(trainMsPerImage.value).toBeCloseTo(3, 12);
    expect(commands).toEqual([
      'isnet compare --methods classifier --seeds 0',
      'isnet compare --methods classifier --seeds 1',
    ]);
  });

  test('a background share that one seed has not is none', () => {
    const [{ backgroundShare }] = summarizeCells([cell('vision-transformer', 0, 0.9, 0.4)]);
    expect(backgroundShare).toBeNull();
  });
});

describe('cells', () => {
  test('come seed by seed', () => {
    expect(
      cellNames(['a', 'b'], ['x', 'y'], [0, 1]).map((c) => `${c.benchmark}${c.method}${c.seed}`),
    ).toEqual(['ax0', 'ay0', 'bx0', 'by0', 'ax1', 'ay1', 'bx1', 'by1']);
  });

  test('are found again, and nothing where none was made', async () => {
    const result = cell('rrr', 3, 0.9, 0.8);
    expect(await readCell(folder, result)).toBeNull();
    await writeCell(folder, result);
    expect(await readCell(folder, result)).toEqual(result);
    expect(await readCell(folder, { ...result, seed: 4 })).toBeNull();
  });

  test.each(['{}', '[]', 'null', '{"benchmark": "mnist-marker"}'])(
    'a damaged one (%s) is named',
    async (text) => {
      const result = cell('rrr', 3, 0.9, 0.8);
      const path = cellPath(folder, result);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      await expect(readCell(folder, result)).rejects.toThrow(RunFolderError);
      await expect(readCell(folder, result)).rejects.toThrow(/3\.json' is no result of that cell; delete it/);
    },
  );
});

describe('settings', () => {
  test('that are wrong are named as in a configuration', () => {
    expect(() => completeSettings({}, { epochs: 0 })).toThrow(/classifier.epochs is 0; use a whole number/);
    expect(() => completeSettings({ trainCount: 0 }, {})).toThrow(/data.trainCount is 0/);
    expect(() => completeSettings({ heatmapWeight: 1.5 }, {})).toThrow(/isnet.P is 1.5/);
  });

  test('of a folder stay as they are', async () => {
    await claimFolder(folder, defaultComparison);
    await claimFolder(folder, completeSettings({}, {}));
    const other = completeSettings({ trainCount: 17 }, { epochs: 9 });
    await expect(claimFolder(folder, other)).rejects.toThrow(UsageError);
    await expect(claimFolder(folder, other)).rejects.toThrow(
      /with other settings \(trainCount 8000, now 17, training.epochs 4, now 9\); give those/,
    );
  });

  test('of one cell are options of the command', () => {
    const name = { benchmark: 'mnist-marker', method: 'rrr', seed: 2 };
    expect(cellOptions(name, completeSettings({ testCount: 100 }, {}))).toBe(
      '--benchmarks mnist-marker --methods rrr --seeds 2 --networks small --train-count 8000 --validation-count 500 --test-count 100 --epochs 4 --batch-size 32 --lr 0.006 --heatmap-weight 0.7',
    );
  });
});

describe('tables', () => {
  const cells = [
    cell('classifier', 0, 0.98, 0.4),
    cell('classifier', 1, 1, 0.5),
    cell('vision-transformer', 0, 0.9, 0.3),
  ];
  const titles = { classifier: 'Ordinary <classifier>', 'mnist-marker': 'MNIST with a marker' };

  test('in Markdown', () => {
    expect(markdownTables(summarizeCells(cells), titles)).toBe(`### MNIST with a marker

| method | biased | deceiving | background relevance | Grad-CAM background | training ms per image | inference ms | parameters at run time | seeds |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| Ordinary <classifier> | 99.0 ± 1.4 | 45.0 ± 7.1 | 25.0 ± 0.0 | 50.0 ± 0.0 | 3.00 | 1.00 | 12,000 | 2 |
| vision-transformer | 90.0 | 30.0 | - | 50.0 | 2.00 | 1.00 | 12,000 | 1 |`);
  });

  test('in CSV, one line for each cell and test set', () => {
    const lines = parse(csvOfCells(cells), { columns: true }) as Record<string, string>[];
    expect(lines).toHaveLength(6);
    expect(lines[1]).toMatchObject({
      method: 'classifier',
      seed: '0',
      test_set: 'deceiving',
      accuracy: '0.4',
    });
    expect(lines[4].background_share).toBe('');
    expect(lines[5].command).toBe('isnet compare --methods vision-transformer --seeds 0');
  });

  test('on a page that escapes what it shows and loads nothing', () => {
    const page = comparisonPage({
      summaries: summarizeCells(cells),
      titles,
      bounds: new Set(['oracle']),
      setting: 'Little.',
      adapters: ['An adapter'],
      date: '2026-01-02T03:04:05.000Z',
    });
    expect(page).toContain('Ordinary &lt;classifier&gt;');
    expect(page).toContain('seed 0: isnet compare --methods classifier --seeds 0');
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/https?:|<script/);
  });
});
