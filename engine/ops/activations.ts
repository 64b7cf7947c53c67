// Activation functions of their own: smooth ones, and the leaky ReLU. ReLU and sigmoid are in pointwise.ts.
import { apply } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { add, mul, type Operand, operandsOf, square, sub } from './arithmetic.ts';
import { sumTo } from './broadcast.ts';
import { binaryOp, unaryOp } from './elementwise.ts';
import { exp, negativePart, notNegative, sigmoid } from './pointwise.ts';

const none = {};

/** erf x in f64:  2/sqrt(pi) e^(-x^2) sum_n 2^n x^(2n+1) / (1 3 5 .. (2n+1)), all terms of one sign. */
function erfReference(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // 1 - erf 6 is 2e-17
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

/** The polynomial with these coefficients, lowest first, in WGSL by Horner's rule. */
const hornerWgsl = (variable: string, coefficients: readonly number[]): string =>
  coefficients.reduceRight((inner, c) => (inner ? `Vec(${c}) + ${variable} * (${inner})` : `Vec(${c})`), '');

// (-1)^n / (n! (2n + 1)): Taylor's series of erf x / x in x^2, up to |x| = 1 within 1e-9.
const TAYLOR: readonly number[] = Array.from({ length: 11 }, (_, n) => {
  let factorial = 1;
  for (let k = 2; k <= n; k++) factorial *= k;
  return ((-1) ** n * 2) / (Math.sqrt(Math.PI) * factorial * (2 * n + 1));
});
// (1 - erf x) e^(x^2) / t as a polynomial in t = 1 / (1 + x/2), through its values at the seven Chebyshev nodes of
// 1 <= x <= 6. Together with e^(-x^2) it is within 5e-9 of 1 - erf x, in f32 within 4e-8.
const TAIL = [
  0.282366054, 0.277445255, 0.280060695, 0.049037487, 0.360073867, -0.32321924, 0.0738442054,
] as const;

/** WGSL that sets `erf` for a `Vec` u. Beyond |u| = 1 erf is 1 less what is left. */
const erfWgsl = `
  let square = u * u;
  let t = Vec(1) / (Vec(1) + Vec(0.5) * abs(u));
  let far = sign(u) * (Vec(1) - t * (${hornerWgsl('t', TAIL)}) * exp(-square));
  let erf = select(u * (${hornerWgsl('square', TAYLOR)}), far, abs(u) > Vec(1));`;

export const erfOp = unaryOp({
  name: 'erf',
  reference: erfReference,
  wgsl: `let u = x;${erfWgsl}\n  return erf;`,
  vjp: (g, [x]) => mul(g, mul(exp(mul(square(x), -1)), 2 / Math.sqrt(Math.PI))),
  range: [-3, 3],
});

/** Error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x. Within 1e-7 on the GPU. */
export const erf = (x: Tensor): Tensor => apply(erfOp, [x], none);

/** Phi(x) = (1 + erf(x / sqrt 2)) / 2, the share of a normal distribution below x. */
const normalShare = (x: Tensor): Tensor => mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
const normalDensity = (x: Tensor): Tensor => mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));

export const geluOp = unaryOp({
  name: 'gelu',
  reference: (x) => 0.5 * x * (1 + erfReference(x * Math.SQRT1_2)),
  wgsl: `let u = x * Vec(${Math.SQRT1_2});${erfWgsl}\n  return Vec(0.5) * x * (Vec(1) + erf);`,
  vjp: (g, [x]) => mul(g, add(normalShare(x), mul(x, normalDensity(x)))),
  range: [-3, 3],
});

/** x Phi(x), with Phi by the error function as PyTorch's default is.   Hendrycks and Gimpel 2016, arXiv:1606.08415 */
export const gelu = (x: Tensor): Tensor => apply(geluOp, [x], none);

export const siluOp = unaryOp({
  name: 'silu',
  reference: (x) => x / (1 + Math.exp(-x)),
  wgsl: 'return x / (Vec(1) + exp(-x));',
  vjp(g, [x], y) {
    const s = sigmoid(x);
    return mul(g, add(s, mul(y, sub(1, s))));
  },
  range: [-3, 3],
});

/** x sigmoid(x), also called swish.   Elfwing et al. 2017, arXiv:1702.03118 */
export const silu = (x: Tensor): Tensor => apply(siluOp, [x], none);

export const tanhOp = unaryOp({
  name: 'tanh',
  reference: Math.tanh,
  // Built from e^x some drivers' tanh overflows; at 10 it is 1 in f32. clamp would swallow NaN.
  wgsl: 'return select(tanh(clamp(x, Vec(-10), Vec(10))), x, is_nan(x));',
  vjp: (g, _, y) => mul(g, sub(1, square(y))),
  range: [-2, 2],
});

/** Hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => apply(tanhOp, [x], none);

export const leakyReluOp = binaryOp({
  name: 'leakyRelu',
  reference: (x, slope) => (x >= 0 || Number.isNaN(x) ? x : slope * x),
  wgsl: 'return select(a, b * a, a < Vec(0));',
  vjp: [
    (g, [x, slope]) => {
      const isUp = notNegative(x);
      return sumTo(mul(g, add(isUp, mul(sub(1, isUp), slope))), x.shape);
    },
    (g, [x, slope]) => sumTo(mul(g, negativePart(x)), slope.shape),
  ],
});

/** x where x >= 0, else slope x. The slope is a number, or a tensor that broadcasts (then it can be learned). */
export const leakyRelu = (x: Tensor, slope: Operand = 0.01): Tensor =>
  apply(leakyReluOp, operandsOf(x, slope), none);
