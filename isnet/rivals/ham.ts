// HAM: three levels of attention (foreground, any class, each class), tied to each other and, where there are masks, to them.
import { max } from '../../engine/ops/argmax.ts';
import { add, div, mul, neg, square, sub, sumProduct } from '../../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../../engine/ops/broadcast.ts';
import { maximum, sigmoid, step } from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { bceWithLogits } from '../../nn/loss.ts';
import type { HamNet, HamResults } from '../../nn/models/ham-net.ts';
import { upsampleBilinear } from '../../nn/resample.ts';
import { type Batch, type ClassificationOptions, classificationLoss, type Losses } from '../objective.ts';
import { type Method, singlePhase } from './method.ts';

/** Weights of the parts; the defaults are the authors'. */
export interface HamOptions {
  /** Of the logit of "any class". Default 0.01. */
  readonly any?: number;
  /** Of the masks. Default 0.5. */
  readonly masks?: number;
  /** Of class maps that leave the map of "any class", and of that leaving them. Default 0.001 each. */
  readonly bound?: number;
  readonly union?: number;
}

// The authors' thresholds: of normalised maps beside masks, of raw maps beside each other; and their steepness.
const MASK_THRESHOLD = 0.4;
const MAP_THRESHOLD = 0.75;
const STEEPNESS = 100;
// Maps that are all alike, or empty, must not be divided by 0.
const TINY = 1e-5;

const threshold = (map: Tensor, at: number): Tensor => sigmoid(mul(sub(map, at), STEEPNESS));
const minimum = (a: Tensor, b: Tensor): Tensor => neg(maximum(neg(a), neg(b)));
const overPlaces = (map: Tensor): Tensor => sum(map, [2, 3]);

/** Maps [N, K, h, w] at the size of the image, each from 0 to 1 by its extremes, then cut at 0.4 softly. */
export function refined(maps: Tensor, size: readonly [number, number]): Tensor {
  const large = upsampleBilinear(maps, size);
  const high = max(large, [2, 3], { keepDims: true });
  const low = neg(max(neg(large), [2, 3], { keepDims: true }));
  return threshold(div(sub(large, low), maximum(sub(high, low), TINY)), MASK_THRESHOLD);
}

/** Share of each map A [N, K, h, w] that is not strong, or not inside of B: [N, K]. */
const outsideOf = (A: Tensor, B: Tensor): Tensor => {
  const inside = overPlaces(mul(minimum(A, B), threshold(A, MAP_THRESHOLD)));
  const total = overPlaces(A);
  return div(sub(total, inside), maximum(total, TINY));
};

/** Mean of the columns of [1, K] that are present (1 rather than 0): []. */
const overPresent = (columns: Tensor, present: Tensor): Tensor =>
  div(sumProduct(columns, present), maximum(sum(present), 1));

/** Mean over the images that show a class, then over the classes that are shown at all, of [N, K]: []. */
function overShown(values: Tensor, shown: Tensor): Tensor {
  const counts = sum(shown, [0], { keepDims: true });
  const means = div(sumProduct(values, shown, [0], { keepDims: true }), maximum(counts, 1));
  return overPresent(means, step(counts));
}

/** sum (A - M)^2 / sum (A + M) for the shown classes' refined maps, over images with a mask; mean over classes: []. */
function maskPart(maps: Tensor, { targets, masks, hasMask }: Batch): Tensor {
  const [N] = targets.shape;
  const M = expand(masks, maps.shape);
  const supervised = hasMask ? mul(targets, reshape(hasMask, [N, 1])) : targets;
  const total = (perPlace: Tensor) => sumProduct(overPlaces(perPlace), supervised, [0], { keepDims: true });
  const ratio = div(total(square(sub(maps, M))), maximum(total(add(maps, M)), TINY));
  return overPresent(ratio, step(sum(supervised, [0], { keepDims: true })));
}

/** The parts of HAM's loss besides that of the classes, not weighted: each []. */
export function hamParts(results: HamResults, batch: Batch) {
  const { targets, images } = batch;
  const [N, K] = targets.shape;
  const { classMaps, foreground, foregroundMap } = results;
  const isAny = max(targets, [1], { keepDims: true });
  const ofShown = (maps: Tensor, shown: Tensor) => mul(maps, reshape(shown, [...shown.shape, 1, 1]));
  const C = ofShown(classMaps, targets);
  const F = ofShown(foregroundMap, isAny);
  const [, , H, W] = images.shape;
  return {
    any: bceWithLogits(foreground, isAny),
    masks: maskPart(refined(classMaps, [H, W]), batch),
    bound: overShown(outsideOf(C, expand(F, C.shape)), reshape(targets, [N, K])),
    union: overShown(outsideOf(F, max(C, [1], { keepDims: true })), isAny),
  };
}

/**
 * L = L_classes + 0.01 L_any + 0.5 L_masks + 0.001 L_bound + 0.001 L_union        Ouyang et al. 2021, weights of their code
 *   L_any     BCE of the logit of "any class"
 *   L_masks   sum (A - M)^2 / sum (A + M) for the refined maps A of shown classes
 *   L_bound   1 - sum min(C, F) s(C) / sum C for the map C of a shown class and that of "any class", F
 *   L_union   1 - sum min(max C, F) s(F) / sum F
 * with s(A) = 1 / (1 + e^(-100 (A - 0.75))). L_classes is cross-entropy where one class is shown, BCE otherwise.
 */
export function hamLosses(
  model: HamNet,
  batch: Batch,
  weights: HamOptions = {},
  options: ClassificationOptions = {},
): Losses {
  const { any = 0.01, masks = 0.5, bound = 0.001, union = 0.001 } = weights;
  const results = model.run(batch.images);
  const classification = classificationLoss(results.logits, batch, options);
  const parts = hamParts(results, batch);
  const attention = add(
    add(mul(parts.any, any), mul(parts.masks, masks)),
    add(mul(parts.bound, bound), mul(parts.union, union)),
  );
  const total = add(classification, attention);
  return { logits: results.logits, total, classification, heatmap: attention };
}

/** The method with these weights. */
export const hamMethod = (options: HamOptions = {}): Method => ({
  name: 'ham',
  title: 'HAM (hierarchical attention mining)',
  source: 'Ouyang et al. 2021, IEEE Transactions on Medical Imaging 40(10), arXiv:2112.12349',
  loss: 'L = L_classes + 0.01 L_any + 0.5 L_masks + 0.001 L_bound + 0.001 L_union',
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan({ init, input, networks, ...classification }) {
    const model = networks.ham(init, input);
    return singlePhase(model, (_, batch) => hamLosses(model, batch, options, classification));
  },
});
