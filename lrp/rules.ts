// The propagation rules. Each is one row: its equation, its source, and the parts that the equation of rule.ts needs.
//   z_o = sum_m L(x_m; W_m)_o + b_o,   s_o = R_o / stab(z_o),   R_i = sum_m x_m,i sum_o W_m,oi s_o

import { constant, literal } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { add, mul, neg, square, sub } from '../engine/ops/arithmetic.ts';
import { expand } from '../engine/ops/broadcast.ts';
import { negativePart, relu, step } from '../engine/ops/pointwise.ts';
import type { Shape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { AffineCall } from './affine.ts';
import { isRectified } from './rectified.ts';
import { denominator, type Part, type Rule, zRule } from './rule.ts';
import { type Stabilizer, shift } from './stabilizer.ts';

/** Default stabiliser of ISNet, in units of z. */
export const DEFAULT_EPSILON = 1e-2;
/** Default stabiliser of the other rules, zennit's. */
const SMALL_EPSILON = 1e-6;

/** A number for `shift`, or any stabiliser. */
export type Eps = number | Stabilizer;

/** The stabiliser that is meant. Throws UsageError unless its eps is from 0 up. */
function stabilizerOf(eps: Eps): Stabilizer {
  const stabilizer = typeof eps === 'number' ? shift(eps) : eps;
  if (!(stabilizer.eps >= 0)) throw new UsageError(`rule: eps is ${stabilizer.eps}; use a number from 0 up`);
  return stabilizer;
}

/** p(t) = max(t, 0) and n(t) = min(t, 0); null stays null. */
const positive = <T extends Tensor | null>(t: T): T => (t ? relu(t) : t) as T;
const negative = <T extends Tensor | null>(t: T): T => (t ? negativePart(t) : t) as T;

/** A tensor of one number, [shape], made by repeating a cached scalar. */
const filledLike = (t: Tensor, shape: Shape, value: number): Tensor =>
  expand(constant(t.device, value), shape);

/** The shape of one sample of the call's input, [1, ...]. */
const sampleShape = ({ x }: AffineCall): Shape => [1, ...x.shape.slice(1)];

/**
 * Epsilon rule: shares R among inputs by their part in z; epsilon and bias take their own share.
 *   R_i = x_i sum_o w_oi R_o / (z_o + eps sign z_o)        Bach et al. 2015 (LRP-epsilon), sign(0) = +1
 */
export function epsilon(eps: Eps = DEFAULT_EPSILON): Rule {
  return zRule('epsilon', {}, stabilizerOf(eps), ({ x, params: { weight, bias } }) => [
    { parts: [{ x, weight }], bias },
  ]);
}

/** LRP-0: the epsilon rule without epsilon. Divides by 0 where an output is exactly 0. Bach et al. 2015 */
export const lrp0 = (): Rule => ({ ...epsilon(0), name: 'lrp0' });

/** The epsilon rule under its name for layers whose parameters have no meaning: sums and average pools. zennit's Norm. */
export const norm = (eps: Eps = SMALL_EPSILON): Rule => ({ ...epsilon(eps), name: 'norm' });

/** p(x) W1 + n(x) W2: the two parts of inputs of both signs, or the one of inputs that have none below 0. */
const bySign = (x: Tensor, whenPositive: Tensor, whenNegative: Tensor): Part[] =>
  isRectified(x)
    ? [{ x, weight: whenPositive }]
    : [
        { x: positive(x), weight: whenPositive },
        { x: negative(x), weight: whenNegative },
      ];

/**
 * Alpha-beta rule: positive and negative contributions apart, weighed by alpha and -beta, alpha - beta = 1.
 *   z+ = L(p x; p w) + L(n x; n w) + p b,   z- = L(p x; n w) + L(n x; p w) + n b         Bach et al. 2015
 * Throws UsageError unless alpha, beta >= 0 and alpha - beta = 1.
 */
export function alphaBeta(alpha = 2, beta = 1, eps: Eps = SMALL_EPSILON): Rule {
  if (!(alpha >= 0 && beta >= 0 && Math.abs(alpha - beta - 1) < 1e-12)) {
    throw new UsageError(
      `alphaBeta: alpha = ${alpha}, beta = ${beta}; both must be >= 0 with alpha - beta = 1`,
    );
  }
  return zRule('alphaBeta', { alpha, beta }, stabilizerOf(eps), ({ x, params: { weight, bias } }) => [
    { factor: alpha, parts: bySign(x, positive(weight), negative(weight)), bias: positive(bias) },
    ...(beta === 0
      ? []
      : [{ factor: -beta, parts: bySign(x, negative(weight), positive(weight)), bias: negative(bias) }]),
  ]);
}

/** z+ rule: positive contributions only, alpha-beta with alpha = 1, beta = 0.   Montavon et al. 2017 */
export function zPlus(eps: Eps = SMALL_EPSILON): Rule {
  return { ...alphaBeta(1, 0, eps), name: 'zPlus', options: { eps: stabilizerOf(eps).eps } };
}

/** w + gamma p(w), or with n for p. */
const raised = <T extends Tensor | null>(t: T, part: (t: Tensor) => Tensor, gamma: number): T =>
  (t ? add(t, mul(part(t), gamma)) : t) as T;

/**
 * Gamma rule: positive weights count more.   w' = w + gamma p(w),  b' = b + gamma p(b)         Montavon et al. 2019
 * For inputs x >= 0 and outputs z > 0. Elsewhere denominators may vanish: see `gammaGeneralized`.
 */
export function gamma(value = 0.25, eps: Eps = SMALL_EPSILON): Rule {
  return zRule('gamma', { gamma: value }, stabilizerOf(eps), ({ x, params: { weight, bias } }) => [
    { parts: [{ x, weight: raised(weight, relu, value) }], bias: raised(bias, relu, value) },
  ]);
}

/**
 * Generalised gamma rule, for inputs and outputs of both signs: what agrees with the sign of z counts more.
 *   z > 0:  L(p x; w + g p w) + L(n x; w + g n w) + b + g p b
 *   z < 0:  L(p x; w + g n w) + L(n x; w + g p w) + b + g n b         zennit's Gamma; Andeol et al. 2021
 * Relevance of outputs with z = 0 is dropped; the leak report calls them dead.
 */
export function gammaGeneralized(value = 0.25, eps: Eps = SMALL_EPSILON): Rule {
  return zRule('gammaGeneralized', { gamma: value }, stabilizerOf(eps), (call) => {
    const { x, params } = call;
    const { weight, bias } = params;
    const z = denominator(call, { parts: [{ x, weight }], bias });
    const [up, down] = [raised(weight, relu, value), raised(weight, negativePart, value)];
    return [
      { parts: bySign(x, up, down), bias: raised(bias, relu, value), mask: step(z) },
      { parts: bySign(x, down, up), bias: raised(bias, negativePart, value), mask: step(neg(z)) },
    ];
  });
}

/**
 * w^2 rule: shares by squared weights, whatever the input.   R_i = sum_o w_oi^2 R_o / (sum_j w_oj^2 + b_o^2)
 * Montavon et al. 2017; zennit keeps b^2 too, the bias policy 'zero' drops it.
 */
export function wSquare(eps: Eps = SMALL_EPSILON): Rule {
  return zRule('wSquare', {}, stabilizerOf(eps), (call) => {
    const { weight, bias } = call.params;
    const x = filledLike(call.x, sampleShape(call), 1);
    return [{ parts: [{ x, weight: square(weight) }], bias: bias ? square(bias) : null }];
  });
}

/** Flat rule: equal shares for all inputs of an output.   R_i = sum_o R_o / (number of inputs of o)   Lapuschkin et al. 2019 */
export function flat(eps: Eps = SMALL_EPSILON): Rule {
  return zRule('flat', {}, stabilizerOf(eps), (call) => {
    const { weight } = call.params;
    const x = filledLike(call.x, sampleShape(call), 1);
    return [{ parts: [{ x, weight: filledLike(weight, weight.shape, 1) }], bias: null }];
  });
}

/** Bounds of the input: one number, or one per channel [C] for images normalised by mean and standard deviation. */
export type Bound = number | readonly number[];

export interface ZBOptions {
  readonly low?: Bound;
  readonly high?: Bound;
  readonly eps?: Eps;
  /** `isnet` keeps b - low b+ - high b- in the denominator; `textbook` has no bias there. Default isnet. */
  readonly form?: 'isnet' | 'textbook';
}

/** A bound as a tensor of one sample. */
function boundTensor(call: AffineCall, bound: Bound): Tensor {
  const shape = sampleShape(call);
  if (typeof bound === 'number') return filledLike(call.x, shape, bound);
  if (bound.length !== shape[1]) {
    throw new UsageError(
      `zB: ${bound.length} bounds for ${shape[1]} channels; give one number, or one per channel`,
    );
  }
  const perChannel = literal(call.x.device, bound, [1, bound.length, ...shape.slice(2).map(() => 1)]);
  return expand(perChannel, shape);
}

/**
 * z^B rule for inputs in [low, high]: measures x against its bounds instead of against 0, so that black pixels have
 * relevance too and a dark background can be penalised.
 *   z = L(x; w) - L(low; w+) - L(high; w-) + b'
 *   R_i = sum_o (x_i w_oi - low w+_oi - high w-_oi) R_o / (z_o + eps sign z_o)
 * Montavon et al. 2017 has b' = 0; ISNet's form (Bassi et al. 2024) has b' = b - low b+ - high b-, for one bound for all.
 */
export function zB({ low = 0, high = 1, eps = DEFAULT_EPSILON, form = 'isnet' }: ZBOptions = {}): Rule {
  if (form === 'isnet' && (typeof low !== 'number' || typeof high !== 'number')) {
    throw new UsageError(
      "zB: bounds per channel need form 'textbook'; ISNet's bias term has one bound for all",
    );
  }
  if (typeof low === 'number' && typeof high === 'number' && !(low < high)) {
    throw new UsageError(`zB: low is ${low} and high ${high}; give the least and the largest pixel value`);
  }
  const options = { low: String(low), high: String(high), form };
  return zRule('zB', options, stabilizerOf(eps), (call) => {
    const { x, params } = call;
    const { weight, bias } = params;
    const parts: Part[] = [{ x, weight }];
    let rest = form === 'isnet' ? bias : null;
    for (const { bound, part } of [
      { bound: low, part: relu },
      { bound: high, part: negativePart },
    ]) {
      if (bound === 0) continue;
      parts.push({ x: neg(boundTensor(call, bound)), weight: part(weight) });
      if (rest && bias && typeof bound === 'number') rest = sub(rest, mul(part(bias), bound));
    }
    return [{ parts, bias: rest }];
  });
}

/** Pass: relevance goes on unchanged. For layers whose input and output have one shape. */
export function pass(): Rule {
  return { name: 'pass', options: {}, stabilizer: shift(0), groups: null, propagate: (_, R) => R };
}
