// Does the attribution lie where it should? Attributions a [N, ...] against masks s of the right place.
//
// The mask [N, 1, H, W] holds 1 inside and 0 outside, and is expanded to the shape of a; elements are counted one by
// one, as in Quantus. For one value per pixel, sum the channels of a first. All results are [N].
import { tensor } from '../../engine/create.ts';
import { ShapeError } from '../../engine/errors.ts';
import { max } from '../../engine/ops/argmax.ts';
import { add, mul, neg, sub } from '../../engine/ops/arithmetic.ts';
import { expand, sum } from '../../engine/ops/broadcast.ts';
import { abs, notNegative, relu, step } from '../../engine/ops/pointwise.ts';
import { rank } from '../../engine/ops/sort.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { checkCount } from '../attributions/copies.ts';
import { asRows, isZero, shareOf } from './statistics.ts';

/** What counts as mass: max(a, 0), |a|, or a itself, whose share may leave [0, 1]. */
export type Mass = 'positive' | 'absolute' | 'signed';

const massOf: Readonly<Record<Mass, (a: Tensor) => Tensor>> = {
  positive: relu,
  absolute: abs,
  signed: (a) => a,
};

/** Attribution and mask as rows [N, n]. Throws ShapeError when the mask cannot be expanded to a. */
function rowsOfBoth(where: string, a: Tensor, mask: Tensor): [Tensor, Tensor] {
  const fits =
    mask.shape.length === a.shape.length &&
    mask.shape.every((n, i) => n === a.shape[i] || (n === 1 && i > 0));
  if (!fits) {
    throw new ShapeError(
      `${where}: the mask is ${formatShape(mask.shape)} and the attribution ${formatShape(a.shape)}; give one mask per image, [N, 1, H, W]`,
    );
  }
  return [asRows(a), asRows(expand(mask, a.shape))];
}

/**
 * Relevance mass accuracy [N]:   sum_{i in s} m_i / sum_i m_i,   m = max(a, 0), |a| or a        Arras et al. 2022
 * Quantus takes a as it is ('signed'). 'positive', the default, is Kohlbrenner's localisation too. 0 for a map of zeros.
 */
export function relevanceMassAccuracy(a: Tensor, mask: Tensor, { mass = 'positive' as Mass } = {}): Tensor {
  const [values, inside] = rowsOfBoth('relevanceMassAccuracy', a, mask);
  const m = massOf[mass](values);
  return shareOf(sum(mul(m, inside), [1]), sum(m, [1]));
}

/**
 * Background share [N]:   sum_{i not in s} |a_i| / sum_i |a_i|.   1 for a map of zeros, by decision: where a share is
 * trained to be small, as LRP's is, a network must not gain by making its maps vanish, and a logit without relevance is a
 * network that has died. Maps that are empty by their definition, as Grad-CAM's often are by its ReLU, say nothing of the
 * background: leave those out of a mean, and count them (`gradCamBackground` in isnet).
 */
export function backgroundShare(a: Tensor, mask: Tensor): Tensor {
  return sub(1, relevanceMassAccuracy(a, mask, { mass: 'absolute' }));
}

/**
 * |top-K(a) and s| / K for rows and K [N, 1]. Where equal values straddle the edge of the top K, each counts by its chance
 * to be in: the mean over all orders, so that a map of many zeros gains nothing from where its pixels are stored.
 */
function topShare(a: Tensor, inside: Tensor, K: Tensor): Tensor {
  const total = (t: Tensor) => sum(t, [1], { keepDims: true });
  const edge = total(mul(a, isZero(sub(rank(a), sub(K, 1)))));
  const above = step(sub(a, edge));
  const equal = sub(notNegative(sub(a, edge)), above);
  const chance = shareOf(sub(K, total(above)), total(equal));
  const hits = add(total(mul(above, inside)), mul(chance, total(mul(equal, inside))));
  return sum(shareOf(hits, K), [1]);
}

/** Relevance rank accuracy [N]:   |top-K(a) and s| / K with K = |s|        Arras et al. 2022.  0 for an empty mask. */
export function relevanceRankAccuracy(a: Tensor, mask: Tensor): Tensor {
  const [values, inside] = rowsOfBoth('relevanceRankAccuracy', a, mask);
  return topShare(values, inside, sum(inside, [1], { keepDims: true }));
}

/**
 * Top-k intersection [N]:   |top-k(a) and s| / k        Theiner et al. 2022.  Signed a, as in Quantus with abs off.
 * Throws UsageError when k is no whole number from 1 up, ShapeError when there are fewer elements.
 */
export function topKIntersection(a: Tensor, mask: Tensor, { k }: { readonly k: number }): Tensor {
  const [values, inside] = rowsOfBoth('topKIntersection', a, mask);
  checkCount('topKIntersection', 'k', k);
  const [N, n] = values.shape;
  if (k > n) throw new ShapeError(`topKIntersection: k is ${k} but a map has ${n} values; pass at most ${n}`);
  return topShare(values, inside, expand(tensor(a.device, [k], [1, 1]), [N, 1]));
}

/**
 * Pointing game [N]:   1 if a largest value of a lies in s, else 0        Zhang et al. 2018.  Of equal ones any will do, as
 * in Quantus, but unlike there a map points nowhere, which is 0, if it has no positive value or is the same everywhere:
 * else a map of zeros would hit whatever there is.
 */
export function pointingGame(a: Tensor, mask: Tensor): Tensor {
  const [values, inside] = rowsOfBoth('pointingGame', a, mask);
  const largest = max(values, [1], { keepDims: true });
  const smallest = neg(max(neg(values), [1], { keepDims: true }));
  const isPointing = step(sub(largest, relu(smallest)));
  const isLargest = notNegative(sub(values, largest));
  return max(mul(mul(isLargest, isPointing), step(inside)), [1]);
}
