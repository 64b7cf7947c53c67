// What is said about a model on one set of images, whether they have one label each or several.
import { auc, type Kinds } from './auc.ts';
import type { Calibration } from './calibration.ts';
import type { ClassCounts } from './confusion.ts';
import { type Estimate, proportion } from './estimate.ts';

/** One class against the rest. */
export interface ClassEvaluation {
  readonly name: string;
  /** Images that show it, and images that are said to. */
  readonly shown: number;
  readonly predicted: number;
  /** Wilson's intervals, as that of the accuracy. */
  readonly precision: Estimate;
  readonly recall: Estimate;
  /** Bootstrap interval. */
  readonly f1: Estimate;
  /** DeLong's interval. */
  readonly auc: Estimate;
}

/** A model on one set of images. Intervals are bootstrap intervals where nothing else is said. */
export interface Classification {
  readonly count: number;
  /** Share of images that are classified right; with several labels, of labels. */
  readonly accuracy: Estimate;
  /** Mean recall of the classes; with several labels, mean of recall and specificity. */
  readonly balancedAccuracy: Estimate;
  readonly macroF1: Estimate;
  /** Mean over classes of the AUC against the rest. */
  readonly macroAuc: Estimate;
  /** Hand and Till's M; null for images with several labels, where classes are no rivals. */
  readonly handTill: Estimate | null;
  readonly classes: readonly ClassEvaluation[];
  /** Row = shown, column = predicted; null for images with several labels. */
  readonly confusion: readonly (readonly number[])[] | null;
  readonly calibration: Calibration;
}

/** One class against the rest, by the column k of scores [N, K]. */
export function classEvaluation(
  name: string,
  { hits, shown, predicted }: ClassCounts,
  f1: Estimate,
  { positives, negatives }: Kinds,
  scores: Float64Array,
  K: number,
  k: number,
): ClassEvaluation {
  const scoresOf = (images: readonly number[]): number[] => images.map((n) => scores[n * K + k]);
  return {
    name,
    shown,
    predicted,
    precision: proportion(hits, predicted),
    recall: proportion(hits, shown),
    f1,
    auc: auc(scoresOf(positives), scoresOf(negatives)),
  };
}
