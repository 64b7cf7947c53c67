// Everything that logits and labels say about a model on one set of images; with several labels each, see multi-label.ts.
import { handTill, type Kinds, oneVersusRest } from './auc.ts';
import { type BootstrapOptions, bootstrap } from './bootstrap.ts';
import { type Claim, calibrationOf } from './calibration.ts';
import { type Classification, classEvaluation } from './classification.ts';
import { balancedAccuracyOf, classCounts, confusionOf, f1Of, macroF1Of } from './confusion.ts';
import { proportion, withoutInterval } from './estimate.ts';
import { multiLabelClassification } from './multi-label.ts';
import { labelsOf, logOddsOf, predictionsOf, probabilitiesOf, type Scores } from './scores.ts';

// The work per resample grows with images x classes: a hundred classes and ten thousand images take seconds.
const MOST_PAIR_SCORES = 4e6;

/** Evaluates scores, of images with one label or with several. */
export function classify(scores: Scores, options: BootstrapOptions = {}): Classification {
  return scores.isMultiLabel
    ? multiLabelClassification(scores, options)
    : singleLabelClassification(scores, options);
}

function singleLabelClassification(scores: Scores, options: BootstrapOptions): Classification {
  const { count, classNames } = scores;
  const K = classNames.length;
  const [labels, predictions, logOdds] = [labelsOf(scores), predictionsOf(scores), logOddsOf(scores)];
  const kinds = kindsOf(labels, K);
  const confusion = confusionOf(labels, predictions, K);
  const counts = classCounts(confusion, K);
  const [macroAuc, pairAuc] = [
    oneVersusRest(logOdds, kinds),
    handTill(
      logOdds,
      kinds.map(({ positives }) => positives),
    ),
  ];
  const isLarge = count * (K - 1) > MOST_PAIR_SCORES;
  const [balancedAccuracy, macroF1, meanAuc, M, ...f1] = bootstrap(
    count,
    labels,
    (weights) => {
      const resampled = classCounts(confusionOf(labels, predictions, K, weights), K);
      const areas = isLarge ? [null, null] : [macroAuc(weights), pairAuc(weights)];
      return [balancedAccuracyOf(resampled), macroF1Of(resampled), ...areas, ...resampled.map(f1Of)];
    },
    options,
  );
  const all = new Int32Array(count).fill(1);
  return {
    count,
    accuracy: proportion(
      counts.reduce((sum, { hits }) => sum + hits, 0),
      count,
    ),
    balancedAccuracy,
    macroF1,
    macroAuc: isLarge ? withoutInterval(macroAuc(all)) : meanAuc,
    handTill: isLarge ? withoutInterval(pairAuc(all)) : M,
    classes: classNames.map((name, k) => classEvaluation(name, counts[k], f1[k], kinds[k], logOdds, K, k)),
    confusion: classNames.map((_, k) => Array.from(confusion.subarray(k * K, (k + 1) * K))),
    calibration: calibrationOf(claimsOf(scores, labels, predictions), count, labels, options),
  };
}

function kindsOf(labels: ArrayLike<number>, K: number): Kinds[] {
  const images = Array.from(labels, (_, n) => n);
  return Array.from({ length: K }, (_, k) => ({
    positives: images.filter((n) => labels[n] === k),
    negatives: images.filter((n) => labels[n] !== k),
  }));
}

function claimsOf(scores: Scores, labels: Uint32Array, predictions: Uint32Array): Claim[] {
  const { count, classNames, logits } = scores;
  const K = classNames.length;
  const probabilities = probabilitiesOf(scores);
  return Array.from({ length: count }, (_, n) => {
    const row = probabilities.subarray(n * K, (n + 1) * K);
    const top = logits[n * K + predictions[n]];
    // From logits: the probability of what is shown may have vanished, its logarithm has not.
    const total = logits.subarray(n * K, (n + 1) * K).reduce((sum, z) => sum + Math.exp(z - top), 0);
    return {
      image: n,
      confidence: row[predictions[n]],
      isRight: labels[n] === predictions[n],
      brier: row.reduce((sum, p, k) => sum + (p - Number(labels[n] === k)) ** 2, 0),
      logLoss: top + Math.log(total) - logits[n * K + labels[n]],
    };
  });
}
