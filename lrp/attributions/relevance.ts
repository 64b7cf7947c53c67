// LRP and LRP-Flex with the signature of the other attributions, so that they can be compared in one table.
import { mul } from '../../engine/ops/arithmetic.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { type Composite, isnetComposite } from '../composite.ts';
import { relevanceOfLogits } from '../explain.ts';
import { flexRelevance } from '../flex.ts';
import { relevance } from '../relevance.ts';
import { type AttributionOptions, onForwardPass } from './attribution.ts';

export interface LrpOptions extends AttributionOptions {
  /** Default: `isnetComposite()`, as for `explain`. */
  readonly composite?: Composite;
}

/** Relevance [N, C, H, W] of f = sum_c w_c z_c, as `explain` gives it. Throws UsageError where an op has no rule. */
export function lrp(model: Module, x: Tensor, options: LrpOptions = {}): Tensor {
  const { composite = isnetComposite() } = options;
  return onForwardPass(model, x, options, ({ logits, rows }) => {
    const seed = mul(rows, relevanceOfLogits(logits, composite));
    return relevance({ output: logits, seed, input: x, composite, model });
  });
}

/** Relevance [N, C, H, W] by LRP-Flex (arXiv:2401.08409), for the gradient rows at the logits. Throws as `lrp` does. */
export function lrpFlex(model: Module, x: Tensor, options: LrpOptions = {}): Tensor {
  const { composite = isnetComposite() } = options;
  return onForwardPass(model, x, options, ({ logits, rows }) =>
    flexRelevance({ output: logits, seed: rows, input: x, composite, model }),
  );
}
