// The options of `isnet train`, by the names that PyTorch scripts use, and the settings that they stand for.
import { type Command, Option } from 'commander';
import type { PartialRunConfig, RunConfig } from '../config.ts';
import { choices } from '../config-schemas.ts';
import { quickstartConfig } from '../quickstart-config.ts';
import {
  addDataOptions,
  addModelOptions,
  type DataOptions,
  dataSettingsOf,
  type ModelOptions,
  modelSettingsOf,
} from './data-options.ts';
import { decimal, heatmapWeight, modules, once, range, wholeNumber } from './parse.ts';
import { addTrainingFlags, type TrainingFlags, trainingSettingsOf } from './training-flags.ts';

/** Values of the options as commander gives them; undefined where an option was not given. */
export interface TrainOptions extends DataOptions, ModelOptions, TrainingFlags {
  readonly name?: string;
  readonly outputDir: string;
  readonly overwrite?: boolean;
  readonly resume?: string;
  readonly profile?: boolean;
  readonly tensorboard?: boolean;
  readonly config?: string;
  readonly method?: RunConfig['method'];
  readonly seed?: number;
  readonly variant?: RunConfig['isnet']['variant'];
  readonly propagation?: RunConfig['isnet']['propagation'];
  readonly deepSupervision?: RunConfig['isnet']['deepSupervision'];
  readonly dLoss?: number;
  readonly heatmapWeight?: RunConfig['isnet']['P'];
  readonly d?: number;
  readonly w1?: number;
  readonly w2?: number;
  readonly E?: number;
  readonly foreground?: RunConfig['isnet']['foreground'];
  readonly eps?: number;
  readonly selectiveEps?: number;
  readonly biasGradient?: RunConfig['isnet']['biasGradient'];
  readonly statisticsGradient?: RunConfig['isnet']['statisticsGradient'];
  readonly range?: RunConfig['isnet']['range'];
  readonly rangeEpochs?: number;
  readonly classesAtOnce?: number;
}

const { isnet, method } = quickstartConfig;

/** Adds the options of `isnet train` to a command. */
export function addTrainOptions(command: Command): Command {
  const choice = (flags: string, text: string, names: readonly string[]) =>
    command.addOption(new Option(flags, text).choices(names));
  const number = (flags: string, text: string) => command.option(flags, text, once(decimal));
  const count = (flags: string, text: string) => command.option(flags, text, once(wholeNumber));

  command.optionsGroup('Run:');
  command.option('--name <name>', 'name of the run and its folder (default: the method)');
  addOutputDir(command);
  command.option('--overwrite', 'replace a run of the same name');
  command.option('--resume <run>', 'go on with an interrupted run, e.g. runs/isnet');
  command.option('--profile', 'instead of training, show which kernels a step spends its time on');
  command.option('--tensorboard', 'write event files for TensorBoard, too');
  command.option('--config <file>', 'settings as YAML or JSON; options on the command line weigh more');
  choice('--method <name>', `what to train (default: ${method})`, choices.method);
  count('--seed <n>', 'seed of weights, data and order (default: 0)');

  addTrainingFlags(command);

  command.optionsGroup('ISNet:');
  choice('--variant <name>', `what is explained (default: ${isnet.variant})`, choices.variant);
  count('--classes-at-once <n>', 'variant original: maps of so many classes at a time (default: all)');
  choice(
    '--propagation <name>',
    `how: rules, LRP-Flex, gradient times input, or Grad-CAM (default: ${isnet.propagation})`,
    choices.propagation,
  );
  command.option(
    '--deep-supervision <depths>',
    `maps besides the image's: stages, or module names (default: ${isnet.deepSupervision})`,
    once(modules),
  );
  number('--d-loss <x>', `decay of the pooling over depths (default: ${isnet.dLoss})`);
  command.option(
    '-P, --heatmap-weight <P>',
    `weight of the heatmap loss: 0.7, ramp:0.7:3 or 0:0.3,5:0.7 (default: ${JSON.stringify(isnet.P)})`,
    once(heatmapWeight),
  );
  number('--d <x>', `decay of the ranked pooling (default: ${isnet.d})`);
  number('--w1 <x>', `weight of the background loss (default: ${isnet.w1})`);
  number('--w2 <x>', `weight of the foreground loss (default: ${isnet.w2})`);
  number('--E <x>', `scale of the background loss (default: ${isnet.E})`);
  choice(
    '--foreground <form>',
    `form of the foreground loss (default: ${isnet.foreground})`,
    choices.foreground,
  );
  number('--eps <x>', `stabiliser of the epsilon rule (default: ${isnet.eps})`);
  number('--selective-eps <x>', `stabiliser of variant selective (default: ${isnet.selectiveEps})`);
  const policy = choices.gradientPolicy;
  choice('--bias-gradient <policy>', `of the heatmap loss (default: ${isnet.biasGradient})`, policy);
  choice(
    '--statistics-gradient <policy>',
    `of the heatmap loss, through BatchNorm (default: ${isnet.statisticsGradient})`,
    policy,
  );
  command.option(
    '--range <C1,C2>',
    `range of the foreground relevance, or natural, or running (default: ${isnet.range})`,
    once(range),
  );
  count('--range-epochs <n>', 'epochs of the copy that the natural range is measured on (method isnet)');

  addDataOptions(command);
  addModelOptions(command);
  return command;
}

/** Adds `--output-dir`, shared by the commands that write runs. */
export function addOutputDir(command: Command): Command {
  return command.option('--output-dir <path>', 'folder of all runs', 'runs');
}

/** The settings that the given options stand for; training options hold for the classifier and the ISNet. */
export function settingsOf(options: TrainOptions): PartialRunConfig {
  const training = trainingSettingsOf(options);
  const { variant, propagation, deepSupervision, dLoss, d, w1, w2, E, foreground, eps } = options;
  const { selectiveEps, biasGradient, statisticsGradient, rangeEpochs, classesAtOnce } = options;
  return {
    name: options.name,
    seed: options.seed,
    method: options.method,
    tensorboard: options.tensorboard,
    data: dataSettingsOf(options),
    model: modelSettingsOf(options),
    classifier: { ...training, epochs: options.classifierEpochs ?? options.epochs },
    isnet: {
      ...training,
      variant,
      propagation,
      deepSupervision,
      dLoss,
      P: options.heatmapWeight as RunConfig['isnet']['P'],
      d,
      w1,
      w2,
      E,
      foreground,
      eps,
      selectiveEps,
      biasGradient,
      statisticsGradient,
      range: options.range,
      rangeEpochs,
      classesAtOnce,
    },
  };
}
