// What an ISNet costs beside its rivals: to run, and to train. `node --import tsx bench/rivals.ts`.
import { loadavg } from 'node:os';
import { Command, Option } from 'commander';
import { openDevice } from '../engine/node-device.ts';
import { count, selector } from './options.ts';
import { originOf, type Report, resultFile } from './report.ts';
import { type RuntimeCost, runtimeCosts, runtimeHead } from './rivals-runtime.ts';
import { settings } from './rivals-setting.ts';
import { measuredMethods, type TrainingCost, trainingCosts } from './rivals-training.ts';
import { keepResults, runCommand } from './session.ts';

/** Contents of the file. */
interface RivalReport extends Report {
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
  readonly filter?: string;
  readonly json?: true;
}

const BATCH_SIZES = [1, 32];

async function main({ only, networks, filter, json, ...options }: Options): Promise<void> {
  const { rounds: roundCount, largeRounds: largeRoundCount } = options;
  const isWanted = selector('rivals', measuredMethods, filter);
  const device = await openDevice({ log: console.warn });
  try {
    const origin = originOf(device);
    const path = resultFile(json, origin, 'rivals');
    const loadBefore = loadavg()[0];
    const runtime: RuntimeCost[] = [];
    const training: TrainingCost[] = [];
    const measure = async (signal: AbortSignal): Promise<void> => {
      const chosen = settings.filter(({ name }) => networks === 'all' || name.startsWith(networks));
      for (const setting of chosen) {
        const slowRounds = setting.name.startsWith('small') ? roundCount : largeRoundCount;
        if (only !== 'training' && !signal.aborted) {
          console.log(`\n${setting.name}\n${runtimeHead}`);
          const options = { rounds: roundCount, otherRounds: slowRounds, batchSizes: BATCH_SIZES };
          for await (const cost of runtimeCosts(device, setting, options)) {
            runtime.push(cost);
            if (signal.aborted) break;
          }
        }
        if (only !== 'runtime' && !signal.aborted) {
          console.log(`\n${setting.name}, batch ${setting.batchSize}`);
          for await (const cost of trainingCosts(device, setting, { rounds: slowRounds, isWanted })) {
            training.push(cost);
            if (signal.aborted) break;
          }
        }
      }
    };
    const report = (isComplete: boolean): RivalReport | null => {
      if (runtime.length + training.length === 0) return null;
      const loadAverages = [loadBefore, loadavg()[0]] as const;
      const head = { ...origin, isComplete, kind: 'rivals' as const, roundCount, largeRoundCount };
      return { ...head, loadAverages, runtime, training };
    };
    await keepResults(path, { measure, report });
  } finally {
    await device.close();
  }
}

const command = new Command('rivals')
  .description(
    'Time of a forward pass of the exported ISNet, the classifier, the pipeline and the multi-task network; time of training steps of every method. In turns, as ratios to the ordinary classifier.',
  )
  .addOption(new Option('--only <half>', 'one half of it').choices(['runtime', 'training']))
  .addOption(
    new Option('--networks <size>', 'which networks').choices(['small', 'resnet18', 'all']).default('all'),
  )
  .option('--rounds <count>', 'rounds of turns', count, 15)
  .option('--large-rounds <count>', 'rounds of what takes seconds with resnet18', count, 5)
  .option('--filter <texts>', 'only steps of methods with one of these in their name, separated by commas')
  .option('--json', 'also write bench/results/<date>-rivals-<adapter>.json')
  .action(main);
await runCommand(command);
