// What a run found out, as numbers and as the table at its end.
import type { Device } from '../engine/tensor.ts';
import type { Composite } from '../lrp/composite.ts';
import type { Module } from '../nn/module.ts';
import { checkDataset, type Dataset } from './data/dataset.ts';
import { memorySource } from './data/source.ts';
import { accuracy, backgroundRelevance } from './evaluate.ts';
import type { Estimate } from './evaluation/estimate.ts';
import {
  type EvaluateModelOptions,
  type EvaluationResult,
  evaluateOnSets,
  type ModelEvaluation,
} from './evaluation/model.ts';
import type { RelevanceRange } from './range.ts';

/** Test sets of a background-bias benchmark. */
export const testSets = ['biased', 'unbiased', 'deceiving'] as const;
export type TestSet = (typeof testSets)[number];

/** Results of one model, each number in [0, 1]. */
export interface ModelMetrics {
  readonly name: 'classifier' | 'isnet';
  readonly accuracy: Readonly<Record<TestSet, number>>;
  /** Mean over images of sum |R| outside the mask / sum |R|. */
  readonly backgroundRelevance: { readonly biased: number };
}

/** Contents of metrics.json. */
export interface Metrics {
  readonly models: readonly ModelMetrics[];
  readonly adapter: string;
  /** Time of the whole run, interruptions left out. */
  readonly seconds: number;
  readonly seed: number;
  /** C1 and C2 of the ISNet's loss; null if none was trained. */
  readonly range: RelevanceRange | null;
}

export interface EvaluationOptions {
  readonly composite?: Composite;
  /** Called between test sets with what comes next. */
  readonly onPart?: (part: string) => void;
}

/** Accuracy on the three test sets, and background relevance of the predicted class on the biased one. */
export async function evaluateModel(
  device: Device,
  name: ModelMetrics['name'],
  model: Module,
  data: Readonly<Record<TestSet, Dataset>>,
  { composite, onPart }: EvaluationOptions = {},
): Promise<ModelMetrics> {
  const found = { biased: 0, unbiased: 0, deceiving: 0 };
  for (const set of testSets) {
    onPart?.(`accuracy on ${set}`);
    found[set] = await accuracy(device, model, data[set]);
  }
  onPart?.('background relevance');
  const biased = await backgroundRelevance(device, model, data.biased, { composite });
  return { name, accuracy: found, backgroundRelevance: { biased } };
}

/**
 * Everything there is to say about a model on the three test sets, which show the same digits: intervals, classes,
 * calibration, localisation, deletion. Resolves to null if it was stopped; throws
 * DataError for a set that is not sound, and as `evaluateOnSets` does.
 */
export async function evaluateFully(
  device: Device,
  name: ModelMetrics['name'],
  model: Module,
  data: Readonly<Record<TestSet, Dataset>>,
  options: Omit<EvaluateModelOptions, 'isPaired'> = {},
): Promise<EvaluationResult | null> {
  for (const set of testSets) checkDataset(`evaluate ${set}`, data[set], { hasMasks: set === testSets[0] });
  const sources = Object.fromEntries(testSets.map((set) => [set, memorySource(data[set])]));
  return evaluateOnSets(device, name, model, sources, { ...options, isPaired: true });
}

/** The short numbers of an evaluation on the three test sets: what metrics.json holds. */
export function metricsOf({ name, sets, localisation }: ModelEvaluation): ModelMetrics {
  const found = Object.fromEntries(testSets.map((set) => [set, sets[set].accuracy.value])) as Record<
    TestSet,
    number
  >;
  return {
    name,
    accuracy: found,
    backgroundRelevance: { biased: localisation?.backgroundShare.value as number },
  };
}

/** What the models are called in tables and captions. */
export const modelTitles = { classifier: 'classifier', isnet: 'ISNet' } as const;

/** The models side by side, one per line, in columns. */
export function metricsTable(models: readonly ModelMetrics[]): string {
  const rows = models.map(({ name, accuracy: found, backgroundRelevance: outside }) => [
    modelTitles[name],
    ...testSets.map((set) => found[set].toFixed(3)),
    outside.biased.toFixed(4),
  ]);
  return inColumns([['model', ...testSets, 'background relevance'], ...rows]);
}

/** The evaluations side by side with their 95 % intervals, one number per line. */
export function evaluationTable(models: readonly ModelEvaluation[]): string {
  const line = (title: string, of: (model: ModelEvaluation) => Estimate | null | undefined, digits = 3) => [
    title,
    ...models.map((model) => formatEstimate(of(model), digits)),
  ];
  const sets = Object.keys(models[0].sets);
  return inColumns([
    ['', ...models.map(({ name }) => modelTitles[name])],
    ...sets.map((set) => line(`accuracy, ${set}`, ({ sets: own }) => own[set].accuracy)),
    ...models[0].gaps.map(({ from, to }, i) => line(`${from} - ${to}`, ({ gaps }) => gaps[i].accuracy)),
    ['worst group', ...models.map(({ worstGroup }) => worstGroupText(worstGroup))],
    ...sets.map((set) => line(`AUC, ${set}`, ({ sets: own }) => own[set].macroAuc)),
    ...sets.map((set) => line(`calibration error, ${set}`, ({ sets: own }) => own[set].calibration.ece)),
    line('background relevance', ({ localisation }) => localisation?.backgroundShare, 4),
    line('pointing game', ({ localisation }) => localisation?.pointingGame),
  ]);
}

function worstGroupText(group: ModelEvaluation['worstGroup']): string {
  return group ? `${formatEstimate(group.accuracy)} (${group.className}, ${group.set})` : '-';
}

/** `0.957 [0.947, 0.965]`; the brackets are missing where there is no interval, and - is a number that is not defined. */
export function formatEstimate(estimate: Estimate | null | undefined, digits = 3): string {
  if (!estimate || estimate.value === null) return '-';
  const { value, low, high } = estimate;
  // Adding 0 makes 0 of -0, which nobody wants to read.
  const text = (x: number): string => (Number(x.toFixed(digits)) + 0).toFixed(digits);
  return low === null || high === null ? text(value) : `${text(value)} [${text(low)}, ${text(high)}]`;
}

function inColumns(table: readonly (readonly string[])[]): string {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const format = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i])).join('   ');
  return table.map((row) => format(row).trimEnd()).join('\n');
}
