// The whole evaluation of one model on the test sets of a benchmark: what evaluation.json holds and reports show.
import type { Device } from '../../engine/tensor.ts';
import type { Composite } from '../../lrp/composite.ts';
import type { Module } from '../../nn/module.ts';
import type { BatchSource } from '../data/source.ts';
import { predict } from './batches.ts';
import type { BootstrapOptions } from './bootstrap.ts';
import type { Classification } from './classification.ts';
import { classify } from './classify.ts';
import { type Conservation, conservationOf } from './conservation.ts';
import { type Deletion, deletionTest } from './deletion.ts';
import { type Estimate, pairedDifference, proportion, unpairedDifference } from './estimate.ts';
import { type LocalisationReport, type LocalisationResult, localise } from './localisation.ts';
import { rightOf, type Scores } from './scores.ts';

/** The class and test set on which a model is worst: what an average hides. */
export interface WorstGroup {
  readonly set: string;
  readonly className: string;
  readonly count: number;
  readonly accuracy: Estimate;
}

/** What is lost from one test set to another; with the sets of a bias benchmark, what the model owes to the bias. */
export interface BiasGap {
  readonly from: string;
  readonly to: string;
  /** Accuracy on `from` minus accuracy on `to`, with Newcombe's interval, paired where the sets show the same images. */
  readonly accuracy: Estimate;
  /** Differences without intervals; null where one side is not defined. */
  readonly macroF1: number | null;
  readonly macroAuc: number | null;
}

/** All that is known about one model. */
export interface ModelEvaluation {
  readonly name: 'classifier' | 'isnet';
  /** By test set. */
  readonly sets: Readonly<Record<string, Classification>>;
  /** Null for images with several labels, which are in several groups at once. */
  readonly worstGroup: WorstGroup | null;
  readonly gaps: readonly BiasGap[];
  /** On the first test set; null if it has no masks. */
  readonly localisation: LocalisationReport | null;
  /** On the first test set; null if it has no masks. */
  readonly deletion: readonly Deletion[] | null;
  /** Of a few images of the first test set. */
  readonly conservation: Conservation;
}

/** An evaluation, and the background share of each image of the first test set. */
export interface EvaluationResult {
  readonly evaluation: ModelEvaluation;
  readonly images: LocalisationResult['images'];
}

export interface EvaluateModelOptions extends BootstrapOptions {
  readonly composite?: Composite;
  /** Whether all sets show the same images in the same order, so that they can be compared image by image. */
  readonly isPaired?: boolean;
  /** Called before each part with what comes next. */
  readonly onPart?: (part: string) => void;
  /** Called between parts; true ends the evaluation early. */
  readonly isStopped?: () => boolean;
}

/**
 * Evaluates a model on test sets by name, of which the first is the one that training resembles: relevance and deletion are
 * measured there, and gaps are from there to each other set. Resolves to null if it was stopped. Throws TrainingError for
 * logits or relevance that are NaN or infinite.
 */
export async function evaluateOnSets(
  device: Device,
  name: ModelEvaluation['name'],
  model: Module,
  sources: Readonly<Record<string, BatchSource>>,
  options: EvaluateModelOptions = {},
): Promise<EvaluationResult | null> {
  const { composite, isPaired = false, onPart, isStopped } = options;
  const scores: Record<string, Scores> = {};
  const sets: Record<string, Classification> = {};
  for (const [set, source] of Object.entries(sources)) {
    if (isStopped?.()) return null;
    onPart?.(`accuracy on ${set}`);
    scores[set] = await predict(device, model, source);
    sets[set] = classify(scores[set], options);
  }
  const [[first, source]] = Object.entries(sources);
  if (isStopped?.()) return null;
  onPart?.('background relevance');
  const localised = await localise(device, model, source, { composite });
  if (isStopped?.()) return null;
  onPart?.('deletion test');
  const deletion = await deletionTest(device, model, source, { seed: options.seed });
  const others = Object.keys(sources).filter((set) => set !== first);
  return {
    evaluation: {
      name,
      sets,
      worstGroup: source.isMultiLabel ? null : worstGroupOf(sets),
      gaps: others.map((to) => gapBetween(first, to, sets, scores, isPaired)),
      localisation: localised?.report ?? null,
      deletion,
      conservation: await conservationOf(device, model, source, { composite }),
    },
    images: localised?.images ?? [],
  };
}

/** Of test sets, of which the first is what training resembles, the one that tells most: `deceiving`, or else the last. */
export function tellingSet(names: readonly string[]): string | null {
  const others = names.slice(1);
  return others.find((name) => name === 'deceiving') ?? others.at(-1) ?? null;
}

/** The group, one class of one set, with the lowest recall; null without images. */
export function worstGroupOf(sets: Readonly<Record<string, Classification>>): WorstGroup | null {
  const groups = Object.entries(sets).flatMap(([set, { classes }]) =>
    classes.map(({ name, shown, recall }) => ({ set, className: name, count: shown, accuracy: recall })),
  );
  const defined = groups.filter(({ count }) => count > 0);
  return defined.reduce<WorstGroup | null>(
    (worst, group) => (worst && (worst.accuracy.value ?? 1) <= (group.accuracy.value ?? 1) ? worst : group),
    null,
  );
}

function gapBetween(
  from: string,
  to: string,
  sets: Readonly<Record<string, Classification>>,
  scores: Readonly<Record<string, Scores>>,
  isPaired: boolean,
): BiasGap {
  const difference = (key: 'macroF1' | 'macroAuc'): number | null => {
    const [a, b] = [sets[from][key].value, sets[to][key].value];
    return a === null || b === null ? null : a - b;
  };
  return {
    from,
    to,
    accuracy: accuracyGap(scores[from], scores[to], isPaired),
    macroF1: difference('macroF1'),
    macroAuc: difference('macroAuc'),
  };
}

/** Difference of accuracies; of images with several labels, of the share that is right in every known label. */
export function accuracyGap(from: Scores, to: Scores, isPaired: boolean): Estimate {
  const [a, b] = [rightOf(from), rightOf(to)];
  const sum = (flags: readonly boolean[]): number => flags.filter(Boolean).length;
  if (!isPaired || a.length !== b.length) {
    return unpairedDifference(proportion(sum(a), a.length), proportion(sum(b), b.length));
  }
  const count = (first: boolean, second: boolean): number =>
    a.filter((right, n) => right === first && b[n] === second).length;
  return pairedDifference({
    both: count(true, true),
    onlyFirst: count(true, false),
    onlySecond: count(false, true),
    neither: count(false, false),
  });
}
