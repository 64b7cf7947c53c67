// GAIN with masks: Grad-CAM of the shown class is to be the mask, and without what it covers the class is to be gone.
import { add, div, mean, mul, sub } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { maximum, sigmoid } from '../../engine/ops/pointwise.ts';
import { softmax } from '../../engine/ops/softmax.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { gradCam } from '../../lrp/attributions/grad-cam.ts';
import type { Module } from '../../nn/module.ts';
import { type Batch, type ClassificationOptions, classificationLoss, type Losses } from '../objective.ts';
import { maskError } from './masks.ts';
import { type Method, singlePhase } from './method.ts';

export interface GainOptions {
  /** Weight of attention mining; default 1. */
  readonly alpha?: number;
  /** Weight of the masks; default 10. */
  readonly omegaMasks?: number;
  /** Steepness and place of the threshold; default 10 and 0.5. */
  readonly steepness?: number;
  readonly threshold?: number;
  /** Whose output Grad-CAM looks at; default: the last layer whose output is maps. */
  readonly layer?: string;
}

/** Grad-CAM [N, 1, H, W] of the sum of the shown classes' logits, differentiable. See `gradCam`. */
export const gainMap = (model: Module, { images, targets }: Batch, logits: Tensor, layer?: string): Tensor =>
  gradCam(model, images, { logits, target: targets, layer });

/** I* = I - T(A) I with T(A) = 1 / (1 + e^(-steepness (A - threshold))): the image without what the map covers. */
export function withoutAttended(
  images: Tensor,
  map: Tensor,
  { steepness = 10, threshold = 0.5 }: GainOptions,
) {
  const covered = sigmoid(mul(sub(map, threshold), steepness));
  return mul(images, sub(1, covered));
}

/** Mean over images of the probability of the shown class; where several are shown, of their mean: []. */
function shownProbability(logits: Tensor, targets: Tensor, isMultiLabel = false): Tensor {
  const P = isMultiLabel ? sigmoid(logits) : softmax(logits);
  const shown = sum(mul(P, targets), [1]);
  return mean(isMultiLabel ? div(shown, maximum(sum(targets, [1]), 1)) : shown);
}

/**
 * L = cross-entropy(z, t) + alpha mean_n p_t(I - T(A) I) + omega mean_n mean_i (A_i - M_i)^2        Li et al. 2018
 * for the Grad-CAM A of the shown class, not normalised. Where several classes are shown, A is that of their sum.
 */
export function gainLosses(
  model: Module,
  batch: Batch,
  gain: GainOptions = {},
  options: ClassificationOptions = {},
): Losses {
  const { alpha = 1, omegaMasks = 10 } = gain;
  const { images, targets } = batch;
  const logits = model.forward(images);
  const classification = classificationLoss(logits, batch, options);
  const A = gainMap(model, batch, logits, gain.layer);
  const rest = model.forward(withoutAttended(images, A, gain));
  const mining = shownProbability(rest, targets, options.isMultiLabel);
  const attention = add(mul(mining, alpha), mul(maskError(A, batch), omegaMasks));
  return { logits, total: add(classification, attention), classification, heatmap: attention };
}

/** The method with these weights. */
export const gainMethod = (options: GainOptions = {}): Method => ({
  name: 'gain',
  title: 'GAIN with masks',
  source: 'Li et al. 2018, CVPR, arXiv:1802.10171',
  loss: 'L = cross-entropy(z, t) + alpha mean p_t(x - T(A) x) + omega mean (A - M)^2,   alpha = 1, omega = 10, A = Grad-CAM',
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan({ init, input, networks, ...classification }) {
    const settings = { layer: networks.attentionLayer, ...options };
    return singlePhase(networks.classifier(init, input), (model, batch) =>
      gainLosses(model, batch, settings, classification),
    );
  },
});
