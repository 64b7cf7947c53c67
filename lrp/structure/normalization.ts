// LayerNorm and GroupNorm as affine calls: the deviation of each sample counts as a constant, the rest is affine.
import { detach } from '../../engine/create.ts';
import { div } from '../../engine/ops/arithmetic.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { SampleNorm } from '../../nn/layer-norm.ts';
import type { Params } from '../../nn/module.ts';
import type { AffineCall, GradientPolicy } from '../affine.ts';
import { repeatPerMap } from '../maps.ts';

/** Whether a LayerNorm or GroupNorm made t. */
export const isNormalized = (t: Tensor): boolean => t.call?.layer instanceof SampleNorm;

/**
 * The call y = weight (x - mean x) / sigma + bias with sigma as it was in the forward pass, or null if none made `t`.
 * By the epsilon rule:   R_i = x_i (c_i - mean_j c_j),  c = weight s / sigma,  s = R / (y + eps sign y)
 * AttnLRP, arXiv:2402.05602, Prop. 3.4 for 1 / sigma (identity), the epsilon rule for the subtraction of the mean. Rules
 * that look at signs of weights do not apply: `weight` is not the matrix of this map, which mixes its inputs.
 */
export function normalizationCall(t: Tensor, policy: GradientPolicy): AffineCall | null {
  const layer = t.call?.layer;
  if (!t.call || !(layer instanceof SampleNorm)) return null;
  const { input, params } = t.call;
  const recorded = layer.deviation(layer.centered(input));
  const sigma = policy.statisticsGradient === 'detach' ? detach(recorded) : recorded;
  const bias = policy.bias === 'detach' && params.bias ? detach(params.bias) : (params.bias ?? null);
  return {
    x: input,
    params: { weight: params.weight, bias: policy.bias === 'zero' ? null : bias },
    apply(x, { weight, bias: shift }) {
      const own = repeatPerMap(sigma, x.shape[0] / input.shape[0]);
      const affine: Params = shift ? { weight, bias: shift } : { weight };
      return layer.affine(div(layer.centered(x), own), affine);
    },
    layer,
  };
}
