// What a training can be told, checked before its first step.
import { UsageError } from '../engine/errors.ts';
import type { Recompute } from '../engine/trace.ts';
import { learningRateAt, type PlateauOptions, type Schedule } from '../nn/schedule.ts';
import { checkClassesAtOnce } from './class-groups.ts';
import { type ClassWeights, classWeightsOf, posWeightOf } from './class-weights.ts';
import type { EmptyMaskPolicy } from './data/dataset.ts';
import type { BatchSource } from './data/source.ts';
import type { EarlyStopping } from './early-stopping.ts';
import {
  type ClassificationOptions,
  classifierObjective,
  type IsnetOptions,
  isnetObjective,
  type Objective,
} from './objective.ts';
import { type HeatmapWeight, heatmapWeightAt } from './weight.ts';

export interface TrainingOptions {
  readonly epochs: number;
  /** Images per step. */
  readonly batchSize: number;
  /**
   * Parts that a batch goes through the device in, one after another: k parts need about a k-th of the memory, and the
   * steps are the same but for rounding, what is drawn, and what looks at a part alone: BatchNorm's statistics, and a running
   * range, which moves once per part. Default 1.
   */
  readonly accumulate?: number;
  /**
   * What a step computes again rather than keep it until it is needed: more work in less memory, with the same bits. `cheap`
   * is all but products of matrices and convolutions. Default 'none'.
   */
  readonly recompute?: Recompute;
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly warmupSteps?: number;
  /** Of the schedules that fall: see `ScheduleOptions` and `PlateauOptions`; epochs. */
  readonly minLearningRate?: number;
  readonly stepSize?: number;
  readonly milestones?: readonly number[];
  readonly gamma?: number;
  readonly plateau?: Omit<PlateauOptions, 'minLearningRate'>;
  /** Ends the training before its last epoch. */
  readonly earlyStopping?: EarlyStopping;
  /** Largest global gradient norm; none by default. */
  readonly clipNorm?: number;
  /** Fixes the order of images and the draws of the stochastic variant. */
  readonly seed: number;
  /** Several classes per image; by default as the training images have it. */
  readonly isMultiLabel?: boolean;
  /** Weights of the classes, for images with one class (`classWeights`) or with several (`posWeight`). */
  readonly classWeights?: ClassWeights;
  readonly posWeight?: ClassWeights;
  /** The heatmap loss and its weight P; without it an ordinary classifier is trained. */
  readonly isnet?: IsnetOptions & { readonly P: HeatmapWeight };
  /**
   * Another loss in place of those two; `P` is its weight then, in place of `isnet.P`. Its total has to be (1 - P) times its
   * classification loss plus P times its heatmap loss, if a batch is to be taken in parts that have masks or not.
   */
  readonly objective?: Objective;
  /** Of an `objective` that looks at P: it needs masks then. */
  readonly P?: HeatmapWeight;
  /** What an empty mask means to the heatmap loss; an error by default. */
  readonly emptyMasks?: EmptyMaskPolicy;
}

/** P over the run; null where no loss looks at it or at the masks. */
export const heatmapWeightOf = ({ objective, isnet, P }: TrainingOptions): HeatmapWeight | null =>
  (objective ? P : isnet?.P) ?? null;

/** What the classification loss is on these images. Throws UsageError for weights that do not fit them. */
export function classificationOf(options: TrainingOptions, source: BatchSource): ClassificationOptions {
  const { isMultiLabel = source.isMultiLabel, classWeights, posWeight } = options;
  if (isMultiLabel ? classWeights : posWeight) {
    throw new UsageError(
      `train: ${isMultiLabel ? 'classWeights are for images with one class each, and these may show several; use posWeight' : 'posWeight is for images that may show several classes, and these show one each; use classWeights'}`,
    );
  }
  return {
    isMultiLabel,
    ...(classWeights ? { classWeights: classWeightsOf(classWeights, source) } : {}),
    ...(posWeight ? { posWeight: posWeightOf(posWeight, source) } : {}),
  };
}

/** What the options minimise, on data whose images show one class or several. */
export function objectiveOf(options: TrainingOptions, source: BatchSource): Objective {
  const { objective, isnet } = options;
  if (objective) return objective;
  const classification = classificationOf(options, source);
  return isnet ? isnetObjective({ ...classification, ...isnet }) : classifierObjective(classification);
}

/** Steps in one epoch of `options` over `count` images; the last, smaller batch counts. */
export const stepsPerEpoch = (count: number, batchSize: number): number => Math.ceil(count / batchSize);

/** Throws UsageError for options that could only fail later. */
export function checkOptions(options: TrainingOptions, hasValidation: boolean): void {
  const { epochs, batchSize, accumulate = 1, learningRate, schedule, earlyStopping } = options;
  const isCount = (n: number) => Number.isInteger(n) && n > 0;
  if (!isCount(epochs) || !isCount(batchSize) || !(learningRate > 0)) {
    throw new UsageError(
      `train: epochs ${epochs}, batch size ${batchSize}, learning rate ${learningRate}; all must be above 0, the first two whole`,
    );
  }
  if (!isCount(accumulate) || batchSize % accumulate !== 0) {
    throw new UsageError(
      `train: ${accumulate} parts of a batch of ${batchSize}; take a whole number of parts that divides it`,
    );
  }
  if (options.isnet) checkClassesAtOnce(options.isnet);
  const watcher = earlyStopping ? 'early stopping' : schedule === 'plateau' ? "schedule 'plateau'" : null;
  if (watcher && !hasValidation) {
    throw new UsageError(
      `train: ${watcher} watches the validation loss, and there are no validation images; give some, or leave it out`,
    );
  }
  // Throws for a schedule that is told too little.
  learningRateAt(options.warmupSteps ?? 0, { ...options, stepCount: epochs, stepsPerEpoch: 1 });
  const weight = heatmapWeightOf(options);
  if (weight === null) return;
  for (let epoch = 0; epoch < epochs; epoch++) heatmapWeightAt(weight, epoch, epoch);
}
