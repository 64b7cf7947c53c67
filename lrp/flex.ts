// LRP-Flex (arXiv:2401.08409): for ReLU networks epsilon-LRP is gradient times input with another slope at the ReLUs.

import { UsageError } from '../engine/errors.ts';
import { stepOfOp } from '../engine/grad.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { concat, slice } from '../engine/ops/layout.ts';
import { stabilizedDivide } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Step, walk } from '../engine/walk.ts';
import { affineCallOf, affineInput } from './affine.ts';
import type { Composite } from './composite.ts';
import { ForwardPass } from './forward-pass.ts';
import { mapCount } from './maps.ts';
import { contextOf, type RelevanceOptions } from './relevance.ts';

/** The step at a ReLU y = max(z, 0):   g_in = g_out y / (y + eps)   instead of g_out [y > 0]. */
function reluStep(t: Tensor, eps: number): Step {
  const { inputs } = t.origin as NonNullable<Tensor['origin']>;
  return { inputs, pull: (g) => mul(g, stabilizedDivide(t, t, eps)) };
}

/** The first layer, entered at its ReLU: from here on a rule takes over, on relevance y g. */
function firstLayerStep(t: Tensor, composite: Composite, pass: ForwardPass): Step | null {
  const z = t.origin?.op.name === 'relu' ? t.origin.inputs[0] : null;
  const input = z && affineInput(z);
  if (!z?.call || !input || pass.hasLayerBefore(input)) return null;
  const rule = composite.ruleFor(contextOf(z, input, pass));
  if (!rule) return null;
  return {
    inputs: [input],
    pull(g) {
      const call = affineCallOf(z, composite);
      return call && rule.propagate(call, mul(t, g));
    },
  };
}

/** A first layer is entered at its ReLU or not at all: beyond it the signal is a gradient, to which no rule applies. */
function checkFirstLayer(t: Tensor, composite: Composite, pass: ForwardPass): void {
  const input = affineInput(t);
  if (!input || pass.hasLayerBefore(input)) return;
  const context = contextOf(t, input, pass);
  if (!composite.ruleFor(context)) return;
  throw new UsageError(
    `lrp-flex: the output of the first layer '${context.name || context.kind}' does not go into a ReLU alone; use relevance, or a composite without a rule there`,
  );
}

/**
 * Relevance of the input [K N, ...] by LRP-Flex, for gradients `seed` [K N, ...] at the output (not relevances). The
 * composite says what happens at the first layer; without a rule there, relevance is input times gradient.
 * Equal to epsilon-LRP with eps at ReLUs and none at the last layer and the pools. Throws as `relevance` does.
 */
export function flexRelevance({ output, seed, input, composite, model }: RelevanceOptions): Tensor {
  const count = mapCount(seed.shape, output.shape);
  const pass = new ForwardPass(input, output, model);
  let isRelevance = false;
  const stepOf = (t: Tensor): Step | null => {
    if (t === input) return null;
    const first = firstLayerStep(t, composite, pass);
    if (first) {
      isRelevance = true;
      return first;
    }
    checkFirstLayer(t, composite, pass);
    return t.origin?.op.name === 'relu' ? reluStep(t, composite.eps) : stepOfOp(t);
  };
  // One walk per map: gradients through batch statistics mix samples, so maps must not share a batch here.
  const N = output.shape[0];
  const maps = Array.from({ length: count }, (_, k) => {
    const starts = seed.shape.map((_, axis) => (axis === 0 ? k * N : 0));
    const g = slice(seed, starts, output.shape);
    const found = walk({ output, seed: g, targets: [input], stepOf }).get(input);
    if (!found)
      throw new UsageError('lrp: no signal reaches the input; run the forward pass on this very tensor');
    return isRelevance ? found : mul(found, input);
  });
  return concat(maps, 0);
}
