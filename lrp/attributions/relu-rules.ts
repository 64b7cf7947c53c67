// Guided backpropagation and the deconvnet: the backward walk of autograd with another step at ReLUs.
//
//                      signal R at y = max(z, 0)      passes on
//   gradient           R [z > 0]                      what the forward pass let through
//   deconvnet          R [R > 0]                      what is positive on the way back
//   guided backprop    R [z > 0] [R > 0]              both
//
// At leaky ReLUs [z > 0] is their slope, as in the gradient.
import { UsageError } from '../../engine/errors.ts';
import { stepOfOp } from '../../engine/grad.ts';
import { relu } from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { walk } from '../../engine/walk.ts';
import type { Module } from '../../nn/module.ts';
import { type AttributionOptions, onForwardPass } from './attribution.ts';

/** What a ReLU hands back of the signal R; `slope` is what autograd does there. */
type ReluRule = (R: Tensor, slope: (R: Tensor) => Tensor | null) => Tensor | null;

const rectifiers: ReadonlySet<string> = new Set(['relu', 'leakyRelu']);

/** The signal at x, with `rule` for every ReLU, leaky or not; all other ops, max-pooling's switches included, as in autograd. */
function walkWithRelu(model: Module, x: Tensor, options: AttributionOptions, rule: ReluRule): Tensor {
  return onForwardPass(model, x, options, ({ logits, rows }) => {
    const stepOf = (t: Tensor) => {
      if (t === x) return null;
      const step = stepOfOp(t);
      if (!step || !rectifiers.has(t.origin?.op.name ?? '')) return step;
      const [z] = step.inputs;
      return { inputs: [z], pull: (R: Tensor) => rule(R, (S) => step.pull(S, 0)) };
    };
    const found = walk({ output: logits, seed: rows, targets: [x], stepOf }).get(x);
    if (!found)
      throw new UsageError('attribution: no signal reaches the input; check the target and the model');
    return found;
  });
}

/**
 * Guided backpropagation [N, C, H, W]:   R_in = R_out [z > 0] [R_out > 0] at ReLUs        Springenberg et al. 2015
 * Unlike theirs it knows leaky ReLUs, whose slope stands for [z > 0].
 * Throws as `gradient` does.
 */
export function guidedBackprop(model: Module, x: Tensor, options: AttributionOptions = {}): Tensor {
  return walkWithRelu(model, x, options, (R, slope) => slope(relu(R)));
}

/**
 * Deconvnet [N, C, H, W]:   R_in = R_out [R_out > 0] at ReLUs        Zeiler and Fergus 2014
 * Unlike theirs it starts from one logit instead of one feature map. Throws as `gradient` does.
 */
export function deconvnet(model: Module, x: Tensor, options: AttributionOptions = {}): Tensor {
  return walkWithRelu(model, x, options, (R) => relu(R));
}
