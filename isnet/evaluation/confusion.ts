// Who is taken for whom: the confusion matrix, and what precision, recall and F1 make of it.
import { meanOfDefined } from './estimate.ts';

/** Counts [K, K], row = shown class, column = predicted class. */
export type Confusion = Float64Array;

/** Counts of one class against the rest. */
export interface ClassCounts {
  readonly hits: number;
  /** Images that show the class. */
  readonly shown: number;
  /** Images that are said to show it. */
  readonly predicted: number;
  /** Images of which it is known. */
  readonly known: number;
}

/** The confusion matrix of N images; with weights, image n counts `weights[n]` times. */
export function confusionOf(
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  K: number,
  weights?: ArrayLike<number>,
): Confusion {
  const out = new Float64Array(K * K);
  for (let n = 0; n < labels.length; n++) out[labels[n] * K + predictions[n]] += weights?.[n] ?? 1;
  return out;
}

/** Hits, shown and predicted images of each class. */
export function classCounts(confusion: Confusion, K: number): ClassCounts[] {
  const known = confusion.reduce((sum, n) => sum + n, 0);
  return Array.from({ length: K }, (_, k) => {
    let shown = 0;
    let predicted = 0;
    for (let j = 0; j < K; j++) {
      shown += confusion[k * K + j];
      predicted += confusion[j * K + k];
    }
    return { hits: confusion[k * K + k], shown, predicted, known };
  });
}

const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

/** Share of the class's images that are found; null if there are none. */
export const recallOf = ({ hits, shown }: ClassCounts): number | null => ratio(hits, shown);

/** Share of what is said to be the class that is; null if nothing is said to be. */
export const precisionOf = ({ hits, predicted }: ClassCounts): number | null => ratio(hits, predicted);

/** 2 hits / (shown + predicted), the harmonic mean of precision and recall; null if the class plays no part. */
export const f1Of = ({ hits, shown, predicted }: ClassCounts): number | null =>
  ratio(2 * hits, shown + predicted);

/** Share of images that are classified right; null without images. */
export function accuracyOf(classes: readonly ClassCounts[]): number | null {
  const total = (key: keyof ClassCounts): number => classes.reduce((sum, each) => sum + each[key], 0);
  return ratio(total('hits'), total('shown'));
}

/** Mean recall of the classes that have images, as scikit-learn's balanced_accuracy_score. */
export const balancedAccuracyOf = (classes: readonly ClassCounts[]): number | null =>
  meanOfDefined(classes.map(recallOf));

/** Mean F1 of the classes that are shown or predicted, as scikit-learn's f1_score with average 'macro'. */
export const macroF1Of = (classes: readonly ClassCounts[]): number | null => meanOfDefined(classes.map(f1Of));
