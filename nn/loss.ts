// Classification losses.
import { ShapeError } from '../engine/errors.ts';
import { add, div, mean, mul, neg, sub, sumProduct } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { maximum, softplus } from '../engine/ops/pointwise.ts';
import { logSoftmax } from '../engine/ops/softmax.ts';
import { formatShape, isSameShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';

function checkTargets(where: string, logits: Tensor, targets: Tensor): void {
  if (logits.shape.length !== 2 || !isSameShape(logits.shape, targets.shape)) {
    throw new ShapeError(
      `${where}: logits are ${formatShape(logits.shape)} and targets ${formatShape(targets.shape)}; both must be [N, C], classes one-hot`,
    );
  }
}

export interface CrossEntropyOptions {
  /** Weights w [C] of the classes: those that are rare count more. */
  readonly weight?: Tensor;
}

/**
 * Mean over the batch of -sum_c t_c log softmax(z)_c, for logits z and targets t, both [N, C]. With weights as in PyTorch a
 * weighted mean: -sum_nc w_c t_nc log softmax(z)_nc / sum_nc w_c t_nc. Returns [].
 */
export function crossEntropy(logits: Tensor, targets: Tensor, { weight }: CrossEntropyOptions = {}): Tensor {
  checkTargets('crossEntropy', logits, targets);
  // Not divided at the end: that would be one more kernel, for a single number.
  if (!weight) return sumProduct(logSoftmax(logits), mul(-1 / logits.shape[0], targets));
  const weighted = mul(targets, weight);
  return neg(div(sumProduct(logSoftmax(logits), weighted), sum(weighted)));
}

export interface BceOptions {
  /** Weights p [C] of what is shown: classes that are rare count more. */
  readonly posWeight?: Tensor;
  /** 1 for classes that are known to be shown or not, 0 for those that are to be left out: [N, C]. */
  readonly known?: Tensor;
}

/**
 * Mean over batch and classes of log(1 + e^z) - t z, for logits z and targets t in [0, 1], both [N, C]; over those that are
 * known, and 0 if none is. Returns [].
 */
export function bceWithLogits(
  logits: Tensor,
  targets: Tensor,
  { posWeight, known }: BceOptions = {},
): Tensor {
  checkTargets('bceWithLogits', logits, targets);
  // -[p t log s(z) + (1 - t) log(1 - s(z))] = (1 - t) z + (1 + (p - 1) t) softplus(-z)
  const each = posWeight
    ? add(mul(sub(1, targets), logits), mul(add(mul(targets, sub(posWeight, 1)), 1), softplus(neg(logits))))
    : sub(softplus(logits), mul(logits, targets));
  return known ? div(sumProduct(each, known), maximum(sum(known), 1)) : mean(each);
}
