// Does a confidence of 80 % mean right in 80 of 100? Reliability bins, the expected calibration error, Brier and log loss.
import { type BootstrapOptions, bootstrap } from './bootstrap.ts';
import type { Estimate } from './estimate.ts';

/** Claims with a confidence in (low, high]. */
export interface ReliabilityBin {
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** Null for an empty bin, as the next. */
  readonly confidence: number | null;
  readonly accuracy: number | null;
}

export interface Calibration {
  /** Expected calibration error:   sum_b n_b / n |accuracy_b - confidence_b|        Naeini et al. 2015, Guo et al. 2017 */
  readonly ece: Estimate;
  /** Mean over images of sum_k (p_k - y_k)^2, in [0, 2]; per label and in [0, 1] for several labels.        Brier 1950 */
  readonly brier: Estimate;
  /** Mean of -log p of what is shown. */
  readonly logLoss: Estimate;
  readonly bins: readonly ReliabilityBin[];
}

/** One claim of a model: how sure it was, whether it was right, and what its probabilities cost. */
export interface Claim {
  /** Number of the image; one with several labels has a claim for each. */
  readonly image: number;
  /** Probability of what was claimed. */
  readonly confidence: number;
  readonly isRight: boolean;
  readonly brier: number;
  readonly logLoss: number;
}

const BIN_COUNT = 15;

/** Bin of a confidence; the edges belong to the bin below, and 0 to the first. */
export const binOf = (confidence: number, binCount: number = BIN_COUNT): number =>
  Math.max(0, Math.ceil(confidence * binCount) - 1);

/**
 * Calibration of claims about `count` images, in bins of equal width, with bootstrap intervals. The ECE of few images is biased upwards, so its
 * interval may lie above the value. Strata as in `bootstrap`.
 */
export function calibrationOf(
  claims: readonly Claim[],
  count: number,
  strata: ArrayLike<number> | null,
  options: BootstrapOptions & { readonly binCount?: number } = {},
): Calibration {
  const { binCount = BIN_COUNT } = options;
  const bins = claims.map(({ confidence }) => binOf(confidence, binCount));
  const surplus = Float64Array.from(claims, ({ confidence, isRight }) => Number(isRight) - confidence);
  const brier = Float64Array.from(claims, (claim) => claim.brier);
  const logLoss = Float64Array.from(claims, (claim) => claim.logLoss);
  const sums = new Float64Array(binCount);
  const [ece, meanBrier, meanLogLoss] = bootstrap(
    count,
    strata,
    (weights) => {
      sums.fill(0);
      let total = 0;
      let ofBrier = 0;
      let ofLogLoss = 0;
      for (let n = 0; n < claims.length; n++) {
        const w = weights[claims[n].image];
        sums[bins[n]] += w * surplus[n];
        total += w;
        ofBrier += w * brier[n];
        ofLogLoss += w * logLoss[n];
      }
      if (total === 0) return [null, null, null];
      return [sums.reduce((sum, s) => sum + Math.abs(s), 0) / total, ofBrier / total, ofLogLoss / total];
    },
    options,
  );
  return { ece, brier: meanBrier, logLoss: meanLogLoss, bins: reliability(claims, bins, binCount) };
}

function reliability(claims: readonly Claim[], bins: readonly number[], binCount: number): ReliabilityBin[] {
  return Array.from({ length: binCount }, (_, b) => {
    const own = claims.filter((_, n) => bins[n] === b);
    const meanOf = (value: (claim: Claim) => number): number | null =>
      own.length === 0 ? null : own.reduce((sum, claim) => sum + value(claim), 0) / own.length;
    return {
      low: b / binCount,
      high: (b + 1) / binCount,
      count: own.length,
      confidence: meanOf(({ confidence }) => confidence),
      accuracy: meanOf(({ isRight }) => Number(isRight)),
    };
  });
}
