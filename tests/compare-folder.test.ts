// The folder of a comparison: whose it is, its cells, the tables of all of them, and the data that must be there first.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataError } from '../engine/errors.ts';
import { type DataSource, type DataSourceName, dataSources } from '../isnet/benchmarks/files/sources.ts';
import {
  type CellResult,
  cellNames,
  cellPath,
  readCell,
  readCells,
  writeCell,
} from '../isnet/compare/cell.ts';
import { openComparisonFolder, requireSourcesOf } from '../isnet/compare/folder.ts';
import { claimFolder, defaultComparison } from '../isnet/compare/settings.ts';
import { writeTables } from '../isnet/compare/write-tables.ts';
import { RunFolderError } from '../isnet/run-folder.ts';
import { newFolder } from './command-line.ts';

let folder: string;
beforeEach(() => {
  folder = newFolder();
});
afterEach(() => rmSync(folder, { recursive: true }));

const cell = (method: string, seed: number): CellResult => ({
  ...{ benchmark: 'mnist-marker', method, seed, accuracy: { biased: 0.9 } },
  ...{ backgroundShare: 0.25, gradCamBackgroundShare: 0.5, trainSecondsPerImage: 0.002, inferenceMs: 1 },
  ...{ jobs: 1, parameters: { training: 12_345, runTime: 12_000 }, adapter: 'An adapter' },
  ...{ date: '2026-01-02T03:04:05.000Z', version: '1.2.3', commit: null },
  command: `isnet compare --methods ${method} --seeds ${seed}`,
});

describe('cells', () => {
  test('come seed by seed', () => {
    expect(
      cellNames(['a', 'b'], ['x', 'y'], [0, 1]).map((c) => `${c.benchmark}${c.method}${c.seed}`),
    ).toEqual(['ax0', 'ay0', 'bx0', 'by0', 'ax1', 'ay1', 'bx1', 'by1']);
  });

  test('are found again, and nothing where none was made', async () => {
    const result = cell('rrr', 3);
    expect(await readCell(folder, result)).toBeNull();
    await writeCell(folder, result);
    expect(await readCell(folder, result)).toEqual(result);
    expect(await readCell(folder, { ...result, seed: 4 })).toBeNull();
  });

  test.each(['{}', '[]', 'null', '{"benchmark": "mnist-marker"}', '', '{"benchmark":'])(
    'a damaged one (%s) is named',
    async (text) => {
      const result = cell('rrr', 3);
      const path = cellPath(folder, result);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      await expect(readCell(folder, result)).rejects.toThrow(RunFolderError);
      await expect(readCell(folder, result)).rejects.toThrow(/3\.json' is no result of that cell; delete it/);
    },
  );

  test('of a folder are all found, and nothing else beside them', async () => {
    expect(await readCells(folder)).toEqual([]);
    const all = [cell('rrr', 0), cell('rrr', 12), { ...cell('gain', 1), benchmark: 'fashion-marker' }];
    for (const result of all) await writeCell(folder, result);
    const beside = join(folder, 'cells', 'mnist-marker', 'rrr');
    for (const name of ['.half-written.tmp', 'notes.json', '0.json.bak'])
      writeFileSync(join(beside, name), '{');
    const found = await readCells(folder);
    expect(new Set(found)).toEqual(new Set(all));
    writeFileSync(join(beside, '12.json'), '{');
    await expect(readCells(folder)).rejects.toThrow(/12\.json' is no result of that cell; delete it/);
  });
});

describe('tables', () => {
  const rowsOf = (text: string): string[] =>
    [...text.matchAll(/^\| (?!method|benchmark|---)([^|]+) \|.* (\d+) \|$/gm)].map(
      ([, a, n]) => `${a}: ${n}`,
    );

  test('show all cells of the folder, in the order of the catalogues', async () => {
    await claimFolder(folder, defaultComparison);
    expect(await writeTables(folder, defaultComparison)).toBeNull();
    const all = [cell('isnet-dual', 0), cell('oracle', 1), cell('oracle', 0), cell('classifier', 0)];
    for (const result of all) await writeCell(folder, result);
    const tables = await writeTables(folder, defaultComparison);
    expect(rowsOf(tables?.text ?? '').slice(0, 3)).toEqual([
      'Ordinary classifier: 1',
      'Oracle (trained without the bias): 2',
      'Dual ISNet (z+ and epsilon): 1',
    ]);
    expect(readFileSync(join(folder, 'table.md'), 'utf8')).toContain('--methods oracle --seeds 0,1\n');
    const { cells } = JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8'));
    expect(cells).toHaveLength(4);
  });

  test('say how many trainings ran at a time, and mark times that others may have lengthened', async () => {
    await claimFolder(folder, defaultComparison);
    const { jobs: _, ...older } = cell('gain', 0);
    for (const result of [cell('classifier', 0), { ...cell('oracle', 0), jobs: 2 }, older])
      await writeCell(folder, result);
    const tables = await writeTables(folder, defaultComparison);
    const sentence =
      'Trainings at a time: 1, 2, unknown. Times marked * were taken while other trainings ran, or may have been: they can be several times too long.';
    expect(tables?.text).toContain(sentence);
    expect(tables?.text).toMatch(/^\| Ordinary classifier \| 90.0 \| 2.00 \| 1.00 \|/m);
    expect(tables?.text).toMatch(/^\| Oracle .* \| 90.0 \| 2.00 \* \| 1.00 \* \|/m);
    expect(tables?.text).toMatch(/^\| GAIN .* \| 90.0 \| 2.00 \* \| 1.00 \* \|/m);
    const page = readFileSync(join(folder, 'comparison.html'), 'utf8');
    expect(page).toContain(sentence);
    expect(page.match(/<td class="n">1.00 \*</g)).toHaveLength(2);
    // Of both charts of times, and of no other.
    expect(page.match(/Oracle [^<]* \*</g)).toHaveLength(2);
  });

  test('of cells that were made one at a time have no marks', async () => {
    await claimFolder(folder, defaultComparison);
    await writeCell(folder, cell('classifier', 0));
    const tables = await writeTables(folder, defaultComparison);
    expect(tables?.text).toMatch(/Trainings at a time: 1\.$/);
    expect(readFileSync(join(folder, 'comparison.html'), 'utf8')).not.toContain(' *<');
  });
});

describe('a folder', () => {
  test('that cannot be made is a RunFolderError that says what to do', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const [path, reason] of [
      [file, 'part of the path is a file'],
      [join(file, 'below'), 'part of the path is a file'],
    ]) {
      const opening = openComparisonFolder(path);
      await expect(opening).rejects.toThrow(RunFolderError);
      await expect(opening).rejects.toThrow(
        `compare: '${path}' cannot be written (${reason}); choose another --output or change its permissions`,
      );
    }
  });

  test("is one process's at a time", async () => {
    const lock = await openComparisonFolder(folder);
    const second = openComparisonFolder(folder);
    await expect(second).rejects.toThrow(RunFolderError);
    await expect(second).rejects.toThrow(
      new RegExp(`^compare: process ${process.pid} has been at work in '.*'.*, or pass another --output$`),
    );
    await lock.release();
    expect(existsSync(join(folder, '.lock'))).toBe(false);
    await (await openComparisonFolder(folder)).release();
  });
});

describe('data that are not here', () => {
  /** All sources from packages that nobody has, but those named. */
  const without = (...here: DataSourceName[]) => {
    const from = { kind: 'npm', package: 'isnet-nobody-has-this', version: '1.0.0', folder: '' } as const;
    const sources: Record<DataSourceName, DataSource> = { ...dataSources };
    for (const name of Object.keys(sources) as DataSourceName[]) sources[name] = { ...sources[name], from };
    for (const name of here) {
      mkdirSync(join(folder, name), { recursive: true });
      for (const file of Object.keys(sources[name].files)) writeFileSync(join(folder, name, file), '');
    }
    return { folder, sources };
  };

  test('are named once, with one command that fetches them', () => {
    const options = without('mnist');
    const asked = ['fashion-marker', 'mnist-marker', 'fashion-photos', 'fashion-marker'];
    expect(() => requireSourcesOf(asked, options)).toThrow(DataError);
    expect(() => requireSourcesOf(asked, options)).toThrow(
      "compare: not on this machine: Fashion-MNIST, photographs of garments (fashion-mnist); fifteen photographs (photos); run 'isnet data fetch fashion-marker fashion-photos'",
    );
  });

  test('do not matter to what is made of others', () => {
    requireSourcesOf(['mnist-marker'], without('mnist'));
    requireSourcesOf([], without());
  });
});
