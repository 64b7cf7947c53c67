// Elementwise functions of one number, and the comparisons that relevance rules are made of.
import { planMap } from '../map-kernel.ts';
import { apply, defineOp } from '../op.ts';
import { broadcastShapes, broadcastStrides } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, div, divOp, mul, neg, type Operand, operandsOf, sub, sumProductTo } from './arithmetic.ts';
import { sumTo } from './broadcast.ts';
import { binaryOp, unaryOp } from './elementwise.ts';

const none = {};

export const expOp = unaryOp({
  name: 'exp',
  reference: Math.exp,
  wgsl: 'return select(exp(x), x, is_nan(x));',
  vjp: (g, _, y) => mul(g, y),
});

/** e^x */
export const exp = (x: Tensor): Tensor => apply(expOp, [x], none);

// SwiftShader's log(0) is -88, and below 0 it takes the size of its argument.
const logWgsl = `fn whole_log(x: Vec) -> Vec {
  let minus_infinity = bitcast<Vec>((bitcast<Bits>(x) & Bits(0u)) | Bits(0xff800000u));
  let at_zero = select(log(x), minus_infinity, x == Vec(0));
  return select(at_zero, nan_like(x), is_nan(x) | (x < Vec(0)));
}
`;

export const logOp = unaryOp({
  name: 'log',
  reference: Math.log,
  functions: logWgsl,
  wgsl: 'return whole_log(x);',
  vjp: (g, [x]) => div(g, x),
  range: [0.5, 2],
});

/** Natural logarithm of x; -Infinity at 0 and NaN below. */
export const log = (x: Tensor): Tensor => apply(logOp, [x], none);

// Near 0 by log(1 + x) = 2 atanh(x / (2 + x)), whose series is good to the last bits of f32 there. The usual trick, a
// factor x / ((1 + x) - 1), is lost on compilers that reckon (1 + x) - 1 to be x.
const log1pWgsl = `${logWgsl}fn log1p(x: Vec) -> Vec {
  let q = x / (Vec(2) + x);
  let q2 = q * q;
  let series = Vec(2) * q * (Vec(1) + q2 * (Vec(0.3333333333) + q2 * (Vec(0.2)
    + q2 * (Vec(0.1428571429) + q2 * Vec(0.1111111111)))));
  return select(whole_log(Vec(1) + x), series, abs(x) < Vec(0.375));
}
`;

export const log1pOp = unaryOp({
  name: 'log1p',
  reference: Math.log1p,
  functions: log1pWgsl,
  wgsl: 'return log1p(x);',
  vjp: (g, [x]) => div(g, add(x, 1)),
  range: [0, 2],
});

/** log(1 + x), exact near 0; -Infinity at -1 and NaN below. */
export const log1p = (x: Tensor): Tensor => apply(log1pOp, [x], none);

export const stepOp = unaryOp({
  name: 'step',
  reference: (x) => (Number.isNaN(x) ? x : x > 0 ? 1 : 0),
  wgsl: 'return select(select(Vec(0), Vec(1), x > Vec(0)), x, is_nan(x));',
  vjp: null, // constant on both sides of 0
});

/** 1 where x > 0, else 0. */
export const step = (x: Tensor): Tensor => apply(stepOp, [x], none);

export const reluOp = unaryOp({
  name: 'relu',
  reference: (x) => Math.max(x, 0),
  // Written so that NaN passes: a hidden NaN is a run lost.
  wgsl: 'return select(x, Vec(0), x <= Vec(0));',
  vjp: (g, [x]) => mul(g, step(x)),
});

/** max(x, 0); the slope at 0 is 0. */
export const relu = (x: Tensor): Tensor => apply(reluOp, [x], none);

export const negativePartOp = unaryOp({
  name: 'negativePart',
  reference: (x) => Math.min(x, 0),
  wgsl: 'return select(x, Vec(0), x >= Vec(0));',
  vjp: (g, [x]) => sub(g, mul(g, notNegative(x))),
});

/** min(x, 0); the slope at 0 is 0. */
export const negativePart = (x: Tensor): Tensor => apply(negativePartOp, [x], none);

export const notNegativeOp = unaryOp({
  name: 'notNegative',
  reference: (x) => (Number.isNaN(x) ? x : x >= 0 ? 1 : 0),
  wgsl: 'return select(select(Vec(0), Vec(1), x >= Vec(0)), x, is_nan(x));',
  vjp: null, // constant on both sides of 0
});

/** 1 where x >= 0, else 0. */
export const notNegative = (x: Tensor): Tensor => apply(notNegativeOp, [x], none);

export const signOp = unaryOp({
  name: 'sign',
  reference: (x) => (x > 0 ? 1 : x < 0 ? -1 : x),
  wgsl: 'return select(sign(x), x, is_nan(x));',
  vjp: null, // constant on both sides of 0
});

/** -1, 0 or 1. */
export const sign = (x: Tensor): Tensor => apply(signOp, [x], none);

export const absOp = unaryOp({
  name: 'abs',
  reference: Math.abs,
  wgsl: 'return abs(x);',
  vjp: (g, [x]) => mul(g, sign(x)),
});

/** |x|; the slope at 0 is 0. */
export const abs = (x: Tensor): Tensor => apply(absOp, [x], none);

export const sigmoidOp = unaryOp({
  name: 'sigmoid',
  reference: (x) => 1 / (1 + Math.exp(-x)),
  wgsl: 'return select(Vec(1) / (Vec(1) + exp(-x)), x, is_nan(x));',
  vjp: (g, _, y) => mul(g, mul(y, sub(1, y))),
});

/** 1 / (1 + e^-x) */
export const sigmoid = (x: Tensor): Tensor => apply(sigmoidOp, [x], none);

export const softplusOp = unaryOp({
  name: 'softplus',
  reference: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  functions: log1pWgsl,
  wgsl: 'return select(max(x, Vec(0)) + log1p(exp(-abs(x))), x, is_nan(x));',
  vjp: (g, [x]) => mul(g, sigmoid(x)),
});

/** log(1 + e^x), without overflow. */
export const softplus = (x: Tensor): Tensor => apply(softplusOp, [x], none);

export const floorOp = unaryOp({
  name: 'floor',
  reference: Math.floor,
  wgsl: 'return floor(x);',
  vjp: null, // constant between whole numbers
});

/** Largest whole number not above x. */
export const floor = (x: Tensor): Tensor => apply(floorOp, [x], none);

export const maximumOp = binaryOp({
  name: 'maximum',
  reference: (a, b) => (Number.isNaN(a) || a >= b ? a : b),
  wgsl: 'return select(b, a, (a >= b) | is_nan(a));',
  vjp: [
    (g, [a, b]) => sumTo(mul(g, notNegative(sub(a, b))), a.shape),
    (g, [a, b]) => sumTo(mul(g, step(sub(b, a))), b.shape),
  ],
});

/** Larger of a and b; on a tie the slope goes to a. */
export const maximum = (a: Operand, b: Operand): Tensor => apply(maximumOp, operandsOf(a, b), none);

export const powerOp = binaryOp({
  name: 'power',
  reference: (a, b) => (a < 0 ? Number.NaN : a ** b),
  // pow() may take the size of a negative base.
  wgsl: 'return select(pow(a, b), nan_like(a), is_nan(a) | is_nan(b) | (a < Vec(0)));',
  vjp: [
    (g, [a, b]) => sumTo(mul(g, mul(b, power(a, sub(b, 1)))), a.shape),
    (g, [a, b], y) => sumTo(mul(g, mul(y, log(a))), b.shape),
  ],
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      range: [0.5, 2],
    },
    { inputs: [[3], []], range: [0.5, 2] },
  ],
});

/** a^b for a >= 0; NaN below. For whole powers of any number see `square` and `mul`. */
export const power = (a: Operand, b: Operand): Tensor => apply(powerOp, operandsOf(a, b), none);

export const stabilizeOp = binaryOp({
  name: 'stabilize',
  reference: (z, eps) => (z >= 0 ? z + eps : z - eps),
  wgsl: 'return select(a - b, a + b, a >= Vec(0));',
  vjp: [
    (g, [z]) => sumTo(g, z.shape),
    (g, [z, eps]) => sumTo(mul(g, sub(mul(notNegative(z), 2), 1)), eps.shape),
  ],
});

/**
 * z + eps sign(z), with sign(0) = +1: keeps a denominator away from 0 without changing its sign.
 *   Bach et al. 2015; the convention sign(0) = +1 is zennit's and ISNet's.
 */
export const stabilize = (z: Tensor, eps: Operand): Tensor => apply(stabilizeOp, operandsOf(z, eps), none);

interface EpsAttrs {
  readonly eps: number;
}

export const stabilizedDivideOp = defineOp<EpsAttrs>({
  name: 'stabilizedDivide',
  shape: ([R, z]) => broadcastShapes('stabilizedDivide', R, z),
  reference([R, z], { eps }, out) {
    const divisor = { shape: z.shape, data: z.data.map((value) => (value >= 0 ? value + eps : value - eps)) };
    divOp.reference([R, divisor], {}, out);
  },
  kernel({ inputs, output, attrs: { eps }, adapter }) {
    const body = `return R / select(z - Vec(${eps}), z + Vec(${eps}), z >= Vec(0));`;
    const strides = inputs.map((shape) => broadcastStrides(shape, output));
    return planMap({ parameters: ['R', 'z'], body, functions: '', strides }, output, adapter);
  },
  vjp: [
    (g, [R, z], _, { eps }) => sumTo(stabilizedDivide(g, z, eps), R.shape),
    // The slope of the divisor in z is 1; the quotient is a graph node, so the second derivative sees it.
    (g, [, z], quotient, { eps }) => neg(stabilizedDivide(sumProductTo(g, quotient, z.shape), z, eps)),
  ],
  examples: [
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      attrs: { eps: 0.3 },
    },
    { inputs: [[3, 4], [4]], attrs: { eps: 0.25 } },
  ],
});

/** R / (z + eps sign(z)), with sign(0) = +1: division by `stabilize(z, eps)`, which is never in memory. */
export const stabilizedDivide = (R: Tensor, z: Tensor, eps: number): Tensor =>
  apply(stabilizedDivideOp, [R, z], { eps });
