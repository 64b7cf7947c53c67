// `npm run bench:peers`: this library beside others, on the same adapter, with the same numbers, in alternation.
import { loadavg } from 'node:os';
import { Command } from 'commander';
import { CpuDevice } from '../../engine/cpu-device.ts';
import { UsageError } from '../../engine/errors.ts';
import { count, namesIn, seconds, selector } from '../options.ts';
import { originOf, type Report, resultFile } from '../report.ts';
import { keepResults, runCommand } from '../session.ts';
import { buildPeers, installPeers } from './build.ts';
import { peerCases } from './cases.ts';
import { comparePeers, type ReportedCase } from './comparison.ts';
import { type PeerName, peerNames, peers } from './peers.ts';
import type { ProcessOptions } from './process.ts';
import { Field, startupNames } from './rounds.ts';
import { peerTableHead } from './table.ts';

interface Options {
  readonly filter?: string;
  readonly peers?: string;
  readonly adapter: string;
  readonly rounds: number;
  readonly timeout: number;
  readonly json?: string | true;
  readonly quick?: boolean;
}

/** Contents of a file that `npm run bench:peers -- --json` writes. */
interface PeerReport extends Report {
  readonly kind: 'peers';
  readonly roundCount: number;
  readonly isQuick: boolean;
  /** Processes that wanted a core in the minute before the start and before the end; ours are among them. */
  readonly loadAverages: readonly [number, number];
  readonly peers: Partial<Record<PeerName, { version: string; computesOn: string; note?: string }>>;
  readonly cases: readonly ReportedCase[];
}

const SAMPLE_MS = 150;
const QUICK_SAMPLE_MS = 20;

/** Opens all, so that their versions are known, and says what they are. */
async function introduce(field: Field, names: readonly PeerName[]): Promise<void> {
  for (const name of names) {
    // A failure to open is a row of its own here, and the reason in all others.
    await field.processOf(name).catch(() => {});
    const description = field.descriptions.get(name);
    const about = description
      ? `${description.version}, ${description.computesOn}`
      : field.unavailable.get(name);
    console.log(`${name.padEnd(14)} ${about}${peers[name].note ? ` (${peers[name].note})` : ''}`);
  }
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
  const names = namesIn('bench:peers: no peer', peerNames, wanted);
  const known = [...peerCases.map(({ name }) => name), ...startupNames];
  const isWanted = selector('bench:peers', known, filter);
  if (adapter !== 'any' && adapter !== 'swiftshader') {
    throw new UsageError(`bench:peers: no adapter '${adapter}'; use any or swiftshader`);
  }
  // Our own adapter is known later, from a peer: a device here would be in the others' way.
  const host = originOf(new CpuDevice());
  resultFile(json, host, 'peers');
  installPeers();
  const process: ProcessOptions = { script: buildPeers(), adapter, timeoutMs: 1000 * timeout };
  const roundCount = isQuick ? 1 : rounds;
  const loadBefore = loadavg()[0];
  const field = new Field(process);
  try {
    await introduce(field, names);
    const origin = { ...host, adapter: field.descriptions.get('ours')?.computesOn ?? host.adapter };
    console.log(
      `\n${roundCount} rounds, wall clock, load ${loadBefore.toFixed(1)}${isQuick ? '; quick: do not publish' : ''}\n`,
    );
    console.log(peerTableHead());
    const plan = {
      names,
      cases: peerCases.filter(({ name }) => isWanted(name)),
      startups: startupNames.filter(isWanted),
      process,
      roundCount,
      sampleMs: isQuick ? QUICK_SAMPLE_MS : SAMPLE_MS,
    };
    const cases: ReportedCase[] = [];
    const report = (isComplete: boolean): PeerReport | null => {
      if (cases.length === 0) return null;
      const head = { kind: 'peers' as const, ...origin, isComplete, roundCount, isQuick };
      const loadAverages = [loadBefore, loadavg()[0]] as const;
      return { ...head, loadAverages, peers: describePeers(field), cases };
    };
    await keepResults(resultFile(json, origin, 'peers'), {
      measure: (signal) => comparePeers(field, plan, signal, (item) => cases.push(item)),
      report,
    });
  } finally {
    field.end();
  }
}

const describePeers = ({ descriptions }: Field): PeerReport['peers'] =>
  Object.fromEntries(
    [...descriptions].map(([name, { version, computesOn }]) => [
      name,
      { version, computesOn, note: peers[name].note },
    ]),
  );

const command = new Command('bench:peers')
  .description('Measure this library beside others, after checking the results of all.')
  .option('--filter <texts>', 'only cases with one of these in their name, separated by commas')
  .option('--peers <names>', `some of ${peerNames.join(',')} (default: all)`)
  .option('--adapter <name>', 'any: the best of this machine; swiftshader: the CPU, whatever there is', 'any')
  .option('--rounds <count>', 'samples of each peer', count, 5)
  .option('--timeout <seconds>', 'the longest that a peer may take to prepare, check or sample', seconds, 300)
  .option('--json [file]', 'write the results (default file: bench/results/<date>-peers-<adapter>.json)')
  .option('--quick', 'one short round, to see that everything runs')
  .action(run);
await runCommand(command);
