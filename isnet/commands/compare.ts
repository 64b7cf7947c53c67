// `isnet compare`: methods side by side on benchmarks, over seeds; finished cells are kept, so it can be stopped and repeated.
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../../engine/errors.ts';
import { benchmarkNamed } from '../benchmarks/index.ts';
import { type CellName, type CellResult, cellNames, cellPath, readCell, readCells } from '../compare/cell.ts';
import { openComparisonFolder, requireSourcesOf } from '../compare/folder.ts';
import { runCells } from '../compare/processes.ts';
import {
  type ComparisonSettings,
  cellOptions,
  claimFolder,
  completeSettings,
  defaultComparison,
  networkSizes,
} from '../compare/settings.ts';
import { writeTables } from '../compare/write-tables.ts';
import { methods as allMethods, methodNamed } from '../rivals/index.ts';
import { decimal, distinct, names, once, range as rangeOption, wholeNumber, wholeNumbers } from './parse.ts';
import { commandLine, exitCodes, quoted, withInterrupt } from './session.ts';

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
  readonly rightReasonsWeight: number;
  readonly jobs: number;
  readonly output: string;
}

const examples = `
Examples:
  isnet compare                                             all methods on MNIST with a marker, one seed
  isnet compare --methods classifier,isnet-stochastic --seeds 0,1,2
  isnet compare --benchmarks mnist-marker,fashion-marker --seeds 0,1,2 --jobs 2

Cells that are finished are kept: the same command goes on where Ctrl-C stopped it, and more methods, benchmarks or seeds
are added to the same tables, which show all cells in the folder.`;

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
    .option('--seeds <numbers>', 'seeds, separated by commas', once(distinct(wholeNumbers)), [0])
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
      '--right-reasons-weight <lambda>',
      'weight of the penalty of right-reasons, above 0',
      once(decimal),
      counts.rightReasonsWeight,
    )
    .option(
      '--negative-slope <x>',
      `slope below 0 of the ReLUs in classifiers, 0 for plain ones (default: ${counts.negativeSlope}; 0 for published ones)`,
      once(decimal),
    )
    .option('--jobs <n>', 'trainings at a time; times are comparable with 1 alone', once(wholeNumber), 1)
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
  const lock = await openComparisonFolder(output, console.log);
  try {
    return await complete(output, cellNames(benchmarks, methods, seeds), settings, jobs);
  } finally {
    await lock.release();
  }
}

/** Makes what is missing of these cells, and the tables of all that are there. Resolves to the exit code. */
async function complete(
  folder: string,
  cells: readonly CellName[],
  settings: ComparisonSettings,
  jobs: number,
): Promise<number> {
  const finished = new Set((await readCells(folder)).map((cell) => cellPath(folder, cell)));
  const missing = cells.filter((name) => !finished.has(cellPath(folder, name)));
  requireSourcesOf(missing.map(({ benchmark }) => benchmark));
  await claimFolder(folder, settings);
  if (missing.length < cells.length)
    console.log(
      `finished already: ${cells.length - missing.length} of ${cells.length}; another --output makes them again`,
    );
  const failures = await makeCells(missing, settings, folder, Math.min(jobs, missing.length));
  const tables = await writeTables(folder, settings);
  if (tables !== null) {
    const paths = `${join(folder, 'table.md')}, cells.csv, summary.json, comparison.html`;
    console.log(`\n${tables.text}\n\ntables: ${paths}`);
    if (tables.warning !== null) console.error(tables.warning);
  }
  if (failures === null) {
    console.log('interrupted: the same command goes on');
    return exitCodes.interrupted;
  }
  for (const failure of failures) console.error(`error: ${failure}`);
  return failures.length > 0 ? exitCodes.failure : exitCodes.success;
}

function settingsOf(options: CompareOptions): ComparisonSettings {
  const { epochs, batchSize, lr } = options;
  const { networks, trainCount, validationCount, testCount } = options;
  const { negativeSlope, heatmapWeight, range, rightReasonsWeight } = options;
  return completeSettings(
    {
      ...{ networks, trainCount, validationCount, testCount },
      ...{ negativeSlope, heatmapWeight, range, rightReasonsWeight },
    },
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
  // In the folder itself the cell would be finished already. By its name alone: a table is read elsewhere, too.
  const another = quoted(`${basename(resolve(folder))}-again`);
  const tasks = missing.map((name) => ({
    ...{ folder, name, settings, jobs },
    command: commandLine(`compare ${cellOptions(name, settings)} --output ${another}`),
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
          const left = ((missing.length - seconds.length) * mean) / jobs;
          console.log(
            `${seconds.length}/${missing.length}  ${describe(outcome.name)}: ${outcome.error ?? `${await accuracyLine(folder, outcome.name)}, ${outcome.seconds.toFixed(0)} s`}; about ${Math.ceil(left / 60)} min left`,
          );
          for (const remark of outcome.remarks) console.log(`  ${remark}`);
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
