// `npm run bench`: measures all cases, or some, on the best device of this machine.
import { Command } from 'commander';
import { UsageError } from '../engine/errors.ts';
import { openDevice } from '../engine/node-device.ts';
import { kernelTable } from '../isnet/kernel-profile.ts';
import { allCases, casesFor, pathOf, selectCases } from './all-cases.ts';
import { measureCeilings } from './ceiling.ts';
import { comparisonTable, readReport } from './compare.ts';
import { type BenchResult, measure } from './measure.ts';
import { type BenchReport, describeRun, originOf, resultFile, tableHead, tableRow } from './report.ts';
import { keepResults, runCommand } from './session.ts';
import { measureStartups, startupCases } from './startup.ts';

interface Options {
  readonly filter?: string;
  readonly json?: string | true;
  readonly quick?: boolean;
  readonly profile?: boolean;
  readonly list?: boolean;
  readonly compare?: readonly string[];
}

async function run(options: Options): Promise<void> {
  const { filter, json, quick: isQuick = false, profile: isProfiled = false } = options;
  const { cases, startups } = selectCases(filter);
  const device = await openDevice({ log: console.warn });
  try {
    const origin = originOf(device);
    const path = resultFile(json, origin);
    // Without timestamps it is refused now, and not after the first case.
    if (isProfiled) await device.profileDispatches(() => {});
    const ceilings = await measureCeilings(device);
    console.log(describeRun(origin, ceilings));
    console.log(
      `milliseconds per call, wall clock but for \`device\`${isQuick ? '; quick: do not publish' : ''}\n`,
    );
    console.log(tableHead());
    const results: BenchResult[] = [];
    const add = (result: BenchResult): void => {
      console.log(tableRow(result));
      results.push(result);
    };
    const feasible = casesFor(device.profile.family, cases);
    const measureAll = async (signal: AbortSignal): Promise<void> => {
      for (const bench of feasible) {
        if (signal.aborted) return;
        add(await measure(device, bench, { isQuick, ceilings, isProfiled }));
      }
      for await (const result of measureStartups(startups, { isQuick, signal })) add(result);
    };
    const report = (isComplete: boolean): BenchReport | null =>
      results.length === 0 ? null : { ...origin, isComplete, clock: 'wall', isQuick, ceilings, results };
    await keepResults(path, { measure: measureAll, report });
    const left = cases.filter((bench) => !feasible.includes(bench)).map(({ name }) => name);
    if (left.length > 0) console.log(`\nleft out on a software adapter: ${left.join(', ')}`);
    if (results.some(({ isNoisy }) => isNoisy)) {
      console.log('\nnoisy: p90 is more than 1.5 times the median; close other programs and measure again');
    }
    for (const { name, profile } of results) {
      if (profile) console.log(`\n${kernelTable({ name, run: 'call' }, profile)}`);
    }
  } finally {
    await device.close();
  }
}

function compare(paths: readonly string[]): void {
  if (paths.length !== 2) throw new UsageError(`bench: --compare got ${paths.length} files; give two`);
  const [before, after] = paths.map(readReport);
  console.log(comparisonTable(before, after));
}

function list(): void {
  for (const item of [...allCases, ...startupCases]) {
    const note = 'isLarge' in item && item.isLarge ? ', on GPUs only' : '';
    console.log(`${pathOf(item).padEnd(44)} ${item.size}${note}`);
  }
}

const command = new Command('bench')
  .description('Measure kernels and steps on this machine, after checking their results.')
  .option('--filter <texts>', 'only cases with one of these in family/name, separated by commas')
  .option('--json [file]', 'write the results (default file: bench/results/<date>-<adapter>.json)')
  .option('--quick', 'few short samples, to see that everything runs')
  .option('--profile', 'also show the ten kernels of each case that take longest')
  .option('--list', 'name all cases and measure none')
  .option('--compare <files...>', 'print two files of results side by side and measure none');

command.action(async (options: Options) => {
  if (options.list) list();
  else if (options.compare) compare(options.compare);
  else await run(options);
});
await runCommand(command);
