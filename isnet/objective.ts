// What an ISNet minimises: L = (1 - P) L_classification + P L_heatmap, and what an ordinary classifier does: P = 0.
import { detach, literal } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { max } from '../engine/ops/argmax.ts';
import { add, mul, sub, sumProduct } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { permute } from '../engine/ops/layout.ts';
import { scope } from '../engine/scope.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { bceWithLogits, crossEntropy } from '../nn/loss.ts';
import type { Module } from '../nn/module.ts';
import { checkClassesAtOnce, classGroups, mapCountOf, masksOfClasses } from './class-groups.ts';
import { masksAt, overDepths } from './deep-supervision.ts';
import { type HeatmapLossOptions, heatmapLoss, meanWhere } from './heatmap-loss.ts';
import { type MapOptions, relevanceMaps, ruleCountOf } from './maps.ts';
import type { RunningRange } from './running-range.ts';
import { type ClassRange, needsSoftmax, type Variant } from './seeds.ts';

/** What the classification loss is. */
export interface ClassificationOptions {
  /** An image may show several classes: one logistic per class (BCE with logits), not one softmax. */
  readonly isMultiLabel?: boolean;
  /** Of BCE: one weight per class for images that show it. */
  readonly posWeight?: readonly number[];
  /** Of the softmax: one weight per class; the loss is the mean over images by the weights of their classes. */
  readonly classWeights?: readonly number[];
}

/** Options of the heatmap part; see `heatmapLoss` for the loss itself and `relevanceMaps` for the maps. */
export interface IsnetOptions
  extends Omit<HeatmapLossOptions, 'C1' | 'C2' | 'mapCount'>,
    Omit<MapOptions, 'classes'>,
    ClassificationOptions {
  /**
   * Natural range of the foreground relevance: for all maps, or one number per depth and rule (depths outside; `dual` has
   * two rules, z+ and epsilon). Default 1 and 25.
   */
  readonly C1?: number | readonly number[];
  readonly C2?: number | readonly number[];
  /** Estimates C1 and C2 in place of those. */
  readonly runningRange?: RunningRange;
  /** Deep supervision pools the losses of depths by GWRP with this decay: 1 is their mean, 0 the largest. Default 1. */
  readonly dLoss?: number;
  /**
   * Of variant `original`: classes whose maps are there at a time. A training step takes one group after another, each with
   * its own gradient pass, and adds up; the numbers are those of all classes at once up to rounding. All by default.
   */
  readonly classesAtOnce?: number;
}

/** A batch on the device. */
export interface Batch {
  /** [N, C, H, W] in [0, 1] */
  readonly images: Tensor;
  /** [N, classes]: one-hot, or 1 for every class that is shown. */
  readonly targets: Tensor;
  /** 1 = foreground: [N, 1, H, W], or [N, classes, H, W] with a mask for each class. */
  readonly masks: Tensor;
  /**
   * [N], 0 for images without a mask: they count for classification only. All have one if left out. Give it in all batches
   * of a training or in none: a captured step is recorded anew for other inputs.
   */
  readonly hasMask?: Tensor;
  /** [N, classes], 0 where it is not known whether the class is shown; only BCE looks at it. All are if left out. */
  readonly known?: Tensor;
}

export interface Losses {
  readonly logits: Tensor;
  readonly total: Tensor;
  readonly classification: Tensor;
  /** Null for an ordinary classifier. */
  readonly heatmap: Tensor | null;
}

/** Cross-entropy, or binary cross-entropy over the known classes: []. */
export function classificationLoss(logits: Tensor, batch: Batch, options: ClassificationOptions): Tensor {
  const { targets, known } = batch;
  const { isMultiLabel, classWeights, posWeight } = options;
  const row = (weights?: readonly number[]) => weights && literal(logits.device, weights, [weights.length]);
  if (!isMultiLabel) return crossEntropy(logits, targets, { weight: row(classWeights) });
  return bceWithLogits(logits, targets, { posWeight: row(posWeight), known });
}

/**
 * Takes a term of the total as soon as it is there, with its gradient: what only that term was made of need not be kept. It
 * then has no slope in the total, only its numbers.
 */
export type TakeTerm = (term: Tensor) => void;

/**
 * What a training minimises: the losses of a batch, recorded. A captured step calls it once for each size of batch. It may
 * hand over terms of the total before it returns; most have no need to.
 */
export type Objective = (model: Module, inputs: Batch & StepNumbers, takeTerm?: TakeTerm) => Losses;

/** What an ordinary classifier minimises. It looks neither at P nor at the masks. */
export const classifierObjective =
  (options: ClassificationOptions = {}): Objective =>
  (model, inputs) =>
    classifierLosses(model, inputs, options);

/** What an ISNet minimises. Steps throw what `isnetLosses` throws. */
export const isnetObjective =
  (options: IsnetOptions): Objective =>
  (model, inputs, takeTerm) =>
    isnetLosses(model, inputs, options, inputs, takeTerm);

/** Loss of an ordinary classifier: the classification loss. */
export function classifierLosses(model: Module, batch: Batch, options: ClassificationOptions = {}): Losses {
  const logits = model.forward(batch.images);
  const classification = classificationLoss(logits, batch, options);
  return { logits, total: classification, classification, heatmap: null };
}

/** What changes from step to step besides the batch; tensors, so that a captured step can contain the loss. */
export interface StepNumbers {
  /** Weight of the heatmap loss in [0, 1]: []. */
  readonly P: Tensor;
  /** What the stochastic variant draws: [2], whole numbers (seed, counter) below 2^24. */
  readonly key: Tensor;
}

/**
 * Loss of an ISNet, all parts recorded; with `takeTerm` the losses of groups of classes go there, if there are groups. Throws
 * UsageError and ShapeError for options and batches that do not fit.
 */
export function isnetLosses(
  model: Module,
  batch: Batch,
  options: IsnetOptions,
  { P, key }: StepNumbers,
  takeTerm?: TakeTerm,
): Losses {
  checkLabels(options);
  checkClassesAtOnce(options);
  const logits = model.forward(batch.images);
  const classification = classificationLoss(logits, batch, options);
  const losses = (classes?: ClassRange) => heatmapLossOf(model, batch, logits, options, key, classes);
  const heatmap = classGroups(logits.shape[1], options.classesAtOnce)
    .map((classes) => {
      if (!classes || !takeTerm) return losses(classes);
      return scope(logits.device, () => {
        const loss = losses(classes);
        takeTerm(mul(loss, P));
        return detach(loss);
      });
    })
    .reduce((all, loss) => add(all, loss));
  const total = add(mul(classification, sub(1, P)), mul(heatmap, P));
  return { logits, total, classification, heatmap };
}

/** The heatmap loss [] of all maps, or what those of some classes add to it. */
function heatmapLossOf(
  model: Module,
  batch: Batch,
  logits: Tensor,
  options: IsnetOptions,
  key: Tensor,
  classes?: ClassRange,
): Tensor {
  const { depths, gradient } = relevanceMaps(model, batch.images, logits, { ...options, classes }, key);
  const masks = masksOfMaps(batch.masks, options.variant, gradient);
  const bounds = boundsOf(options, depths, model.isTraining);
  // A class that is not in the image has no mask, which says nothing about the others' background.
  const { emptyMasks = batch.masks.shape[1] > 1 ? 'skip' : 'all-background', dLoss = 1 } = options;
  const losses = depths.map((maps, depth) => {
    const masksHere = masksAt(masks, [maps.shape[3], maps.shape[4]]);
    const { perSample, counts } = heatmapLoss(maps, masksOfClasses(masksHere, classes), {
      ...options,
      ...bounds(depth),
      emptyMasks,
      mapCount: classes && mapCountOf(masksHere, logits.shape[1], emptyMasks),
    });
    const { hasMask } = batch;
    return meanWhere(perSample, counts && hasMask ? mul(counts, hasMask) : (counts ?? hasMask ?? null));
  });
  return overDepths(losses, dLoss);
}

/** Throws UsageError for a variant that explains a softmax where there is none. */
export function checkLabels({ variant, isMultiLabel }: Pick<IsnetOptions, 'variant' | 'isMultiLabel'>): void {
  if (isMultiLabel && needsSoftmax(variant)) {
    throw new UsageError(
      `isnet: variant ${variant} explains a softmax, and several classes may be shown at once; use variant stochastic, original or dual`,
    );
  }
}

/**
 * Masks as `heatmapLoss` takes them. Of one mask per class, a map of one logit gets that of its class; a map of several
 * logits gets all, since what is foreground to one of them may be evidence for it.
 */
export function masksOfMaps(masks: Tensor, variant: Variant, gradient: Tensor): Tensor {
  const [N, count, H, W] = masks.shape;
  if (count === 1) return masks;
  const C = gradient.shape[1];
  if (count !== C) {
    throw new ShapeError(
      `isnet: the masks are ${formatShape(masks.shape)} and there are ${C} classes; give one mask per image, or one per class`,
    );
  }
  if (variant === 'original') return reshape(permute(masks, [1, 0, 2, 3]), [C, N, 1, H, W]);
  if (variant !== 'stochastic') return max(masks, [1], { keepDims: true });
  return sumProduct(masks, reshape(gradient, [N, C, 1, 1]), [1], { keepDims: true });
}

type Bounds = Pick<HeatmapLossOptions, 'C1' | 'C2'>;

/** C1 and C2 of each depth, as given or as estimated; a training step lets the estimate see its maps first. */
function boundsOf(
  options: IsnetOptions,
  depths: readonly Tensor[],
  isTraining: boolean,
): (depth: number) => Bounds {
  const { C1, C2, runningRange } = options;
  const ruleCount = ruleCountOf(options);
  if (runningRange) {
    if (isTraining) runningRange.update(depths, ruleCount);
    return (depth) => runningRange.bounds(depth, ruleCount);
  }
  const count = ruleCount * depths.length;
  const part = (name: 'C1' | 'C2', value: typeof C1, depth: number) => {
    if (value === undefined || typeof value === 'number') return value;
    if (value.length !== count) {
      throw new UsageError(
        `isnet: ${name} has ${value.length} numbers for ${depths.length} depths and ${ruleCount} rules; give one, or ${count}`,
      );
    }
    // The maps of one rule share a range; those of two rules have their own.
    return ruleCount === 1 ? value[depth] : value.slice(depth * ruleCount, (depth + 1) * ruleCount);
  };
  return (depth) => ({ C1: part('C1', C1, depth), C2: part('C2', C2, depth) });
}
