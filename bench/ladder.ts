// Every kernel for products of matrices and every way of a convolution on one adapter, measured in turns:
// `node --import tsx bench/ladder.ts --help`.
import { loadavg } from 'node:os';
import { Command } from 'commander';
import type { AdapterProfile, ConvVariant } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { possibleConvVariants } from '../engine/ops/conv-plan.ts';
import { possibleVariants } from '../engine/ops/gemm-variants.ts';
import { quantile } from '../isnet/evaluation/bootstrap.ts';
import { msPerCall, type TimedWork, takeTurns } from '../isnet/take-turns.ts';
import { casesFor } from './all-cases.ts';
import type { BenchCase } from './case.ts';
import { convCases } from './conv.ts';
import { matmulCases } from './matmul.ts';
import { count, namesIn, selector } from './options.ts';
import { originOf, type Report, resultFile } from './report.ts';
import { keepResults, runCommand } from './session.ts';

const TURN_MS = 20;
const SLOW_MS = 2000;

/** A device that computes everything with one kernel, or all convolutions one way. */
interface Rung {
  readonly name: string;
  readonly device: GpuDevice;
  /** Whether it can take this work, which may be run once to see. */
  readonly takes: (work: TimedWork) => Promise<boolean>;
}

/** Convolutions as products, whatever way would be faster. */
const asProduct: AdapterProfile['chooseConv'] = () => 'product';

/** Ways of a convolution that are no product. */
const ways: readonly ConvVariant[] = ['taps', 'direct', 'windows'];

async function openWay(way: ConvVariant): Promise<Rung> {
  let isPossible = false;
  const chooseConv: AdapterProfile['chooseConv'] = (direction, sizes) => {
    isPossible = possibleConvVariants(direction, sizes).includes(way);
    return way;
  };
  const device = await openDevice({ profile: { chooseConv } });
  const takes = async (work: TimedWork): Promise<boolean> => {
    // Only a convolution is asked for its way, when it is planned.
    isPossible = false;
    await msPerCall(work, 1);
    return isPossible;
  };
  return { name: way, device, takes };
}

async function openRungs(profile: AdapterProfile, wanted: string | undefined): Promise<Rung[]> {
  const products = possibleVariants(profile);
  const names = namesIn('ladder: this adapter has no rung', [...products, ...ways], wanted);
  const rungs: Rung[] = [];
  for (const name of products.filter((each) => names.includes(each))) {
    const device = await openDevice({ profile: { chooseGemm: () => name, chooseConv: asProduct } });
    rungs.push({ name, device, takes: async () => true });
  }
  for (const way of ways.filter((each) => names.includes(each))) rungs.push(await openWay(way));
  return rungs;
}

/** A kernel on a case: GFLOP/s of the median call, and how the calls spread. */
interface Reached {
  readonly rate: number;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly rounds: number;
}

/** What each rung reaches on one case; null for those that it cannot take. A kernel that takes seconds has one turn. */
async function climb(bench: BenchCase, rungs: readonly Rung[], rounds: number): Promise<(Reached | null)[]> {
  const works = rungs.map(({ device }) => ({ device, ...bench.prepare(device, false) }));
  const isTaken: boolean[] = [];
  for (const [i, { takes }] of rungs.entries()) isTaken.push(await takes(works[i]));
  const isWorthwhile = (ms: number): boolean => ms < SLOW_MS;
  const taken = works.filter((_, i) => isTaken[i]);
  const times = await takeTurns(taken, { rounds, turnMs: TURN_MS, isWorthwhile });
  for (const { device, close } of works) {
    close();
    device.trim();
  }
  const reached = times.map((ascending): Reached => {
    const medianMs = quantile(ascending, 0.5);
    const [minMs, maxMs] = [ascending[0], ascending[ascending.length - 1]];
    const rate = (1000 * bench.workPerCall) / medianMs;
    return { rate, medianMs, minMs, maxMs, rounds: ascending.length };
  });
  return isTaken.map((is) => (is ? (reached.shift() ?? null) : null));
}

interface Options {
  readonly json?: true;
  readonly filter?: string;
  readonly rounds: number;
  readonly rungs?: string;
}

interface LadderReport extends Report {
  readonly unit: 'GFLOP/s';
  readonly results: readonly object[];
}

const ladderCases = [...matmulCases, ...convCases];

async function main({ filter, rounds, rungs: wanted, json }: Options): Promise<void> {
  const isWanted = selector(
    'ladder',
    ladderCases.map(({ name }) => name),
    filter,
  );
  const own = await openDevice({ log: console.warn });
  const rungs: Rung[] = [];
  try {
    const origin = originOf(own);
    const path = resultFile(json, origin, 'ladder');
    rungs.push(...(await openRungs(own.profile, wanted)));
    console.log(`${own.description}, GFLOP/s, medians of ${rounds} rounds\n`);
    console.log(`${'case'.padEnd(32)}${rungs.map(({ name }) => name.padStart(9)).join('')}`);
    const results: object[] = [];
    const measure = async (signal: AbortSignal): Promise<void> => {
      for (const bench of casesFor(own.profile.family, ladderCases)) {
        if (signal.aborted) return;
        if (!isWanted(bench.name)) continue;
        const reached = await climb(bench, rungs, rounds);
        const rates = reached.map((each) => (each ? each.rate.toFixed(2) : '-').padStart(9));
        console.log(`${bench.name.padEnd(32)}${rates.join('')}`);
        const kernels = Object.fromEntries(rungs.map(({ name }, i) => [name, reached[i]]));
        results.push({ name: bench.name, size: bench.size, kernels, loadAverage: loadavg()[0] });
      }
    };
    const report = (isComplete: boolean): LadderReport | null =>
      results.length === 0 ? null : { ...origin, isComplete, unit: 'GFLOP/s', results };
    await keepResults(path, { measure, report });
  } finally {
    for (const { device } of rungs) await device.close();
    await own.close();
  }
}

const command = new Command('ladder')
  .description(
    'Measure every kernel for products of matrices and every way of a convolution, whatever the adapter would choose.',
  )
  .option('--filter <texts>', 'only cases with one of these in their name, separated by commas')
  .option('--rounds <count>', 'runs of each kernel per case', count, 5)
  .option('--rungs <names>', 'only these kernels and ways, separated by commas')
  .option('--json', 'also write bench/results/<date>-ladder-<adapter>.json')
  .action(main);
await runCommand(command);
