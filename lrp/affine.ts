// What rules apply to: a layer call seen as z = L(x; weight) + bias, with BatchNorm folded in.
import { detach } from '../engine/create.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import type { LayerCall, Tensor } from '../engine/tensor.ts';
import { affineOf, BatchNorm2d } from '../nn/batch-norm.ts';
import { AffineLayer } from '../nn/layers.ts';
import type { Layer, Params } from '../nn/module.ts';

/** Weight and, where there is one, bias. */
export interface AffineParams {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

/** A call z = apply(x, params), affine in x and, for fixed x, linear in (weight, bias). */
export interface AffineCall {
  readonly x: Tensor;
  readonly params: AffineParams;
  readonly apply: (x: Tensor, params: AffineParams) => Tensor;
  /** The layer whose weight this is. */
  readonly layer: Layer;
}

export type BiasPolicy = 'keep' | 'detach' | 'zero';

/** Which ways a loss on relevance is kept from; see spec of the ISNet: it must not be met by moving biases. */
export interface GradientPolicy {
  /**
   * What becomes of biases inside z: `keep` them; keep the number but `detach` it, so that a loss on relevance cannot be
   * met by moving biases (ISNet's); or take `zero`, so that they get no share.
   */
  readonly bias: BiasPolicy;
  /** Whether it reaches activations through the batch statistics of BatchNorm. */
  readonly statisticsGradient: 'detach' | 'keep';
}

const policed = (t: Tensor, policy: BiasPolicy): Tensor => (policy === 'detach' ? detach(t) : t);

/** Parameters without empty entries, as layers take them. */
function paramsOf({ weight, bias }: AffineParams): Params {
  return bias ? { weight, bias } : { weight };
}

function plainCall({ layer, input, params }: LayerCall, policy: GradientPolicy): AffineCall {
  const affine = layer as AffineLayer;
  const { weight, bias } = params as Params & { bias?: Tensor };
  return {
    x: input,
    params: { weight, bias: bias && policy.bias !== 'zero' ? policed(bias, policy.bias) : null },
    apply: (x, folded) => affine.apply(x, paramsOf(folded)),
    layer: affine,
  };
}

/** Scale and shift of a BatchNorm call under the policy. Statistics are those the forward pass used. */
function normalization({ layer, params }: LayerCall, policy: GradientPolicy) {
  const { statisticsGradient } = policy;
  const mean = policed(params.mean, statisticsGradient);
  const variance = policed(params.variance, statisticsGradient);
  const bias = policed(params.bias, policy.bias);
  return affineOf({ weight: params.weight, bias, mean, variance }, (layer as BatchNorm2d).eps);
}

/**
 * w' = w scale,  b' = b scale + shift, per output channel: BatchNorm after a layer is a layer. For the call's own x and w' its
 * product is scale L(x; w), of which the forward pass has made the costly part; other products have to be made with w'.
 */
function foldedCall(inner: LayerCall, norm: LayerCall, policy: GradientPolicy): AffineCall {
  const call = plainCall(inner, policy);
  const { scale, shift } = normalization(norm, policy);
  const { weight, bias } = call.params;
  const { outputAxis } = inner.layer as AffineLayer;
  const perOutput = reshape(
    scale,
    weight.shape.map((size, axis) => (axis === outputAxis ? size : 1)),
  );
  const folded = mul(weight, perOutput);
  return {
    ...call,
    params: {
      weight: folded,
      bias: policy.bias === 'zero' ? null : bias ? add(mul(bias, scale), shift) : shift,
    },
    apply(x, params) {
      if (x !== call.x || params.weight !== folded) return call.apply(x, params);
      const z = mul(call.apply(x, { weight, bias: null }), perChannel(scale));
      return params.bias ? add(z, perChannel(params.bias)) : z;
    },
  };
}

/** [C] beside [N, C, H, W]. */
const perChannel = (t: Tensor): Tensor => reshape(t, [t.shape[0], 1, 1]);

/** BatchNorm alone: a diagonal map, one weight per channel. */
function diagonalCall(norm: LayerCall, policy: GradientPolicy): AffineCall {
  const { scale, shift } = normalization(norm, policy);
  return {
    x: norm.input,
    params: { weight: scale, bias: policy.bias === 'zero' ? null : shift },
    apply: (x, { weight, bias }) => {
      const z = mul(x, perChannel(weight));
      return bias ? add(z, perChannel(bias)) : z;
    },
    layer: norm.layer as Layer,
  };
}

/** The affine call that made `t`, or null if none did. A layer followed by BatchNorm is one call. */
export function affineCallOf(t: Tensor, policy: GradientPolicy): AffineCall | null {
  const { call } = t;
  if (!call) return null;
  if (call.layer instanceof AffineLayer) return plainCall(call, policy);
  if (!(call.layer instanceof BatchNorm2d)) return null;
  const inner = call.input.call;
  return inner?.layer instanceof AffineLayer ? foldedCall(inner, call, policy) : diagonalCall(call, policy);
}

/** Whether `affineCallOf` would find a call, without building it. */
export function isAffine(t: Tensor): boolean {
  return t.call !== null && (t.call.layer instanceof AffineLayer || t.call.layer instanceof BatchNorm2d);
}

/** The input of the affine call that made `t`: where a rule's step leads. */
export function affineInput(t: Tensor): Tensor | null {
  const { call } = t;
  if (!call || !isAffine(t)) return null;
  const inner = call.layer instanceof BatchNorm2d ? call.input.call : null;
  return inner?.layer instanceof AffineLayer ? inner.input : call.input;
}
