// What a model said about a set of images, on the host, and the probabilities that its logits stand for.

/** Logits of images beside the truth; row n of each array is image n. */
export interface Scores {
  readonly count: number;
  readonly classNames: readonly string[];
  /** [N, K], all finite. */
  readonly logits: Float64Array;
  /** [N, K], 1 for a class that is shown. Exactly one per image unless the images have several labels. */
  readonly targets: Uint8Array;
  /** [N, K], 0 where it is uncertain whether the class is shown: such entries are left out. */
  readonly known: Uint8Array;
  /** Each class is a question of its own, with a logistic; else one softmax over the classes. */
  readonly isMultiLabel: boolean;
}

/** Position of the largest of K numbers from `first` on; of equal ones the first. */
function argmaxAt(values: ArrayLike<number>, first: number, K: number): number {
  let best = 0;
  for (let k = 1; k < K; k++) if (values[first + k] > values[first + best]) best = k;
  return best;
}

/** Position of the largest of each row of [N, K]; of equal ones the first, as `argmax` has it. */
export function rowMaxima(values: ArrayLike<number>, count: number, K: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, n) => argmaxAt(values, n * K, K));
}

/** The shown class of each image [N], for images with one label. */
export const labelsOf = ({ targets, count, classNames }: Scores): Uint32Array =>
  rowMaxima(targets, count, classNames.length);

/** The class with the largest logit of each image [N]. */
export const predictionsOf = ({ logits, count, classNames }: Scores): Uint32Array =>
  rowMaxima(logits, count, classNames.length);

/** Probabilities [N, K]: softmax over the classes, or a logistic per class for images with several labels. */
export function probabilitiesOf({ logits, count, classNames, isMultiLabel }: Scores): Float64Array {
  if (isMultiLabel) return logits.map((z) => 1 / (1 + Math.exp(-z)));
  const K = classNames.length;
  const out = new Float64Array(logits.length);
  for (let n = 0; n < count; n++) {
    const first = n * K;
    const top = logits[first + argmaxAt(logits, first, K)];
    let total = 0;
    for (let k = 0; k < K; k++) {
      out[first + k] = Math.exp(logits[first + k] - top);
      total += out[first + k];
    }
    for (let k = 0; k < K; k++) out[first + k] /= total;
  }
  return out;
}

/**
 * Log-odds [N, K] of the probabilities:   log(p / (1 - p)) = z_k - log sum_{j != k} e^{z_j}
 * They order images as the probabilities do, but those of confident models are rounded to 1 and tie.
 */
export function logOddsOf({ logits, count, classNames, isMultiLabel }: Scores): Float64Array {
  if (isMultiLabel) return logits;
  const K = classNames.length;
  const out = new Float64Array(logits.length);
  for (let n = 0; n < count; n++) {
    const first = n * K;
    for (let k = 0; k < K; k++) {
      let top = Number.NEGATIVE_INFINITY;
      for (let j = 0; j < K; j++) if (j !== k) top = Math.max(top, logits[first + j]);
      let total = 0;
      for (let j = 0; j < K; j++) if (j !== k) total += Math.exp(logits[first + j] - top);
      // With one class there is nothing to weigh it against: its logit is as good an order as any.
      out[first + k] = K === 1 ? logits[first] : logits[first + k] - top - Math.log(total);
    }
  }
  return out;
}

/** Whether each image [N] is classified right; with several labels, in every known one. */
export function rightOf(scores: Scores): boolean[] {
  const { count, classNames, logits, targets, known, isMultiLabel } = scores;
  const K = classNames.length;
  if (!isMultiLabel) {
    const predictions = predictionsOf(scores);
    return Array.from(labelsOf(scores), (label, n) => label === predictions[n]);
  }
  const isRight = (i: number): boolean => known[i] === 0 || logits[i] > 0 === (targets[i] === 1);
  return Array.from({ length: count }, (_, n) => classNames.every((_, k) => isRight(n * K + k)));
}
