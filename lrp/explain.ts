// From a model and images to heatmaps: the front door of this folder.

import { tensor } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { argmax } from '../engine/ops/argmax.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { oneHot } from '../engine/ops/indexing.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { inEvaluation, type Module } from '../nn/module.ts';
import { affineCallOf } from './affine.ts';
import { type Composite, isnetComposite } from './composite.ts';
import { relevance } from './relevance.ts';

/** Which logit is explained: the largest of each sample, one class for all, or one class per sample. */
export type Target = 'predicted' | number | readonly number[];

export interface ExplainOptions {
  /** Default: epsilon everywhere, z^B on [0, 1] for the image (ISNet's own). */
  readonly composite?: Composite;
  /** Default 'predicted'. */
  readonly target?: Target;
}

export interface Explanation {
  /** [N, C] */
  readonly logits: Tensor;
  /** Relevance of the input, of its shape; its sum is the explained logit, less what biases and stabilisers took. */
  readonly relevance: Tensor;
}

/** One-hot rows [N, C] of the explained classes. Throws UsageError for a class that the logits do not have. */
export function targetRows(logits: Tensor, target: Target): Tensor {
  const [N, C] = logits.shape;
  if (target === 'predicted') return oneHot(argmax(logits, 1), C);
  const classes = typeof target === 'number' ? new Array<number>(N).fill(target) : target;
  if (classes.length !== N || classes.some((c) => !Number.isInteger(c) || c < 0 || c >= C)) {
    throw new UsageError(
      `explain: target [${classes}] does not fit logits ${formatShape(logits.shape)}; give a class 0 to ${C - 1}, or one per image`,
    );
  }
  return oneHot(tensor(logits.device, classes, [N]), C);
}

/**
 * The logits as relevance at the output: the same numbers, but with the composite's bias policy, so that a loss on
 * relevance cannot be met by moving the last bias.
 */
export function relevanceOfLogits(logits: Tensor, composite: Composite): Tensor {
  const call = affineCallOf(logits, composite);
  return call ? call.apply(call.x, call.params) : logits;
}

/** Relevance at the logits [N, C] for one explained logit per image: that logit, and 0 elsewhere. */
export const targetSeed = (logits: Tensor, target: Target, composite: Composite): Tensor =>
  mul(targetRows(logits, target), relevanceOfLogits(logits, composite));

/**
 * Runs the model on x [N, C, H, W] in evaluation mode and explains one logit per image; the model is left as it was. Call
 * it inside a scope, with recording on.
 */
export function explain(model: Module, x: Tensor, options: ExplainOptions = {}): Explanation {
  const { composite = isnetComposite(), target = 'predicted' } = options;
  const logits = inEvaluation(model, () => model.forward(x));
  if (logits.shape.length !== 2) {
    throw new ShapeError(
      `explain: the model's output is ${formatShape(logits.shape)}; it must be logits [N, C]`,
    );
  }
  const seed = targetSeed(logits, target, composite);
  return { logits, relevance: relevance({ output: logits, seed, input: x, composite, model }) };
}
