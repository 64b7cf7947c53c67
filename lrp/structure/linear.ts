// Structural rules of sums and of whatever else is linear in the asked input: the epsilon rule on the op itself.
import { UsageError } from '../../engine/errors.ts';
import { apply } from '../../engine/op.ts';
import { mul, neg } from '../../engine/ops/arithmetic.ts';
import { expand } from '../../engine/ops/broadcast.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { transpose } from '../../engine/transpose.ts';
import { mapCount, perMap, repeatPerMap } from '../maps.ts';
import { dividedBy, shift } from '../stabilizer.ts';
import { checkNotBroadcast, inputOf, mapsShape, type OpCall, type OpRule } from './op-call.ts';

/** Messages s = R / (t + eps sign t). */
const messages = (R: Tensor, { t, eps }: OpCall): Tensor => dividedBy(R, t, shift(eps));

/**
 * Sum: each term gets its share, and a constant term keeps its own (it is a bias).
 *   R_i = x_i R / (y + eps sign y)       Bach et al. 2015, on weights of 1 (-1 for what is subtracted)
 * Throws UsageError when an activation was broadcast.
 */
export const splitSum: OpRule = (R, call) => {
  const { t, origin, index } = call;
  if (call.isVariable(index)) checkNotBroadcast(call);
  const share = perMap(mul, messages(R, call), expand(inputOf(call), t.shape));
  return origin.op.name === 'sub' && index === 1 ? neg(share) : share;
};

/** L^T s for the op as a linear function of the asked input, all others as they are. */
function pulled(s: Tensor, { t, origin, index }: OpCall): Tensor {
  const count = mapCount(s.shape, t.shape);
  const x = origin.inputs[index];
  const others = origin.inputs.map((input, i) =>
    i === index || origin.op.name.startsWith('conv2d') ? input : repeatPerMap(input, count),
  );
  const rerun = (input: Tensor) => apply(origin.op, others.with(index, input), origin.attrs);
  return transpose(rerun, mapsShape(count, x), s);
}

/**
 * An op that is linear in the asked input (means, sums, average pools), by the epsilon rule on the op itself.
 *   R_i = x_i (L^T s)_i,   s = R / (L x + eps sign L x)       Bach et al. 2015
 */
export const linear: OpRule = (R, call) => perMap(mul, pulled(messages(R, call), call), inputOf(call));

/**
 * Product of matrices. With a constant it is linear; of two activations each gets half of what the epsilon rule gives.
 *   R_a = a_mk sum_n b_kn R_mn / (2 (y + eps sign y)_mn),  R_b likewise         AttnLRP, arXiv:2402.05602, Prop. 3.3
 * Unlike there, eps stands beside y and not beside 2 y, so that it means the same as in every other rule.
 */
export const matrixProduct: OpRule = (R, call) => {
  if (!call.isVariable(call.index)) return null;
  const R_x = linear(R, call);
  return R_x && call.isVariable(1 - call.index) ? mul(R_x, 0.5) : R_x;
};

/** Convolution without a layer: linear in its images. Throws UsageError if the kernel is an activation too. */
export const convolution: OpRule = (R, call) => {
  if (call.isVariable(1)) {
    throw new UsageError(
      `lrp: no rule for op '${call.origin.op.name}' whose kernel depends on the input (output ${formatShape(call.t.shape)}); detach the kernel`,
    );
  }
  return linear(R, call);
};

/**
 * Elementwise product. With a constant or a gate all relevance goes to the variable factor; of two activations each gets
 * half.   R_a = R_b = R / 2       AttnLRP, arXiv:2402.05602, Prop. 3.2
 * Throws UsageError when an activation was broadcast.
 */
export const product: OpRule = (R, call) => {
  if (!call.isVariable(call.index)) return null;
  checkNotBroadcast(call);
  return call.isVariable(1 - call.index) ? mul(R, 0.5) : R;
};

/**
 * Quotient: relevance goes to the numerator.   R_a = R
 * Throws UsageError when the divisor is an activation: whether it normalises or carries relevance is not for us to guess.
 */
export const quotient: OpRule = (R, call) => {
  if (call.isVariable(1)) {
    throw new UsageError(
      `lrp: no rule for op 'div' by an activation (output ${formatShape(call.t.shape)}); detach it if it is a scale, or use LayerNorm`,
    );
  }
  if (call.index !== 0) return null;
  checkNotBroadcast(call);
  return R;
};
