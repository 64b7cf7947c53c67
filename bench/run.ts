// `npm run bench`: measures all cases, or some, on the best device of this machine.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { Command } from 'commander';
import { IsnetError, UsageError } from '../engine/errors.ts';
import { openDevice } from '../engine/node-device.ts';
import type { BenchCase } from './case.ts';
import { convCases } from './conv.ts';
import { dispatchCases } from './dispatch.ts';
import { elementwiseCases } from './elementwise.ts';
import { explainCases } from './explain.ts';
import { matmulCases } from './matmul.ts';
import { type BenchResult, measure } from './measure.ts';
import { reportOf, resultPath, tableHead, tableRow } from './report.ts';
import { stepCases } from './step.ts';

const allCases: readonly BenchCase[] = [
  ...matmulCases,
  ...convCases,
  ...elementwiseCases,
  ...dispatchCases,
  ...explainCases,
  ...stepCases,
];

interface Options {
  readonly filter?: string;
  readonly json?: string | true;
  readonly quick?: boolean;
}

function selectedCases(filter = ''): readonly BenchCase[] {
  const cases = allCases.filter(({ family, name }) => `${family}/${name}`.includes(filter));
  if (cases.length > 0) return cases;
  const known = allCases.map(({ family, name }) => `${family}/${name}`).join(', ');
  throw new UsageError(`bench: no case has '${filter}' in its name; use a part of ${known}`);
}

async function run({ filter, json, quick: isQuick = false }: Options): Promise<void> {
  const cases = selectedCases(filter);
  const device = await openDevice({ log: console.warn });
  try {
    console.log(`adapter: ${device.description}`);
    console.log(`wall clock, milliseconds per call${isQuick ? '; quick: do not publish' : ''}\n`);
    console.log(tableHead());
    const results: BenchResult[] = [];
    for (const bench of cases) {
      const result = await measure(device, bench, { isQuick });
      console.log(tableRow(result));
      results.push(result);
    }
    if (results.some(({ isNoisy }) => isNoisy)) {
      console.log('\nnoisy: p90 is more than 1.5 times the median; close other programs and measure again');
    }
    if (json === undefined) return;
    const report = reportOf(device, results, isQuick);
    const path = json === true ? resultPath(report) : json;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`\nresults: ${relative('', path)}`);
  } finally {
    await device.close();
  }
}

const command = new Command('bench')
  .description('Measure kernels and steps on this machine, after checking their results.')
  .option('--filter <text>', 'only cases with this in family/name')
  .option('--json [file]', 'write the results (default file: bench/results/<date>-<adapter>.json)')
  .option('--quick', 'few short samples, to see that everything runs');

command.action(async (options: Options) => {
  try {
    await run(options);
  } catch (error) {
    if (!(error instanceof IsnetError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
});
await command.parseAsync();
