// The one place where default settings live: what `npm start` runs, and what every setting is that a user leaves out.
import { UsageError } from '../engine/errors.ts';
import { benchmarkNames } from './benchmarks/names.ts';
import {
  type DataConfig,
  type ImageDataConfig,
  type MarkerDataConfig,
  type PartialRunConfig,
  parseRunConfig,
  type RunConfig,
  type SmallCnnConfig,
} from './config.ts';

const training = {
  accumulate: 1,
  recompute: 'none',
  optimizer: 'adam',
  momentum: 0.9,
  nesterov: false,
  weightDecay: 0,
  schedule: 'cosine',
  warmupSteps: 0,
  minLearningRate: 0,
  stepSize: null,
  milestones: null,
  gamma: 0.1,
  plateauFactor: 0.1,
  plateauPatience: 10,
  plateauThreshold: 1e-4,
  earlyStopping: null,
  minDelta: 0,
  classWeights: null,
  posWeight: null,
} as const;

/** How large benchmarks are: images that suit two cores without a GPU. */
export const benchmarkDefaults = { trainCount: 8000, validationCount: 500, testCount: 2000 } as const;

/**
 * An ordinary classifier and an ISNet on 8,000 marked digits: minutes on two cores without a GPU. Found on MNIST with a
 * marker: many small batches matter more than many images, and P below 0.7 leaves a gap between biased and deceiving.
 */
export const quickstartConfig: RunConfig & {
  readonly data: MarkerDataConfig;
  readonly model: SmallCnnConfig;
} = {
  name: 'quickstart',
  seed: 0,
  method: 'both',
  tensorboard: false,
  data: {
    dataset: 'mnist-marker',
    background: 'black',
    ...benchmarkDefaults,
    maskMargin: 0,
    markerSize: 2,
    folder: null,
  },
  model: {
    kind: 'small-cnn',
    blocks: [
      { channels: 8, kernel: 5, stride: 2 },
      { channels: 16, kernel: 3, stride: 2 },
    ],
    hidden: [32],
    batchNorm: false,
    convBias: true,
    // Leaky, for a unit that is 0 has no relevance: what silences it is hidden from every heatmap (lrp/README.md).
    negativeSlope: 0.1,
    dropout: 0,
    weights: null,
  },
  classifier: { ...training, epochs: 3, batchSize: 64, learningRate: 5e-3, clipNorm: 1 },
  isnet: {
    ...training,
    epochs: 4,
    batchSize: 32,
    learningRate: 8e-3,
    clipNorm: 1,
    variant: 'stochastic',
    propagation: 'lrp',
    deepSupervision: 'none',
    dLoss: 1,
    P: 0.7,
    d: 0.9,
    w1: 1,
    w2: 1,
    E: 1,
    foreground: 'L2',
    eps: 1e-2,
    selectiveEps: 0,
    biasGradient: 'detach',
    statisticsGradient: 'detach',
    range: 'natural',
    rangeEpochs: 5,
    classesAtOnce: null,
  },
};

/** Settings of images of one's own; only where they lie has to be said. Nothing is varied unless asked for. */
export const imageDefaults: Omit<ImageDataConfig, 'source'> = {
  dataset: 'images',
  height: 128,
  width: 128,
  channels: 1,
  resize: 'stretch',
  cropMargin: 0,
  maskMargin: 0,
  emptyMasks: 'error',
  augment: { flip: false, rotate: 0, brightness: 0, contrast: 0 },
  workers: null,
  prefetch: 4,
  cacheMegabytes: 1024,
};

/** Settings of a network by name; only its name has to be said. */
export const networkDefaults = { dropout: null, negativeSlope: 0, weights: null } as const;

/** Of networks by name. Adam's own default: deep ones do not survive the steps that small-cnn thrives on. */
export const NETWORK_LEARNING_RATE = 1e-3;

/** What is completed: the quickstart, or for another network than small-cnn the same with settings that suit it. */
function defaultsFor(kind: string): Section {
  if (kind === 'small-cnn') return quickstartConfig;
  const { classifier, isnet } = quickstartConfig;
  return {
    ...quickstartConfig,
    model: networkDefaults,
    classifier: { ...classifier, learningRate: NETWORK_LEARNING_RATE },
    isnet: { ...isnet, learningRate: NETWORK_LEARNING_RATE },
  };
}

/** Settings of the images, by the name of the data set. */
function dataDefaults(dataset: DataConfig['dataset'] = quickstartConfig.data.dataset): Section {
  if (dataset === 'images') return imageDefaults;
  // A misspelt name has the settings of the quickstart: what is complained of is the name.
  return dataset !== 'mnist-marker' && benchmarkNames.includes(dataset)
    ? { ...benchmarkDefaults, maskMargin: 0 }
    : quickstartConfig.data;
}

/**
 * The settings given, in order of rising weight, over those of `quickstartConfig`. A section is completed setting by
 * setting, and so is `augment`; a list or `P` or `range` is replaced as a whole. Images of one's own start from
 * `imageDefaults`, benchmarks but the quickstart's from `benchmarkDefaults`, other networks than small-cnn from `networkDefaults` and a learning rate of 1e-3. What is null in the settings of one network is left to the defaults of another that follows. Throws UsageError as `parseRunConfig` does.
 */
export function completeConfig(given: readonly PartialRunConfig[], where = 'config'): RunConfig {
  const data = dataDefaults(
    given.findLast((settings) => settings?.data?.dataset !== undefined)?.data?.dataset,
  );
  const kind = given.findLast((settings) => settings?.model?.kind !== undefined)?.model?.kind ?? 'small-cnn';
  const merged: Record<string, unknown> = { ...defaultsFor(kind), data };
  let writtenFor = kind;
  for (const settings of given) {
    if (!isSection(settings)) {
      throw new UsageError(`${where}: the settings are no object; use { "seed": 1, "isnet": { "P": 0.5 } }`);
    }
    writtenFor = settings.model?.kind ?? writtenFor;
    for (const [key, section] of Object.entries(settings)) {
      if (section === undefined) continue;
      const before = merged[key];
      // Null is a network's own dropout, and says nothing of another's.
      const isOfAnother = key === 'model' && writtenFor !== kind;
      const value = isOfAnother && isSection(section) ? without(null, section) : section;
      merged[key] = isSection(before) && isSection(value) ? completed(before, value) : value;
    }
  }
  return parseRunConfig(merged, where);
}

function completed(before: Section, value: Section): Section {
  const settings = { ...before, ...without(undefined, value) };
  const [known, given] = [before.augment, value.augment];
  return isSection(known) && isSection(given)
    ? { ...settings, augment: { ...known, ...without(undefined, given) } }
    : settings;
}

type Section = Readonly<Record<string, unknown>>;

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Without the settings that are null, or undefined: an option that was not given must not erase the default. */
function without(nothing: null | undefined, section: Section): Section {
  return Object.fromEntries(Object.entries(section).filter(([, value]) => value !== nothing));
}
