// `isnet compare`: methods side by side on benchmarks, over seeds; finished cells are kept, so it can be stopped and repeated.
import { join } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../../engine/errors.ts';
import { writeFileAtomically } from '../../engine/files.ts';
import { benchmarkNamed } from '../benchmarks/index.ts';
import { type CellName, type CellResult, cellNames, readCell } from '../compare/cell.ts';
import { commitWarning, keepFirstCommit } from '../compare/commits.ts';
import { comparisonPage } from '../compare/page.ts';
import { runCells } from '../compare/processes.ts';
import {
  type ComparisonSettings,
  cellOptions,
  claimFolder,
  completeSettings,
  defaultComparison,
  networkSizes,
} from '../compare/settings.ts';
import { summarizeCells } from '../compare/summary.ts';
import { csvOfCells, markdownCommands, markdownShares, markdownTables } from '../compare/tables.ts';
import { methods as allMethods, methodNamed } from '../rivals/index.ts';
import { RunFolderError, writeJson } from '../run-folder.ts';
import { decimal, names, once, range as rangeOption, wholeNumber, wholeNumbers } from './parse.ts';
import { commandLine, exitCodes, withInterrupt } from './session.ts';

interface CompareOptions {
  readonly benchmarks: string[];
  readonly methods: string[];
  readonly seeds: number[];
  readonly networks: ComparisonSettings['networks'];
  readonly trainCount: number;
  readonly validationCount: number;
  readonly testCount: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly negativeSlope?: number;
  readonly heatmapWeight: number;
  readonly range: ComparisonSettings['range'];
  readonly jobs: number;
  readonly output: string;
}

const examples = `
Examples:
  isnet compare                                             all methods on MNIST with a marker, one seed
  isnet compare --methods classifier,isnet-stochastic --seeds 0,1,2
  isnet compare --benchmarks mnist-marker,fashion-marker --seeds 0,1,2 --jobs 2

Cells that are finished are kept: the same command goes on where Ctrl-C stopped it, and more methods, benchmarks or seeds
are added to the same tables.`;

/** Adds `isnet compare`; `done` takes the exit code. */
export function addCompareCommand(program: Command, done: (exitCode: number) => void): void {
  const { training, ...counts } = defaultComparison;
  program
    .command('compare')
    .description('train methods that ignore backgrounds, and those that do not, and put them side by side')
    .option('--benchmarks <names>', 'benchmarks, separated by commas', once(names), ['mnist-marker'])
    .option(
      '--methods <names>',
      'methods, separated by commas',
      once(names),
      allMethods.map(({ name }) => name),
    )
    .option('--seeds <numbers>', 'seeds, separated by commas', once(wholeNumbers), [0])
    .addOption(
      program
        .createOption(
          '--networks <size>',
          'small classifiers, larger ones for grounds full of texture, or the networks of the papers',
        )
        .choices(networkSizes)
        .default(counts.networks),
    )
    .option('--train-count <n>', 'training images', once(wholeNumber), counts.trainCount)
    .option('--validation-count <n>', 'validation images', once(wholeNumber), counts.validationCount)
    .option('--test-count <n>', 'images in each test set', once(wholeNumber), counts.testCount)
    .option('--epochs <n>', 'epochs of each training', once(wholeNumber), training.epochs)
    .option('--batch-size <n>', 'images per step', once(wholeNumber), training.batchSize)
    .option('--lr <rate>', 'learning rate', once(decimal), training.learningRate)
    .option(
      '-P, --heatmap-weight <P>',
      'weight of the heatmap loss in all ISNets',
      once(decimal),
      counts.heatmapWeight,
    )
    .option(
      '--range <C1,C2>',
      'range of the foreground relevance in all ISNets, or natural, or running',
      once(rangeOption),
      counts.range,
    )
    .option(
      '--negative-slope <x>',
      `slope below 0 of the ReLUs in classifiers, 0 for plain ones (default: ${counts.negativeSlope}; 0 for published ones)`,
      once(decimal),
    )
    .option('--jobs <n>', 'trainings at a time', once(wholeNumber), 1)
    .option('--output <folder>', 'where cells, tables and the page are kept', 'comparison')
    .addHelpText('after', examples)
    .action(async (options: CompareOptions) => done(await compare(options)));
}

async function compare(options: CompareOptions): Promise<number> {
  const { benchmarks, methods, seeds, output, jobs } = options;
  if (jobs < 1) throw new UsageError(`compare: --jobs is ${jobs}; use a whole number from 1 up`);
  const settings = settingsOf(options);
  for (const name of benchmarks) benchmarkNamed(name);
  for (const name of methods) methodNamed(name);
  await claimFolder(output, settings);
  const cells = cellNames(benchmarks, methods, seeds);
  const isMissing = await Promise.all(cells.map(async (name) => (await readCell(output, name)) === null));
  const missing = cells.filter((_, i) => isMissing[i]);
  if (missing.length < cells.length)
    console.log(`finished already: ${cells.length - missing.length} of ${cells.length}`);
  const failures = await makeCells(missing, settings, output, jobs);
  await writeTables(output, cells, settings);
  if (failures === null) {
    console.log('interrupted: the same command goes on');
    return exitCodes.interrupted;
  }
  for (const failure of failures) console.error(`error: ${failure}`);
  return failures.length > 0 ? exitCodes.failure : exitCodes.success;
}

function settingsOf(options: CompareOptions): ComparisonSettings {
  const { epochs, batchSize, lr } = options;
  const { networks, trainCount, validationCount, testCount, negativeSlope, heatmapWeight, range } = options;
  return completeSettings(
    { networks, trainCount, validationCount, testCount, negativeSlope, heatmapWeight, range },
    { epochs, batchSize, learningRate: lr },
  );
}

const describe = ({ benchmark, method, seed }: CellName): string => `${benchmark}, ${method}, seed ${seed}`;

/** What failed; null if the user ended it. */
async function makeCells(
  missing: readonly CellName[],
  settings: ComparisonSettings,
  folder: string,
  jobs: number,
): Promise<string[] | null> {
  const failures: string[] = [];
  const seconds: number[] = [];
  const tasks = missing.map((name) => ({
    folder,
    name,
    settings,
    command: commandLine(`compare ${cellOptions(name, settings)}`),
  }));
  const isAborted = await withInterrupt(
    console.log,
    async (signal) => {
      await runCells({
        tasks,
        jobs,
        signal,
        async onOutcome(outcome) {
          seconds.push(outcome.seconds);
          if (outcome.error !== null) failures.push(`${describe(outcome.name)}: ${outcome.error}`);
          const mean = seconds.reduce((a, b) => a + b, 0) / seconds.length;
          const left = ((missing.length - seconds.length) * mean) / Math.min(jobs, missing.length);
          console.log(
            `${seconds.length}/${missing.length}  ${describe(outcome.name)}: ${outcome.error ?? `${await accuracyLine(folder, outcome.name)}, ${outcome.seconds.toFixed(0)} s`}; about ${Math.ceil(left / 60)} min left`,
          );
        },
      });
      return signal.aborted;
    },
    'what is unfinished is given up',
  );
  return isAborted ? null : failures;
}

async function accuracyLine(folder: string, name: CellName): Promise<string> {
  const { accuracy } = (await readCell(folder, name)) as CellResult;
  return Object.entries(accuracy)
    .map(([set, share]) => `${set} ${(100 * share).toFixed(1)} %`)
    .join(', ');
}

/** Writes the tables of all finished cells among those asked for, and prints the first kind. */
async function writeTables(
  folder: string,
  names: readonly CellName[],
  settings: ComparisonSettings,
): Promise<void> {
  const cells = (await Promise.all(names.map((name) => readCell(folder, name)))).filter(
    (cell) => cell !== null,
  );
  if (cells.length === 0) return;
  const summaries = summarizeCells(cells);
  const titles = Object.fromEntries([
    ...allMethods.map(({ name, title }) => [name, title]),
    ...summaries.map(({ benchmark }) => [benchmark, benchmarkNamed(benchmark).title]),
  ]);
  const { networks, trainCount, testCount, training } = settings;
  const setting = `${trainCount} training and ${testCount} test images, ${training.epochs} epochs of batches of ${training.batchSize}, ${networks} networks, the same for all methods; weights by the lowest validation loss on biased images (the oracle's on unbiased ones). Accuracies in per cent, mean ± standard deviation over seeds (95 % interval of the mean).`;
  const markdown = `${markdownTables(summaries, titles)}\n\n${markdownShares(summaries, titles)}`;
  const warning = commitWarning(cells, await keepFirstCommit(folder, cells));
  const page = comparisonPage({
    summaries,
    titles,
    bounds: new Set(allMethods.filter(isBound).map(({ name }) => name)),
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
  console.log(
    `\n${markdown}\n\ntables: ${join(folder, 'table.md')}, cells.csv, summary.json, comparison.html`,
  );
  if (warning !== null) console.error(warning);
}

/** What cells were made with, each thing once. */
function distinct<T>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}

/** Shown what the competitors are not. */
const isBound = ({ data, needsMasksAtTest }: (typeof allMethods)[number]): boolean =>
  data === 'unbiased' || needsMasksAtTest;
