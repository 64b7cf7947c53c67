// The first sentence of a report: whether a model depends on the background, and how sure that is.
import { type BiasGap, type ModelEvaluation, tellingSet } from '../evaluation/model.ts';
import { percent } from './numbers.ts';

/** What the gap between the set that training resembles and another one means. */
export type Verdict = 'robust' | 'dependent' | 'undecided' | 'untrained';

// A loss that nobody would mind, and that is above the noise of a thousand images.
const SMALL_GAP = 0.05;

/** The gap to the set that tells most. */
export function tellingGap({ gaps, sets }: ModelEvaluation): BiasGap | null {
  const to = tellingSet(Object.keys(sets));
  return gaps.find((gap) => gap.to === to) ?? gaps.at(-1) ?? null;
}

/** Whether the sets differ in a background that betrays the class, so that a gap is what the model owes to it. */
export const isBiasBenchmark = (sets: readonly string[]): boolean =>
  sets[0] === 'biased' && (sets.includes('unbiased') || sets.includes('deceiving'));

/**
 * Robust: the whole interval of the gap lies below five points. Dependent: all of it lies above. Untrained: on images like
 * those of training the model is not surely better than guessing, so that there is nothing to lose. Null without a gap,
 * or where the sets may differ in more than their backgrounds.
 */
export function verdictOf(model: ModelEvaluation): Verdict | null {
  const gap = tellingGap(model);
  if (!gap || !isBiasBenchmark(Object.keys(model.sets))) return null;
  const { accuracy, classes, confusion } = model.sets[gap.from];
  // With several labels per image there is no telling how often a guess is right.
  if (confusion && (accuracy.low ?? 0) <= 1.5 / classes.length) return 'untrained';
  if ((gap.accuracy.low ?? 0) > SMALL_GAP) return 'dependent';
  return gap.accuracy.high !== null && gap.accuracy.high < SMALL_GAP ? 'robust' : 'undecided';
}

/** One sentence per model, the main one (the last) first. */
export function verdictSentences(
  models: readonly ModelEvaluation[],
  titles: Readonly<Record<string, string>>,
): string[] {
  return models.toReversed().map((model) => sentenceOf(model, titles[model.name]));
}

const setTitle = (set: string): string => (set === 'test' || set === 'validation' ? set : `${set} test`);

function sentenceOf(model: ModelEvaluation, title: string): string {
  const verdict = verdictOf(model);
  const gap = tellingGap(model);
  const isMultiLabel = Object.values(model.sets)[0].confusion === null;
  const what = isMultiLabel ? 'labels of the ' : '';
  const on = (set: string): string =>
    `${percent(model.sets[set].accuracy.value)} of the ${what}${setTitle(set)} images`;
  if (!gap) return `The ${title} is right on ${on(Object.keys(model.sets)[0])}.`;
  switch (verdict) {
    case 'robust':
      return `The ${title} does not depend on the background: it is right on ${on(gap.from)} and ${on(gap.to)}.`;
    case 'dependent':
      return `The ${title} depends on the background: it is right on ${on(gap.from)}, but only ${on(gap.to)}.`;
    case 'undecided':
      return `The ${title} is right on ${on(gap.from)} and ${on(gap.to)}: too few images to tell whether it depends on the background.`;
    case 'untrained':
      return `The ${title} has not learned to tell the classes apart: it is right on ${on(gap.from)}.`;
    case null:
      return `The ${title} is right on ${on(gap.from)} and ${on(gap.to)}.`;
  }
}
