// One rule on one layer, with free tensors for everything it depends on.
import type { Tensor } from '../engine/tensor.ts';
import type { BiasPolicy } from '../lrp/affine.ts';
import { composite } from '../lrp/composite.ts';
import { relevance } from '../lrp/relevance.ts';
import type { Rule } from '../lrp/rule.ts';
import type { AffineLayer } from '../nn/layers.ts';

/** Relevance of a layer call with free tensors for its parameters, as `forward` would record it. */
export function applied(
  layer: AffineLayer,
  rule: Rule,
  [x, weight, bias, seed]: Tensor[],
  policy: BiasPolicy = 'keep',
) {
  const params = { weight, bias };
  const z = layer.apply(x, params);
  z.call = { layer, input: x, params };
  const only = composite('one rule', [{ rule }], { bias: policy });
  return relevance({ output: z, seed, input: x, composite: only });
}
