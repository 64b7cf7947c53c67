// The first sentence of a report: whether a model depends on the background, and how sure that is.
import type { BiasGap, ModelEvaluation } from '../evaluation/model.ts';
import { percent } from './numbers.ts';

/** What the gap between the set that training resembles and another one means. */
export type Verdict = 'robust' | 'dependent' | 'undecided' | 'untrained';

// A loss that nobody would mind, and that is above the noise of a thousand images.
const SMALL_GAP = 0.05;

/** The gap that tells most: that to 'deceiving', or else the last one. */
export function tellingGap({ gaps }: ModelEvaluation): BiasGap | null {
  return gaps.find(({ to }) => to === 'deceiving') ?? gaps.at(-1) ?? null;
}

/**
 * Robust: the whole interval of the gap lies below five points. Dependent: all of it lies above. Untrained: on images like
 * those of training the model is not surely better than guessing, so that there is nothing to lose. Null without a gap.
 */
export function verdictOf(model: ModelEvaluation): Verdict | null {
  const gap = tellingGap(model);
  if (!gap) return null;
  const { accuracy, classes } = model.sets[gap.from];
  if ((accuracy.low ?? 0) <= 1.5 / classes.length) return 'untrained';
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

function sentenceOf(model: ModelEvaluation, title: string): string {
  const verdict = verdictOf(model);
  const gap = tellingGap(model);
  const on = (set: string): string => `${percent(model.sets[set].accuracy.value)} of the ${set} test images`;
  if (!verdict || !gap) return `The ${title} is right on ${on(Object.keys(model.sets)[0])}.`;
  switch (verdict) {
    case 'robust':
      return `The ${title} does not depend on the background: it is right on ${on(gap.from)} and ${on(gap.to)}.`;
    case 'dependent':
      return `The ${title} depends on the background: it is right on ${on(gap.from)}, but only ${on(gap.to)}.`;
    case 'undecided':
      return `The ${title} is right on ${on(gap.from)} and ${on(gap.to)}: too few images to tell whether it depends on the background.`;
    case 'untrained':
      return `The ${title} has not learned to tell the classes apart: it is right on ${on(gap.from)}.`;
  }
}
