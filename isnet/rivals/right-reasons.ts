// Right for the right reasons: the slope of the answers in background pixels is penalised.

import { constant } from '../../engine/create.ts';
import { adjoint } from '../../engine/grad.ts';
import { add, mul, neg, square, sub } from '../../engine/ops/arithmetic.ts';
import { expand, sum } from '../../engine/ops/broadcast.ts';
import { softplus } from '../../engine/ops/pointwise.ts';
import { logSoftmax } from '../../engine/ops/softmax.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { type Batch, type ClassificationOptions, classificationLoss, type Losses } from '../objective.ts';
import { imageMasks, overMasked } from './masks.ts';
import { type Method, singlePhase } from './method.ts';

export const DEFAULT_LAMBDA = 0.1;

export interface RightReasonsOptions {
  /** Weight lambda of the penalty; default 0.1. Its size is that of gradients, so other images may need another. */
  readonly lambda?: number;
}

/** d/dx sum_k log p_k [N, C, H, W], for probabilities by softmax, or by logistic where several classes may be shown. */
export function logProbabilityGradient(images: Tensor, logits: Tensor, isMultiLabel = false): Tensor {
  const logP = isMultiLabel ? neg(softplus(neg(logits))) : logSoftmax(logits);
  return adjoint(logP, [images], expand(constant(logits.device, 1), logP.shape))[0];
}

/**
 * L = cross-entropy(z, t) + lambda mean_n sum_i ((1 - M_i) d/dx_i sum_k log p_k)^2       Ross et al. 2017
 * Their weight decay is the optimiser's. Unlike the ISNet authors' version it does not depend on the size of the batch.
 */
export function rightReasonsLosses(
  model: Module,
  batch: Batch,
  { lambda = DEFAULT_LAMBDA }: RightReasonsOptions = {},
  options: ClassificationOptions = {},
): Losses {
  const { images } = batch;
  const logits = model.forward(images);
  const classification = classificationLoss(logits, batch, options);
  const gradient = logProbabilityGradient(images, logits, options.isMultiLabel);
  const wrong = mul(gradient, sub(1, imageMasks(batch)));
  const penalty = overMasked(sum(square(wrong), [1, 2, 3]), batch);
  return { logits, total: add(classification, mul(penalty, lambda)), classification, heatmap: penalty };
}

/** The method with this weight. */
export const rightReasonsMethod = ({ lambda = DEFAULT_LAMBDA }: RightReasonsOptions = {}): Method => ({
  name: 'right-reasons',
  title: 'RRR (right for the right reasons)',
  source: 'Ross, Hughes and Doshi-Velez 2017, IJCAI, arXiv:1703.03717',
  loss: `L = cross-entropy(z, t) + lambda mean_n sum_i ((1 - M_i) d/dx_i sum_k log p_k)^2,   lambda = ${lambda}`,
  data: 'biased',
  needsMasks: true,
  needsMasksAtTest: false,
  plan: ({ init, input, networks, ...classification }) =>
    singlePhase(networks.classifier(init, input), (model, batch) =>
      rightReasonsLosses(model, batch, { lambda }, classification),
    ),
});
