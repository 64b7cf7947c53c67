// `isnet train`: one run, from options and perhaps a file of settings, or the rest of an interrupted one.
import { join } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { UsageError } from '../../engine/errors.ts';
import { readFileBytes } from '../../engine/files.ts';
import type { PartialRunConfig, RunConfig } from '../config.ts';
import { readRunConfig } from '../experiment.ts';
import { kernelTable } from '../kernel-profile.ts';
import { openData } from '../open-data.ts';
import { profileSteps } from '../profile.ts';
import { completeConfig } from '../quickstart-config.ts';
import { type Metrics, metricsTable } from '../report.ts';
import { createRunFolder, exists, openRunFolder, readJson } from '../run-folder.ts';
import { checkDataOptions } from './data-options.ts';
import { runInTerminal } from './run.ts';
import { exitCodes, withDevice } from './session.ts';
import { addTrainOptions, settingsOf, type TrainOptions } from './train-options.ts';
import { checkTrainingFlags } from './training-flags.ts';

const examples = `
Examples:
  isnet train                                          an ordinary classifier and an ISNet, default settings
  isnet train --method isnet --epochs 10 --lr 1e-3     an ISNet alone
  isnet train --name noisy --background noise -P 0.8   grey noise behind the digits, more weight on heatmaps
  isnet train --dataset fashion-gratings --epochs 8    another benchmark of background bias; see isnet data benchmark
  isnet train --data my-images --size 64 --channels 3  your own images with masks; see isnet data --help
  isnet train --data list.csv --model resnet18 --weights resnet18.safetensors
  isnet train --config settings.json --seed 1          settings from a file, another seed
  isnet train --resume runs/noisy                      go on where Ctrl-C stopped it
  isnet train --method isnet --profile                 the ten kernels that take longest`;

/** Adds `isnet train`; `done` takes the exit code. */
export function addTrainCommand(program: Command, done: (exitCode: number) => void): void {
  const command = program.command('train').description('train an ordinary classifier, an ISNet or both');
  addTrainOptions(command)
    .addHelpText('after', examples)
    .action(async (options: TrainOptions) => {
      done(options.resume === undefined ? await start(options) : await resume(options.resume, command));
    });
}

async function start(options: TrainOptions): Promise<number> {
  const config = await configOf(options);
  if (options.profile) return profile(config);
  const folder = await createRunFolder(join(options.outputDir, config.name), {
    overwrite: options.overwrite,
  });
  return runInTerminal(config, folder);
}

async function profile(config: RunConfig): Promise<number> {
  const data = await openData(config.data, config.seed, console.log);
  const profiles = await withDevice(console.log, (device) =>
    profileSteps(device, config, data.train),
  ).finally(data.close);
  for (const each of profiles) console.log(`\n${kernelTable({ name: each.role, run: 'step' }, each)}`);
  return exitCodes.success;
}

async function configOf(options: TrainOptions): Promise<RunConfig> {
  const given: PartialRunConfig[] = options.config === undefined ? [] : [await readSettings(options.config)];
  checkDataOptions(options, given[0]?.data?.dataset);
  const settings = settingsOf(options);
  const where = options.config === undefined ? 'train' : `train --config ${options.config}`;
  const config = completeConfig([...given, settings], where);
  checkTrainingFlags(options, config);
  const hasName = settings.name !== undefined || given[0]?.name !== undefined;
  return hasName ? config : { ...config, name: config.method };
}

/** Settings in YAML, of which JSON is a part. */
async function readSettings(path: string): Promise<PartialRunConfig> {
  const text = new TextDecoder().decode(
    await readFileBytes(path, { where: 'train --config', error: UsageError }),
  );
  try {
    return parse(text);
  } catch (cause) {
    const [problem] = (cause as Error).message.split('\n');
    throw new UsageError(
      `train --config: '${path}' is neither YAML nor JSON (${problem.replace(/:$/, '')}); correct the file`,
      { cause },
    );
  }
}

async function resume(path: string, command: Command): Promise<number> {
  const others = command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map(({ long }) => long)
    .filter((flag) => flag !== '--resume');
  if (others.length > 0) {
    throw new UsageError(
      `train --resume: ${others.join(', ')} cannot change a run that has begun; leave it out, or start a new run`,
    );
  }
  const folder = await openRunFolder(path);
  if (await exists(folder.metrics)) {
    const { models } = (await readJson(folder.metrics)) as Metrics;
    console.log(`'${path}' is finished:\n\n${metricsTable(models)}`);
    return exitCodes.success;
  }
  return runInTerminal(await readRunConfig(folder), folder, { isResumed: true });
}
