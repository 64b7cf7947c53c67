// Structural rules of elementwise functions and of softmax.
import { constant } from '../../engine/create.ts';
import { vjpOf } from '../../engine/grad.ts';
import { div, mul, sub } from '../../engine/ops/arithmetic.ts';
import { expand, sum } from '../../engine/ops/broadcast.ts';
import { stabilize } from '../../engine/ops/pointwise.ts';
import { perMap } from '../maps.ts';
import { checkNotBroadcast, type OpRule, onMapAxis } from './op-call.ts';

/** Elementwise functions of degree one (ReLU, leaky ReLU, |x|, -x): x f'(x) = f(x), so both readings below agree on R. */
export const pass: OpRule = (R, call) => {
  if (call.index !== 0) return null; // a slope is a parameter
  checkNotBroadcast(call);
  return R;
};

/**
 * Smooth activation f. One number makes one number, so relevance passes (the identity rule of AttnLRP and LXT):
 *   R_in = R                                                     arXiv:2402.05602, identity rule
 * or, as `gradientShare`, it keeps the part that gradient times input has in f(x); what f(0) and curvature have is lost:
 *   R_in = R x f'(x) / (f(x) + eps sign f(x))
 */
export const smooth: OpRule = (R, { t, origin, eps, options }) => {
  if (options.activation === 'pass') return R;
  const [x] = origin.inputs;
  const one = expand(constant(t.device, 1), t.shape);
  const slope = vjpOf(origin.op, 0)?.(one, origin.inputs, t, origin.attrs, 0);
  return slope ? perMap(mul, R, div(mul(x, slope), stabilize(t, eps))) : null;
};

/**
 * Softmax s of x, by its Taylor expansion at x with the constant term as a bias that keeps its share:
 *   R_i = x_i (R_i - s_i sum_j R_j)                               AttnLRP, arXiv:2402.05602, Prop. 3.1
 * Not conserving: the sum is that of x_i R_i less (sum_i x_i s_i)(sum_j R_j), whatever sum_j R_j is. Masked inputs must
 * be finite (-1e9, not -inf). Under `constant` nothing goes on: attention weights count as given (CP-LRP).
 */
export const softmaxed: OpRule = (R, call) => {
  if (call.options.softmax === 'constant') return null;
  const { t, origin } = call;
  const { axis } = origin.attrs as { axis: number };
  const [x] = origin.inputs;
  return onMapAxis(R, call, (own, lead) => {
    const total = sum(own, [axis + lead.length], { keepDims: true });
    return mul(sub(own, mul(total, t)), x);
  });
};
