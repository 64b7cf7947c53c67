// `npm run bench:peers`: this library beside others, on the same adapter, with the same numbers, in alternation.
import { loadavg } from 'node:os';
import { Command } from 'commander';
import { CpuDevice } from '../../engine/cpu-device.ts';
import { IsnetError, UsageError } from '../../engine/errors.ts';
import { medianOf } from '../../isnet/evaluation/bootstrap.ts';
import { type Origin, originOf, resultPath, writeReport } from '../report.ts';
import { buildPeers, installPeers } from './build.ts';
import { peerCases } from './cases.ts';
import { expectedOf } from './expected.ts';
import { isPeerName, type PeerName, peerNames, peers } from './peers.ts';
import type { ProcessOptions } from './process.ts';
import { type CaseResults, Field, runCase, runStartups, startupNames } from './rounds.ts';
import { peerTableHead, peerTableRows, ratioOf } from './table.ts';

interface Options {
  readonly filter: string;
  readonly peers?: string;
  readonly adapter: string;
  readonly rounds: number;
  readonly timeout: number;
  readonly json?: string | true;
  readonly quick?: boolean;
}

/** Contents of a file that `npm run bench:peers -- --json` writes. */
interface PeerReport extends Origin {
  readonly kind: 'peers';
  readonly roundCount: number;
  readonly isQuick: boolean;
  /** Processes that wanted a core in the minute before the start and before the end; ours are among them. */
  readonly loadAverages: readonly [number, number];
  readonly peers: Partial<Record<PeerName, { version: string; computesOn: string; note?: string }>>;
  readonly cases: readonly ReportedCase[];
}

interface ReportedCase {
  readonly name: string;
  readonly unit: string;
  readonly workPerCall: number;
  readonly results: object;
}

const SAMPLE_MS = 150;
const QUICK_SAMPLE_MS = 20;
// Each takes up to half a minute.
const STARTUP_ROUNDS = 3;

function selectedPeers(names = peerNames.join(',')): PeerName[] {
  const list = names.split(',');
  const unknown = list.find((name) => !isPeerName(name));
  if (unknown !== undefined) {
    throw new UsageError(`bench:peers: no peer '${unknown}'; use some of ${peerNames.join(', ')}`);
  }
  return list as PeerName[];
}

function withStatistics(results: CaseResults): object {
  return Object.fromEntries(
    Object.entries(results).map(([name, result]) => [
      name,
      {
        medianMs: result.failure ? null : medianOf(result.roundMs),
        timesAsLongAsOurs: name === 'ours' ? null : ratioOf(result, results.ours),
        ...result,
      },
    ]),
  );
}

async function run({
  filter,
  peers: wanted,
  adapter,
  rounds,
  timeout,
  json,
  quick: isQuick = false,
}: Options): Promise<void> {
  const names = selectedPeers(wanted);
  const isWanted = (name: string) => filter.split(',').some((part) => name.includes(part));
  const cases = peerCases.filter(({ name }) => isWanted(name));
  const startups = startupNames.filter(isWanted);
  if (cases.length + startups.length === 0) {
    const known = [...peerCases.map(({ name }) => name), ...startupNames].join(', ');
    throw new UsageError(`bench:peers: no case has '${filter}' in its name; use a part of ${known}`);
  }
  if (adapter !== 'any' && adapter !== 'swiftshader') {
    throw new UsageError(`bench:peers: no adapter '${adapter}'; use any or swiftshader`);
  }
  installPeers();
  const options: ProcessOptions = { script: buildPeers(), adapter, timeoutMs: 1000 * timeout };
  const roundCount = isQuick ? 1 : rounds;
  const loadBefore = loadavg()[0];
  const field = new Field(options);
  const reported: ReportedCase[] = [];
  const report = (name: string, unit: string, workPerCall: number, results: CaseResults): void => {
    for (const row of peerTableRows(name, results, { unit, workPerCall })) console.log(row);
    reported.push({ name, unit, workPerCall, results: withStatistics(results) });
  };
  try {
    for (const name of names) {
      // A failure to open is a row of its own here, and the reason in all others.
      await field.processOf(name).catch(() => {});
      const description = field.descriptions.get(name);
      const about = description
        ? `${description.version}, ${description.computesOn}`
        : field.unavailable.get(name);
      console.log(`${name.padEnd(14)} ${about}${peers[name].note ? ` (${peers[name].note})` : ''}`);
    }
    console.log(
      `\n${roundCount} rounds, wall clock, load ${loadBefore.toFixed(1)}${isQuick ? '; quick: do not publish' : ''}\n`,
    );
    console.log(peerTableHead());
    for (const item of cases) {
      const sampleMs = isQuick ? QUICK_SAMPLE_MS : SAMPLE_MS;
      const results = await runCase(field, names, item, await expectedOf(item.work), {
        roundCount,
        sampleMs,
      });
      report(item.name, item.unit, item.workPerCall, results);
    }
    const available = names.filter((name) => !field.unavailable.has(name));
    field.end();
    if (startups.length > 0) {
      const found = await runStartups(options, available, isQuick ? 1 : Math.min(STARTUP_ROUNDS, roundCount));
      for (const name of startups) report(name, '', 1, found[name]);
    }
  } finally {
    field.end();
  }
  if (json === undefined) return;
  // Whichever adapter our process opened; a device of our own here would only be in the others' way.
  const origin = originOf(new CpuDevice());
  const full: PeerReport = {
    kind: 'peers',
    ...origin,
    adapter: field.descriptions.get('ours')?.computesOn ?? origin.adapter,
    roundCount,
    isQuick,
    loadAverages: [loadBefore, loadavg()[0]],
    peers: Object.fromEntries(
      [...field.descriptions].map(([name, { version, computesOn }]) => [
        name,
        { version, computesOn, note: peers[name].note },
      ]),
    ),
    cases: reported,
  };
  writeReport(full, json === true ? resultPath(full, 'peers') : json);
}

const command = new Command('bench:peers')
  .description('Measure this library beside others, after checking the results of all.')
  .option('--filter <texts>', 'only cases with one of these in their name, separated by commas', '')
  .option('--peers <names>', `some of ${peerNames.join(',')} (default: all)`)
  .option('--adapter <name>', 'any: the best of this machine; swiftshader: the CPU, whatever there is', 'any')
  .option('--rounds <count>', 'samples of each peer', Number, 5)
  .option('--timeout <seconds>', 'the longest that a peer may take to prepare, check or sample', Number, 300)
  .option('--json [file]', 'write the results (default file: bench/results/<date>-peers-<adapter>.json)')
  .option('--quick', 'one short round, to see that everything runs');

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
