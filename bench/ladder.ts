// Every way to multiply matrices on one adapter, measured in turns: `node --import tsx bench/ladder.ts --help`.
import { loadavg } from 'node:os';
import { Command } from 'commander';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { possibleVariants } from '../engine/ops/gemm-variants.ts';
import { quantile } from '../isnet/evaluation/bootstrap.ts';
import { takeTurns } from '../isnet/take-turns.ts';
import { casesFor } from './all-cases.ts';
import type { BenchCase } from './case.ts';
import { convCases } from './conv.ts';
import { matmulCases } from './matmul.ts';
import { type Origin, originOf, resultPath, writeReport } from './report.ts';

const TURN_MS = 20;
const SLOW_MS = 2000;

/** A kernel on a case: GFLOP/s of the median call, and how the calls spread. */
interface Reached {
  readonly rate: number;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly rounds: number;
}

/** What each device reaches on one case. A kernel that takes seconds has one turn. */
async function climb(bench: BenchCase, devices: readonly GpuDevice[], rounds: number): Promise<Reached[]> {
  const works = devices.map((device) => ({ device, ...bench.prepare(device, false) }));
  const isWorthwhile = (ms: number): boolean => ms < SLOW_MS;
  const times = await takeTurns(works, { rounds, turnMs: TURN_MS, isWorthwhile });
  for (const { device, close } of works) {
    close();
    device.trim();
  }
  return times.map((ascending) => {
    const medianMs = quantile(ascending, 0.5);
    const [minMs, maxMs] = [ascending[0], ascending[ascending.length - 1]];
    return {
      rate: (1000 * bench.workPerCall) / medianMs,
      medianMs,
      minMs,
      maxMs,
      rounds: ascending.length,
    };
  });
}

interface Options {
  readonly json?: boolean;
  readonly filter: string;
  readonly rounds: string;
  readonly rungs?: string;
}

async function main({ filter, rounds, rungs: wanted, json }: Options): Promise<void> {
  const own = await openDevice({ log: console.warn });
  const rungs = possibleVariants(own.profile).filter(
    (rung) => wanted === undefined || wanted.split(',').includes(rung),
  );
  const devices = await Promise.all(rungs.map((rung) => openDevice({ profile: { chooseGemm: () => rung } })));
  console.log(`${own.description}, GFLOP/s, medians of ${rounds} rounds\n`);
  console.log(`${'case'.padEnd(32)}${rungs.map((rung) => rung.padStart(9)).join('')}`);
  const results: unknown[] = [];
  try {
    for (const bench of casesFor(own.profile.family, [...matmulCases, ...convCases])) {
      if (!filter.split(',').some((part) => bench.name.includes(part))) continue;
      const reached = await climb(bench, devices, Number(rounds));
      const rates = reached.map(({ rate }) => rate.toFixed(2).padStart(9));
      console.log(`${bench.name.padEnd(32)}${rates.join('')}`);
      const kernels = Object.fromEntries(rungs.map((rung, i) => [rung, reached[i]]));
      results.push({ name: bench.name, size: bench.size, kernels, loadAverage: loadavg()[0] });
    }
    if (json) {
      const origin = originOf(own);
      writeReport({ ...origin, unit: 'GFLOP/s', results } as Origin, resultPath(origin, 'ladder'));
    }
  } finally {
    for (const device of [own, ...devices]) await device.close();
  }
}

await new Command('ladder')
  .description('Measure every kernel for products of matrices, whatever the adapter would choose.')
  .option('--filter <texts>', 'only cases with one of these in their name, separated by commas', '')
  .option('--rounds <count>', 'runs of each kernel per case', '5')
  .option('--rungs <names>', 'only these kernels, separated by commas')
  .option('--json', 'also write bench/results/<date>-ladder-<adapter>.json')
  .action(main)
  .parseAsync();
