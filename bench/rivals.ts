// What an ISNet costs beside its rivals: to run, and to train. `node --import tsx bench/rivals.ts`.
import { loadavg } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { openDevice } from '../engine/node-device.ts';
import { type Origin, originOf, resultPath, writeReport } from './report.ts';
import { type RuntimeCost, runtimeCosts, runtimeHead } from './rivals-runtime.ts';
import { settings } from './rivals-setting.ts';
import { type TrainingCost, trainingCosts } from './rivals-training.ts';

/** Contents of the file. */
interface RivalReport extends Origin {
  readonly kind: 'rivals';
  readonly roundCount: number;
  /** Of what takes seconds: training steps of the large network, and the networks beside it. */
  readonly largeRoundCount: number;
  /** Processes that wanted a core in the minute before the start and before the end; ours are among them. */
  readonly loadAverages: readonly [number, number];
  readonly runtime: readonly RuntimeCost[];
  readonly training: readonly TrainingCost[];
}

interface Options {
  readonly only?: 'runtime' | 'training';
  readonly networks: 'small' | 'resnet18' | 'all';
  readonly rounds: number;
  readonly largeRounds: number;
  readonly filter: string;
  readonly json?: boolean;
}

const BATCH_SIZES = [1, 32];

function count(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Use a whole number from 1 up.');
}

async function main({ only, networks, filter, json, ...options }: Options): Promise<void> {
  const { rounds: roundCount, largeRounds: largeRoundCount } = options;
  const device = await openDevice({ log: console.warn });
  try {
    const origin = originOf(device);
    const loadBefore = loadavg()[0];
    const runtime: RuntimeCost[] = [];
    const training: TrainingCost[] = [];
    const chosen = settings.filter(({ name }) => networks === 'all' || name.startsWith(networks));
    for (const setting of chosen) {
      const slowRounds = setting.name.startsWith('small') ? roundCount : largeRoundCount;
      if (only !== 'training') {
        console.log(`\n${setting.name}\n${runtimeHead}`);
        const options = { rounds: roundCount, otherRounds: slowRounds, batchSizes: BATCH_SIZES };
        runtime.push(...(await runtimeCosts(device, setting, options)));
      }
      if (only !== 'runtime') {
        console.log(`\n${setting.name}, batch ${setting.batchSize}`);
        training.push(...(await trainingCosts(device, setting, { rounds: slowRounds, filter })));
      }
    }
    const loadAverages = [loadBefore, loadavg()[0]] as const;
    const report: RivalReport = {
      ...origin,
      kind: 'rivals',
      roundCount,
      largeRoundCount,
      loadAverages,
      runtime,
      training,
    };
    if (json) writeReport(report, resultPath(origin, 'rivals'));
  } finally {
    await device.close();
  }
}

await new Command('rivals')
  .description(
    'Time of a forward pass of the exported ISNet, the classifier, the pipeline and the multi-task network; time of training steps of every method. In turns, as ratios to the ordinary classifier.',
  )
  .addOption(new Option('--only <half>', 'one half of it').choices(['runtime', 'training']))
  .addOption(
    new Option('--networks <size>', 'which networks').choices(['small', 'resnet18', 'all']).default('all'),
  )
  .option('--rounds <count>', 'rounds of turns', count, 15)
  .option('--large-rounds <count>', 'rounds of what takes seconds with resnet18', count, 5)
  .option('--filter <text>', 'only steps of methods with this in their name', '')
  .option('--json', 'also write bench/results/<date>-rivals-<adapter>.json')
  .action(main)
  .parseAsync();
