// Writes what all cells of a folder say together, in every form: text, table, JSON and page.
import { join } from 'node:path';
import { writeFileAtomically } from '../../engine/files.ts';
import { benchmarks } from '../benchmarks/index.ts';
import { methods } from '../rivals/index.ts';
import type { Method } from '../rivals/method.ts';
import { RunFolderError, writeJson } from '../run-folder.ts';
import { type CellResult, readCells } from './cell.ts';
import { commitWarning, keepFirstCommit } from './commits.ts';
import { comparisonPage } from './page.ts';
import type { ComparisonSettings } from './settings.ts';
import { summarizeCells } from './summary.ts';
import { csvOfCells, jobsText, markdownCommands, markdownShares, markdownTables } from './tables.ts';

/** What a terminal shows of the tables. */
export interface WrittenTables {
  /** Markdown, and below it what is to be known of the times. */
  readonly text: string;
  readonly warning: string | null;
}

/** Writes the tables of all finished cells in the folder, which share these settings; null if there is none. */
export async function writeTables(
  folder: string,
  settings: ComparisonSettings,
): Promise<WrittenTables | null> {
  const cells = inOrder(await readCells(folder));
  if (cells.length === 0) return null;
  const summaries = summarizeCells(cells);
  const titles = Object.fromEntries(
    [...methods, ...namedBenchmarks()].map(({ name, title }) => [name, title]),
  );
  const { networks, trainCount, testCount, training } = settings;
  const jobs = jobsText(cells);
  const setting = `${trainCount} training and ${testCount} test images, ${training.epochs} epochs of batches of ${training.batchSize}, ${networks} networks, the same for all methods; weights by the lowest validation loss on biased images (the oracle's on unbiased ones). Accuracies in per cent, mean ± standard deviation over seeds (95 % interval of the mean). ${jobs}`;
  const markdown = `${markdownTables(summaries, titles)}\n\n${markdownShares(summaries, titles)}`;
  const warning = commitWarning(cells, await keepFirstCommit(folder, cells));
  const page = comparisonPage({
    summaries,
    titles,
    bounds: new Set(methods.filter(isBound).map(({ name }) => name)),
    setting,
    adapters: [...new Set(cells.map(({ adapter }) => adapter))],
    warning,
    date: new Date().toISOString(),
  });
  const style = { where: 'compare', error: RunFolderError } as const;
  const parts = [setting, ...(warning === null ? [] : [warning]), markdown, markdownCommands(summaries)];
  await writeFileAtomically(join(folder, 'table.md'), `${parts.join('\n\n')}\n`, style);
  await writeFileAtomically(join(folder, 'cells.csv'), csvOfCells(cells), style);
  const origins = cells.map(({ adapter, version, commit }) => ({ adapter, version, commit }));
  await writeJson(join(folder, 'summary.json'), { settings, origins: distinct(origins), summaries, cells });
  await writeFileAtomically(join(folder, 'comparison.html'), page, style);
  return { text: `${markdown}\n\n${jobs}`, warning };
}

const namedBenchmarks = () => [...benchmarks].map(([name, { title }]) => ({ name, title }));

/** By benchmark and method in the order of the catalogues, so that rows do not move when cells are added; then by seed. */
function inOrder(cells: readonly CellResult[]): CellResult[] {
  const benchmarkNames = [...benchmarks.keys()];
  const methodNames = methods.map(({ name }) => name);
  return cells.toSorted(
    (a, b) =>
      benchmarkNames.indexOf(a.benchmark) - benchmarkNames.indexOf(b.benchmark) ||
      methodNames.indexOf(a.method) - methodNames.indexOf(b.method) ||
      a.seed - b.seed,
  );
}

/** What cells were made with, each thing once. */
function distinct<T>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/** Shown what the competitors are not. */
const isBound = ({ data, needsMasksAtTest }: Method): boolean => data === 'unbiased' || needsMasksAtTest;
