// Propagation rules: each is one equation, R_out -> R_in, made of differentiable ops. Nothing here knows about training.
import { tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { div, mul, sub } from '../engine/ops/arithmetic.ts';
import { negativePart, relu, stabilize } from '../engine/ops/pointwise.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { transpose } from '../engine/transpose.ts';
import { type AffineCall, type AffineParams, withoutBias } from './affine.ts';
import { perMap, relevanceShape } from './maps.ts';

/** A rule with its options, for one affine call. `R` is [K N, ...] at the call's output; the result at its input. */
export interface Rule {
  readonly name: string;
  readonly options: Readonly<Record<string, number>>;
  propagate(call: AffineCall, R: Tensor): Tensor;
}

/** Default stabiliser of ISNet, in units of z. */
export const DEFAULT_EPSILON = 1e-2;

/** L^T s for the linear part of the call with other parameters. */
function pullBack({ x, apply }: AffineCall, params: AffineParams, s: Tensor): Tensor {
  return transpose((input) => apply(input, params), relevanceShape(s, x), s);
}

function checkEps(where: string, eps: number): void {
  if (!(eps >= 0)) throw new UsageError(`${where}: eps is ${eps}; use a number from 0 up`);
}

/**
 * Epsilon rule: shares R among inputs by their part in z; epsilon and bias take their own share.
 *   R_i = x_i sum_o w_oi R_o / (z_o + eps sign z_o)        Bach et al. 2015 (LRP-epsilon), sign(0) = +1
 * Throws UsageError unless eps is from 0 up.
 */
export function epsilon(eps = DEFAULT_EPSILON): Rule {
  checkEps('epsilon', eps);
  return {
    name: 'epsilon',
    options: { eps },
    propagate(call, R) {
      const z = call.apply(call.x, call.params);
      const s = perMap(div, R, stabilize(z, eps));
      return perMap(mul, pullBack(call, call.params, s), call.x);
    },
  };
}

/**
 * z^B rule for inputs in [low, high], in ISNet's form: the bias stays in the denominator.
 *   z = L(x; w) + b - low (L(1; w+) + b+) - high (L(1; w-) + b-)
 *   R_i = sum_o (x_i w_oi - low w+_oi - high w-_oi) R_o / (z_o + eps sign z_o)
 * Montavon et al. 2017 for the rule; Bassi et al. 2024 for the bias. Unlike the epsilon rule it gives black pixels
 * relevance, so that a dark background can be penalised. Throws UsageError unless low < high and eps is from 0 up.
 */
export function zB({ low = 0, high = 1, eps = DEFAULT_EPSILON } = {}): Rule {
  checkEps('zB', eps);
  if (!(low < high)) {
    throw new UsageError(`zB: low is ${low} and high ${high}; give the least and the largest pixel value`);
  }
  return {
    name: 'zB',
    options: { low, high, eps },
    propagate(call, R) {
      const { x, params, apply } = call;
      const ones = tensor(x.device, new Float32Array(sizeOf(x.shape.slice(1))).fill(1), [
        1,
        ...x.shape.slice(1),
      ]);
      let z = apply(x, params);
      const bounds = [
        { bound: low, part: relu },
        { bound: high, part: negativePart },
      ].filter(({ bound }) => bound !== 0);
      const clipped = bounds.map(({ bound, part }) => ({
        bound,
        params: { weight: part(params.weight), bias: params.bias ? part(params.bias) : null },
      }));
      for (const { bound, params: at } of clipped) z = sub(z, mul(apply(ones, at), bound));
      const s = perMap(div, R, stabilize(z, eps));
      let result = perMap(mul, pullBack(call, withoutBias(params), s), x);
      for (const { bound, params: at } of clipped)
        result = sub(result, mul(pullBack(call, withoutBias(at), s), bound));
      return result;
    },
  };
}
