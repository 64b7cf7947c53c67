// Where relevance starts: the ISNet variants differ in what they explain. Each seed is [K N, C], map-major.
//
//   variant      explained, per image                    maps   source
//   original     every logit z_c                         C      ISNet: Bassi et al. 2024, Nature Communications 15:291
//   selective    log-odds of the class of lowest logit   1      Selective ISNet: arXiv:2401.08409
//   stochastic   one logit, drawn                        1      Stochastic ISNet: as above
//   dual         sum of all logits, by z+ and by epsilon 2      Dual ISNet: as above
//   softmax      probability of the predicted class      1      ISNet Softmax Grad*Input: as above, with gradient-input
import { constant, literal } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { argmax } from '../engine/ops/argmax.ts';
import { add, div, mul, neg, sub } from '../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../engine/ops/broadcast.ts';
import { oneHot } from '../engine/ops/indexing.ts';
import { slice } from '../engine/ops/layout.ts';
import { floor, notNegative, step } from '../engine/ops/pointwise.ts';
import { uniform } from '../engine/ops/random.ts';
import { softmax } from '../engine/ops/softmax.ts';
import type { Tensor } from '../engine/tensor.ts';
import { perMap } from '../lrp/maps.ts';

/** What is explained; see the table above. */
export type Variant = 'original' | 'selective' | 'stochastic' | 'dual' | 'softmax';

/** Whether the network must be trained with softmax: one label per image, and classes that compete. */
export const needsSoftmax = (variant: Variant): boolean => variant === 'selective' || variant === 'softmax';

/** Throws UsageError if there is one class: it has no odds, and its softmax is 1. */
function checkClasses(where: string, [, C]: readonly number[]): void {
  if (C >= 2) return;
  throw new UsageError(
    `${where}: the logits have ${C} class and its odds need another; use variant stochastic or original`,
  );
}

/** Some of the classes: `count` of them from number `from`. */
export interface ClassRange {
  readonly from: number;
  readonly count: number;
}

/** Gradient of every logit, or of those of some classes: for map k the one-hot row of class from + k. [K N, C] */
export function originalGradient(logits: Tensor, classes?: ClassRange): Tensor {
  const [N, C] = logits.shape;
  const { from, count } = classes ?? { from: 0, count: C };
  const values = new Float32Array(count * N * C);
  for (let k = 0; k < count; k++) for (let n = 0; n < N; n++) values[(k * N + n) * C + from + k] = 1;
  return literal(logits.device, values, [count * N, C]);
}

/**
 * Gradient of eta_c = log(P_c / (1 - P_c)) for the class c with the lowest logit. [N, C]
 *   d eta_c / d z_c = gamma,   d eta_c / d z_j = -gamma P_j / (1 - P_c)
 * gamma = 1 in exact form; `selectiveEps` > 0 gives the published code's P_c (1 - P_c) (1 / (P_c + e) + 1 / (1 - P_c + e)),
 * which fades where the network is confident. Throws UsageError if there is one class: it has no odds.
 */
export function selectiveGradient(logits: Tensor, selectiveEps = 0): Tensor {
  const [, C] = logits.shape;
  checkClasses('selectiveGradient', logits.shape);
  const lowest = oneHot(argmax(neg(logits), 1), C);
  const others = sub(1, lowest);
  // 1 - P_c as the sum of the others: no cancellation when P_c is close to 0 or 1.
  const P = softmax(logits);
  const rest = rowSum(mul(P, others));
  const gradient = sub(lowest, mul(others, div(P, rest)));
  if (selectiveEps === 0) return gradient;
  const own = rowSum(mul(P, lowest));
  const gamma = mul(mul(own, rest), add(div(1, add(own, selectiveEps)), div(1, add(rest, selectiveEps))));
  return mul(gradient, gamma);
}

/**
 * Gradient of the largest probability P_m = softmax(z)_m. [N, C]
 *   d P_m / d z_j = P_m ([j = m] - P_j)
 * It vanishes where the network is sure, which is why the variant is an ablation. Throws as `selectiveGradient` does.
 */
export function softmaxGradient(logits: Tensor): Tensor {
  checkClasses('softmaxGradient', logits.shape);
  const top = oneHot(argmax(logits, 1), logits.shape[1]);
  const P = softmax(logits);
  return mul(sub(top, P), rowSum(mul(P, top)));
}

/** Sum over classes as a column [N, 1]. */
const rowSum = (x: Tensor): Tensor => sum(x, [1], { keepDims: true });

/**
 * One-hot rows of one class per sample: the largest logit with probability 1/2, else any other, each as likely. [N, C]
 * `key` is [2], whole numbers (seed, counter); with one class it is always that class.
 */
export function stochasticGradient(logits: Tensor, key: Tensor): Tensor {
  const [N, C] = logits.shape;
  const top = argmax(logits, 1);
  if (C === 1) return oneHot(top, C);
  const draws = uniform(key, [2, N]);
  const coin = reshape(slice(draws, [0, 0], [1, N]), [N]);
  const other = reshape(slice(draws, [1, 0], [1, N]), [N]);
  // 1 .. C - 1 places after the largest logit, in a ring.
  const distance = add(floor(mul(other, C - 1)), 1);
  const chosen = add(top, mul(distance, step(sub(coin, 0.5))));
  const wrapped = sub(chosen, mul(notNegative(sub(chosen, C)), C));
  return oneHot(wrapped, C);
}

export interface SeedOptions {
  readonly variant: Variant;
  /** Needed by `stochastic`: [2], whole numbers (seed, counter) below 2^24. */
  readonly key?: Tensor;
  /** Needed to reproduce the published `selective`; 0 is the closed form. */
  readonly selectiveEps?: number;
  /** Of `original`: the classes that there are maps of. All by default. */
  readonly classes?: ClassRange;
}

/**
 * Gradient of the explained quantity with respect to the logits, [K N, C]; LRP-Flex starts from it. The two maps of `dual`
 * start alike and have one seed [N, C]. Throws UsageError for `stochastic` without a key, and as the gradients do.
 */
export function seedGradient(logits: Tensor, { variant, key, selectiveEps, classes }: SeedOptions): Tensor {
  if (variant === 'original') return originalGradient(logits, classes);
  if (variant === 'selective') return selectiveGradient(logits, selectiveEps);
  if (variant === 'softmax') return softmaxGradient(logits);
  // All logits at once: their sum.
  if (variant === 'dual') return expand(constant(logits.device, 1), logits.shape);
  if (!key)
    throw new UsageError(
      "seedGradient: variant 'stochastic' needs a key; pass tensor(device, [seed, counter], [2])",
    );
  return stochasticGradient(logits, key);
}

/** Relevance at the logits: gradient times logit, for logits `z` under the composite's bias policy. [K N, C] */
export function seedRelevance(z: Tensor, options: SeedOptions): Tensor {
  return perMap(mul, seedGradient(z, options), z);
}
