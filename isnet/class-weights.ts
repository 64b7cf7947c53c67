// Weights of classes of which there are few images.
import { UsageError } from '../engine/errors.ts';
import type { BatchSource } from './data/source.ts';

/** One number per class, or `balanced`: from how often each is shown in the training images. */
export type ClassWeights = readonly number[] | 'balanced';

/** Images that show a class, and those that do not; uncertain ones are neither. */
function counts({ labels, classNames }: Pick<BatchSource, 'labels' | 'classNames'>, which: 0 | 1): number[] {
  const sums = classNames.map(() => 0);
  labels.forEach((label, i) => {
    if (label === which) sums[i % classNames.length]++;
  });
  return sums;
}

/** Weights of classes for the softmax, balanced: N / (classes N_c), as scikit-learn's. Throws UsageError if they do not fit. */
export function classWeightsOf(weights: ClassWeights, source: BatchSource): readonly number[] {
  if (weights !== 'balanced') return checked('classWeights', weights, source);
  const shown = counts(source, 1);
  const all = shown.reduce((sum, count) => sum + count, 0);
  return checked(
    'classWeights',
    shown.map((count) => all / (shown.length * count)),
    source,
  );
}

/** Weights of what is shown for the logistic loss, balanced: not shown / shown. Throws UsageError if they do not fit. */
export function posWeightOf(weights: ClassWeights, source: BatchSource): readonly number[] {
  if (weights !== 'balanced') return checked('posWeight', weights, source);
  const absent = counts(source, 0);
  return checked(
    'posWeight',
    counts(source, 1).map((count, c) => absent[c] / count),
    source,
  );
}

function checked(name: string, weights: readonly number[], { classNames }: BatchSource): readonly number[] {
  if (weights.length !== classNames.length) {
    throw new UsageError(
      `train: ${name} has ${weights.length} numbers and there are ${classNames.length} classes (${classNames.join(', ')}); give one for each, or 'balanced'`,
    );
  }
  const odd = weights.findIndex((weight) => !(weight > 0 && weight < Infinity));
  if (odd >= 0) {
    throw new UsageError(
      `train: ${name} of class '${classNames[odd]}' is ${weights[odd]}; give numbers above 0, and images that show each class and images that do not`,
    );
  }
  return weights;
}
