// Options of `isnet train` on how it trains: steps, learning rate, when to stop. They hold for classifier and ISNet alike.
import { type Command, Option } from 'commander';
import { UsageError } from '../../engine/errors.ts';
import type { RunConfig, TrainingConfig } from '../config.ts';
import { choices } from '../config-schemas.ts';
import { NETWORK_LEARNING_RATE, quickstartConfig } from '../quickstart-config.ts';
import { decimal, once, wholeNumber, wholeNumbers } from './parse.ts';

/** Values of these options as commander gives them; undefined where an option was not given. */
export interface TrainingFlags {
  readonly epochs?: number;
  readonly classifierEpochs?: number;
  readonly batchSize?: number;
  readonly gradAccumSteps?: number;
  readonly recompute?: RunConfig['isnet']['recompute'];
  readonly lr?: number;
  readonly optimizer?: RunConfig['isnet']['optimizer'];
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  readonly scheduler?: RunConfig['isnet']['schedule'];
  readonly warmupSteps?: number;
  readonly minLr?: number;
  readonly stepSize?: number;
  readonly milestones?: number[];
  readonly gamma?: number;
  readonly plateauFactor?: number;
  readonly plateauPatience?: number;
  readonly plateauThreshold?: number;
  readonly earlyStopping?: number;
  readonly minDelta?: number;
  readonly clipGradNorm?: number;
  readonly classWeights?: 'balanced' | number[];
  readonly posWeight?: 'balanced' | number[];
}

const { classifier, isnet } = quickstartConfig;

/** `balanced` or `1,2.5,1` */
const weights = (text: string): 'balanced' | number[] =>
  text === 'balanced' ? text : text.split(',').map(decimal);

/** Adds these options to a command. */
export function addTrainingFlags(command: Command): void {
  const choice = (flags: string, text: string, names: readonly string[]) =>
    command.addOption(new Option(flags, text).choices(names));
  const number = (flags: string, text: string) => command.option(flags, text, once(decimal));
  const count = (flags: string, text: string) => command.option(flags, text, once(wholeNumber));

  command.optionsGroup('Training:');
  count('--epochs <n>', `epochs (default: ISNet ${isnet.epochs}, classifier ${classifier.epochs})`);
  count('--classifier-epochs <n>', 'epochs of the ordinary classifier alone');
  count(
    '-b, --batch-size <n>',
    `images per step (default: ISNet ${isnet.batchSize}, classifier ${classifier.batchSize})`,
  );
  count('--grad-accum-steps <k>', 'take the images of a step in k parts: less memory (default: 1)');
  choice(
    '--recompute <what>',
    'less memory for more work: compute again rather than keep (default: none)',
    choices.recompute,
  );
  number(
    '--lr <x>',
    `learning rate (default: ISNet ${isnet.learningRate}, classifier ${classifier.learningRate}, networks by name ${NETWORK_LEARNING_RATE})`,
  );
  choice('--optimizer <name>', `optimizer (default: ${isnet.optimizer})`, choices.optimizer);
  number('--momentum <x>', `momentum of sgd (default: ${isnet.momentum})`);
  command.option('--nesterov', 'Nesterov momentum of sgd');
  number('--weight-decay <x>', `weight decay (default: ${isnet.weightDecay})`);
  number('--clip-grad-norm <x>', `largest gradient norm, 0 for none (default: ${isnet.clipNorm ?? 0})`);
  command.option('--class-weights <w>', 'one weight per class, 1,2.5,1, or balanced', once(weights));
  command.option('--pos-weight <w>', 'the same for images that may show several classes', once(weights));

  command.optionsGroup('Learning rate over the run:');
  choice('--scheduler <name>', `learning rate schedule (default: ${isnet.schedule})`, choices.schedule);
  count('--warmup-steps <n>', `steps of linear warm-up (default: ${isnet.warmupSteps})`);
  number('--min-lr <x>', `lowest learning rate (default: ${isnet.minLearningRate})`);
  count('--step-size <n>', 'scheduler step: fall every n epochs');
  command.option(
    '--milestones <epochs>',
    'scheduler step: fall at these epochs, e.g. 30,60',
    once(wholeNumbers),
  );
  number('--gamma <x>', `scheduler step: by this factor (default: ${isnet.gamma})`);
  number('--plateau-factor <x>', `scheduler plateau: by this factor (default: ${isnet.plateauFactor})`);
  count(
    '--plateau-patience <n>',
    `scheduler plateau: epochs without a lower validation loss to wait (default: ${isnet.plateauPatience})`,
  );
  number(
    '--plateau-threshold <x>',
    `scheduler plateau: how much lower counts, as a share (default: ${isnet.plateauThreshold})`,
  );
  count('--early-stopping <n>', 'stop after n epochs without a lower validation loss');
  number('--min-delta <x>', `early stopping: how much lower counts (default: ${isnet.minDelta})`);
}

/** Options that only some choices look at: which ones, by the flag, what for and whether a training has made that choice. */
const conditions: readonly [keyof TrainingFlags, string, string, (config: TrainingConfig) => boolean][] = [
  ['momentum', '--momentum', '--optimizer sgd', ({ optimizer }) => optimizer === 'sgd'],
  ['nesterov', '--nesterov', '--optimizer sgd', ({ optimizer }) => optimizer === 'sgd'],
  ['minLr', '--min-lr', 'a --scheduler that falls', ({ schedule }) => schedule !== 'constant'],
  ['stepSize', '--step-size', '--scheduler step', ({ schedule }) => schedule === 'step'],
  ['milestones', '--milestones', '--scheduler step', ({ schedule }) => schedule === 'step'],
  ['gamma', '--gamma', '--scheduler step', ({ schedule }) => schedule === 'step'],
  ['plateauFactor', '--plateau-factor', '--scheduler plateau', ({ schedule }) => schedule === 'plateau'],
  ['plateauPatience', '--plateau-patience', '--scheduler plateau', ({ schedule }) => schedule === 'plateau'],
  [
    'plateauThreshold',
    '--plateau-threshold',
    '--scheduler plateau',
    ({ schedule }) => schedule === 'plateau',
  ],
  ['minDelta', '--min-delta', '--early-stopping', ({ earlyStopping }) => earlyStopping !== null],
];

/**
 * Throws UsageError for an option that no training of the run would look at. Settings in a file are not asked: it may be
 * the config.json of a run, in which every setting has a value.
 */
export function checkTrainingFlags(flags: TrainingFlags, { method, classifier, isnet }: RunConfig): void {
  const trainings = method === 'classifier' ? [classifier] : [classifier, isnet];
  for (const [name, flag, needed, looksAtIt] of conditions) {
    if (flags[name] === undefined || trainings.some(looksAtIt)) continue;
    const { optimizer, schedule } = trainings[trainings.length - 1];
    throw new UsageError(
      `train: ${flag} does nothing with optimizer ${optimizer} and scheduler ${schedule}; give ${needed} too, or leave it out`,
    );
  }
}

/** The settings that the given options stand for. */
export function trainingSettingsOf(flags: TrainingFlags): Partial<TrainingConfig> {
  const { epochs, batchSize, optimizer, momentum, nesterov, weightDecay, warmupSteps } = flags;
  const { stepSize, milestones, gamma, plateauFactor, plateauPatience, plateauThreshold } = flags;
  const { earlyStopping, minDelta, classWeights, posWeight } = flags;
  return {
    epochs,
    batchSize,
    accumulate: flags.gradAccumSteps,
    recompute: flags.recompute,
    optimizer,
    learningRate: flags.lr,
    momentum,
    nesterov,
    weightDecay,
    schedule: flags.scheduler,
    warmupSteps,
    minLearningRate: flags.minLr,
    stepSize,
    milestones,
    gamma,
    plateauFactor,
    plateauPatience,
    plateauThreshold,
    earlyStopping,
    minDelta,
    classWeights,
    posWeight,
    clipNorm: flags.clipGradNorm === 0 ? null : flags.clipGradNorm,
  };
}
