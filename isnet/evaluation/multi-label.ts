// Images with several labels: every class is a question of its own, and what is uncertain is left out.
import { type Kinds, oneVersusRest } from './auc.ts';
import { type BootstrapOptions, bootstrap } from './bootstrap.ts';
import { type Claim, calibrationOf } from './calibration.ts';
import { type Classification, classEvaluation } from './classification.ts';
import { type ClassCounts, f1Of, macroF1Of } from './confusion.ts';
import { type Estimate, meanOfDefined } from './estimate.ts';
import { probabilitiesOf, type Scores } from './scores.ts';

/** A class is said to be shown when its logit is above 0, a probability above one half. */
export function multiLabelClassification(scores: Scores, options: BootstrapOptions): Classification {
  const { count, classNames, logits, targets, known } = scores;
  const K = classNames.length;
  const kinds = classNames.map((_, k): Kinds => {
    const images = Array.from({ length: count }, (_, n) => n).filter((n) => known[n * K + k] === 1);
    return {
      positives: images.filter((n) => targets[n * K + k] === 1),
      negatives: images.filter((n) => targets[n * K + k] !== 1),
    };
  });
  const macroAuc = oneVersusRest(logits, kinds);
  const [accuracy, balancedAccuracy, macroF1, meanAuc, ...f1] = bootstrap(
    count,
    null,
    (weights) => {
      const counts = labelCounts(scores, weights);
      return [
        accuracyOf(counts),
        balancedOf(counts),
        macroF1Of(counts),
        macroAuc(weights),
        ...counts.map(f1Of),
      ];
    },
    options,
  );
  const counts = labelCounts(scores, new Int32Array(count).fill(1));
  return {
    count,
    accuracy,
    balancedAccuracy,
    macroF1,
    macroAuc: meanAuc,
    handTill: null,
    classes: classNames.map((name, k) =>
      classEvaluation(name, counts[k], f1[k] as Estimate, kinds[k], logits, K, k),
    ),
    confusion: null,
    calibration: calibrationOf(claimsOf(scores), count, null, options),
  };
}

function labelCounts(
  { count, classNames, logits, targets, known }: Scores,
  weights: Int32Array,
): ClassCounts[] {
  const K = classNames.length;
  return classNames.map((_, k) => {
    let [hits, shown, predicted, all] = [0, 0, 0, 0];
    for (let n = 0; n < count; n++) {
      const i = n * K + k;
      if (known[i] === 0) continue;
      const w = weights[n];
      all += w;
      if (targets[i] === 1) shown += w;
      if (logits[i] > 0) predicted += w;
      if (targets[i] === 1 && logits[i] > 0) hits += w;
    }
    return { hits, shown, predicted, known: all };
  });
}

/** Share of known labels that are said right. */
function accuracyOf(counts: readonly ClassCounts[]): number | null {
  const wrong = counts.reduce((sum, { hits, shown, predicted }) => sum + shown + predicted - 2 * hits, 0);
  const all = counts.reduce((sum, { known }) => sum + known, 0);
  return all === 0 ? null : 1 - wrong / all;
}

/** Mean over labels of (recall + specificity) / 2, for labels with images of both kinds. */
function balancedOf(counts: readonly ClassCounts[]): number | null {
  return meanOfDefined(
    counts.map(({ hits, shown, predicted, known }) =>
      shown === 0 || shown === known ? null : (hits / shown + 1 - (predicted - hits) / (known - shown)) / 2,
    ),
  );
}

/** One claim per known label: shown or not shown, and how sure that is. */
function claimsOf(scores: Scores): Claim[] {
  const { logits, targets, known } = scores;
  const probabilities = probabilitiesOf(scores);
  return Array.from(logits, (z, i): Claim | null => {
    if (known[i] === 0) return null;
    const p = probabilities[i];
    const isShown = targets[i] === 1;
    // log(1 + e^-|z|) without overflow, plus what the wrong sign costs.
    const logLoss = Math.log1p(Math.exp(-Math.abs(z))) + (z > 0 === isShown ? 0 : Math.abs(z));
    return {
      image: Math.floor(i / scores.classNames.length),
      confidence: Math.max(p, 1 - p),
      isRight: z > 0 === isShown,
      brier: (p - Number(isShown)) ** 2,
      logLoss,
    };
  }).filter((claim) => claim !== null);
}
