// Does the attribution add up to what it explains?
import { add, div, sub } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { abs } from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { type AttributionOptions, explainedRows, type Score, scoreOf } from '../attributions/attribution.ts';
import { asRows } from './statistics.ts';

export interface ScoreOptions extends AttributionOptions {
  /** Default 'logit'. */
  readonly score?: Score;
}

/** The explained number f [N] of each image, e.g. to compare attributions with; in evaluation mode unless logits are given. */
export function explainedScore(model: Module, x: Tensor, options: ScoreOptions = {}): Tensor {
  const logits = options.logits ?? inEvaluation(model, () => model.forward(x));
  return scoreOf(logits, explainedRows(logits, options.target), options.score);
}

/**
 * Completeness error [N]:   |sum_i a_i - f| / (|f| + 1e-12).   f [N] is what a should add up to: the explained logit for
 * LRP, f(x) - f(baseline) for integrated gradients. Quantus asks for equality and answers yes or no; Captum's delta is the
 * difference, without the denominator.
 */
export function completenessError(a: Tensor, f: Tensor): Tensor {
  return div(abs(sub(sum(asRows(a), [1]), f)), add(abs(f), 1e-12));
}
