// Comparisons: what seeds say together, the tables and the page.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TrainingError, UsageError } from '../engine/errors.ts';
import { fashionMarker } from '../isnet/benchmarks/fashion.ts';
import type { CellResult } from '../isnet/compare/cell.ts';
import { commitWarning, keepFirstCommit } from '../isnet/compare/commits.ts';
import { imagesOf, orNull } from '../isnet/compare/make-cell.ts';
import { comparisonPage } from '../isnet/compare/page.ts';
import { claimFolder, defaultComparison } from '../isnet/compare/settings.ts';
import { spreadOf, summarizeCells } from '../isnet/compare/summary.ts';
import { csvOfCells, markdownCommands, markdownShares, markdownTables } from '../isnet/compare/tables.ts';
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
  jobs: 1,
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

test('a number that a network cannot have is null, and the reason is told', async () => {
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const measured = (error: Error) => orNull('Grad-CAM', log, () => Promise.reject(error));
  expect(await measured(new UsageError('gradCam: no feature maps; name a module'))).toBeNull();
  await expect(measured(new TrainingError('step 3: NaN'))).rejects.toThrow('NaN');
  expect(await orNull('LRP', log, async () => 0.5)).toBe(0.5);
  expect(lines).toEqual(['no background share of Grad-CAM (gradCam: no feature maps; name a module)']);
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

describe('tables', () => {
  const cells = [
    cell('classifier', 0, 0.98, 0.4),
    cell('classifier', 1, 1, 0.5),
    cell('vision-transformer', 0, 0.9, 0.3),
  ];
  const titles = { classifier: 'Ordinary <classifier>', 'mnist-marker': 'MNIST with a marker' };

  test('in Markdown', () => {
    expect(markdownTables(summarizeCells(cells), titles)).toBe(`### MNIST with a marker

| method | biased | deceiving | training ms per image | inference ms | parameters at run time | seeds |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| Ordinary <classifier> | 99.0 ± 1.4 (86.3 to 100.0) | 45.0 ± 7.1 (0.0 to 100.0) | 3.00 ± 1.4 | 1.00 ± 0.0 | 12,000 | 2 |
| vision-transformer | 90.0 | 30.0 | 2.00 | 1.00 | 12,000 | 1 |`);
  });

  test('of the shares of LRP and Grad-CAM side by side, with intervals', () => {
    const others = [0.1, 0.2, 0.3].map((share, seed) => ({
      ...cell('rrr', seed, 0.9, 0.8),
      ...{ benchmark: 'fashion-marker', backgroundShare: share, gradCamBackgroundShare: null },
    }));
    // 0.2 -+ 4.3027 * 0.1 / sqrt(3) of three seeds is cut off at 0.
    expect(
      markdownShares(summarizeCells([...cells, ...others]), titles),
    ).toBe(`### Share of heatmaps in the background

| benchmark | method | LRP | Grad-CAM | empty maps of Grad-CAM | seeds |
| --- | --- | ---: | ---: | ---: | ---: |
| MNIST with a marker | Ordinary <classifier> | 25.0 ± 0.0 (25.0 to 25.0) | 50.0 ± 0.0 (50.0 to 50.0) | - | 2 |
| MNIST with a marker | vision-transformer | - | 50.0 | - | 1 |
| fashion-marker | rrr | 20.0 ± 10.0 (0.0 to 44.8) | - | - | 3 |

Where the empty maps of Grad-CAM are not known, some cell is by an older version: there they count as all background.`);
  });

  test('with the command of each row, or of each cell where more than seeds differ', () => {
    expect(markdownCommands(summarizeCells(cells))).toBe(`Commands that repeat the rows:

    isnet compare --methods classifier --seeds 0,1
    isnet compare --methods vision-transformer --seeds 0`);
    const other = { ...cells[1], command: 'node isnet/cli.ts compare --methods classifier --seeds 1' };
    expect(markdownCommands(summarizeCells([cells[0], other]))).toContain(
      '    isnet compare --methods classifier --seeds 0\n    node isnet/cli.ts compare --methods classifier --seeds 1',
    );
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
    const page = pageOf(cells);
    expect(page).toContain('Ordinary &lt;classifier&gt;');
    expect(page).toContain('seed 0: isnet compare --methods classifier --seeds 0');
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/https?:|<script/);
  });

  test('on a page that shows both shares of a method with their intervals', () => {
    const others = [0.1, 0.2, 0.3].map((share, seed) => ({
      ...cell('rrr', seed, 0.9, 0.8),
      ...{ backgroundShare: share, gradCamBackgroundShare: 1 - share },
    }));
    expect(pageOf(others)).toContain(
      '<td class="n">20.0 ± 10.0<small>0.0 to 44.8</small></td><td class="n">80.0 ± 10.0<small>55.2 to 100.0</small></td>',
    );
  });

  test('on a page with a chart for each number that some method has, best first, each to its own scale', () => {
    const slow = { ...cell('rrr', 0, 0.95, 0.8), inferenceMs: 8 };
    const page = pageOf([...cells, slow]);
    const charts = page.split('<svg').slice(1);
    expect(charts.map((chart) => /aria-label="(.*) with 95 % intervals"/.exec(chart)?.[1])).toEqual([
      'biased',
      'deceiving',
      'background relevance (LRP)',
      'background share of Grad-CAM',
      'training milliseconds per image',
      'inference milliseconds',
      'parameters at run time',
    ]);
    const titlesIn = (chart: string) =>
      [...chart.matchAll(/text-anchor="end">([^<\d][^<]*)</g)].map(([, t]) => t);
    expect(titlesIn(charts[0])).toEqual(['Ordinary &lt;classifier&gt;', 'rrr', 'vision-transformer']);
    // Relevance has no meaning in one of them.
    expect(titlesIn(charts[2])).toEqual(['Ordinary &lt;classifier&gt;', 'rrr']);
    expect(titlesIn(charts[5])).toEqual(['Ordinary &lt;classifier&gt;', 'vision-transformer', 'rrr']);
    // From 0 to 8 milliseconds, so 1 is an eighth of the way from 190 to 502.
    const places = [...charts[5].matchAll(/cx="([\d.]+)"/g)].map(([, place]) => place);
    expect(places).toEqual(['229.0', '229.0', '502.0']);
    expect(charts[4]).toContain('class="bar"');
    expect(charts[6]).not.toContain('class="bar"');
    expect(pageOf([{ ...slow, backgroundShare: null }])).not.toContain('background relevance (LRP)');
  });

  function pageOf(shown: readonly CellResult[]): string {
    return comparisonPage({
      summaries: summarizeCells(shown),
      titles,
      bounds: new Set(['oracle']),
      setting: 'Little.',
      adapters: ['An adapter'],
      warning: null,
      date: '2026-01-02T03:04:05.000Z',
    });
  }
});

describe('the commit of the first cell', () => {
  const [old, recent] = ['a', 'b'].map((digit) => digit.repeat(40));
  const made = (commit: string | null, date: string) => ({ commit, date: `2026-01-0${date}T00:00:00.000Z` });

  test('is kept beside the settings, which stay those of the folder', async () => {
    await claimFolder(folder, defaultComparison);
    expect(await keepFirstCommit(folder, [made(null, '1')])).toBeNull();
    expect(await keepFirstCommit(folder, [made(recent, '3'), made(old, '2'), made(null, '1')])).toBe(old);
    expect(await keepFirstCommit(folder, [made(recent, '1')])).toBe(old);
    expect(JSON.parse(readFileSync(join(folder, 'comparison.json'), 'utf8'))).toMatchObject({
      trainCount: 8000,
      commit: old,
    });
    await claimFolder(folder, defaultComparison);
  });

  test('is missed where a cell has another, and nowhere else', () => {
    const cells = [made(old, '1'), made(recent, '2'), made(recent, '3'), made(null, '4')];
    expect(commitWarning(cells, old)).toMatch(
      /^warning: these cells were made by 2 commits \(cells by commit: aaaaaaa: 1, bbbbbbb: 2\)/,
    );
    // None of these is by the first commit of the folder.
    expect(commitWarning(cells.slice(1), old)).toContain('aaaaaaa: 0, bbbbbbb: 2');
    expect(commitWarning([cells[0], cells[3]], old)).toBeNull();
    expect(commitWarning([cells[3]], null)).toBeNull();
    expect(pageWith(commitWarning(cells, old))).toContain('made by 2 commits');
  });

  const pageWith = (warning: string | null): string =>
    comparisonPage({
      ...{ summaries: [], titles: {}, bounds: new Set<string>(), setting: '', adapters: [] },
      ...{ warning, date: '2026-01-02T03:04:05.000Z' },
    });
});
