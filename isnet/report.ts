// What a run found out, as numbers and as the table at its end.
import type { Estimate } from './evaluation/estimate.ts';
import type { LogitBackgrounds } from './evaluation/logit-backgrounds.ts';
import type { ModelEvaluation } from './evaluation/model.ts';
import type { Silencing } from './evaluation/silencing.ts';
import type { RelevanceRange } from './range.ts';

/** Results of one model, each number in [0, 1]. */
export interface ModelMetrics {
  readonly name: ModelEvaluation['name'];
  /** By test set: share of images that are classified right, of images with several labels the share of labels. */
  readonly accuracy: Readonly<Record<string, number | null>>;
  /** By test set, of the first: mean over images of sum |R| outside the mask / sum |R|; empty without masks. */
  readonly backgroundRelevance: Readonly<Record<string, number>>;
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

/** The short numbers of an evaluation: what metrics.json holds. */
export function metricsOf({ name, sets, localisation }: ModelEvaluation): ModelMetrics {
  const names = Object.keys(sets);
  const share = localisation?.backgroundShare.value ?? null;
  return {
    name,
    accuracy: Object.fromEntries(names.map((set) => [set, sets[set].accuracy.value])),
    backgroundRelevance: share === null ? {} : { [names[0]]: share },
  };
}

/** What the models are called in tables and captions. */
export const modelTitles = { classifier: 'classifier', isnet: 'ISNet' } as const;

/** The models side by side, one per line, in columns. */
export function metricsTable(models: readonly ModelMetrics[]): string {
  const sets = Object.keys(models[0].accuracy);
  const text = (share: number | null | undefined, digits: number): string => share?.toFixed(digits) ?? '-';
  const rows = models.map(({ name, accuracy, backgroundRelevance }) => [
    modelTitles[name],
    ...sets.map((set) => text(accuracy[set], 3)),
    text(backgroundRelevance[sets[0]], 4),
  ]);
  return inColumns([['model', ...sets, 'background relevance'], ...rows]);
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

/** What the background silences in one model, on one test set. */
export interface SilencedModel {
  readonly name: ModelEvaluation['name'];
  readonly set: string;
  /** Null if no image has a mask. */
  readonly silencing: Silencing | null;
}

/** A line per layer: how much of it fires for the object on black, what the background silences, what restoring that gives. */
export function silencingText({ name, set, silencing }: SilencedModel): string {
  const title = `${modelTitles[name]}, ${set}: what the background silences`;
  if (!silencing) return `${title}: no image has a mask`;
  const { accuracy, objectAccuracy, layers } = silencing;
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const rows = layers.map(({ layer, firing, silenced, accuracyRestored }) => [
    layer,
    percent(firing),
    percent(silenced),
    formatEstimate(accuracyRestored),
  ]);
  return [
    title,
    `accuracy ${formatEstimate(accuracy)}, of the object on black ${formatEstimate(objectAccuracy)}`,
    inColumns([['layer', 'units that fire', 'of these silenced', 'accuracy with these restored'], ...rows]),
  ].join('\n');
}

/** What the background adds to the logits of one model, on one test set. */
export interface LogitsOfModel {
  readonly name: ModelEvaluation['name'];
  readonly set: string;
  /** Null if no image has a mask. */
  readonly logits: LogitBackgrounds | null;
}

/** What the logit of a rank is called, 0 being that of the largest. */
export const logitTitle = (rank: number): string => (rank === 0 ? 'largest' : `${rank + 1}`);

/** A line per rank of the logit, the largest first. */
export function logitsText({ name, set, logits }: LogitsOfModel): string {
  const title = `${modelTitles[name]}, ${set}: what the background adds to each logit`;
  if (!logits) return `${title}: no image has a mask`;
  const rows = logits.ranks.map(({ relevance, share }, rank) => [
    logitTitle(rank),
    formatEstimate(relevance),
    formatEstimate(share),
  ]);
  return [title, inColumns([['logit', 'relevance outside the mask', 'share of all |R|'], ...rows])].join(
    '\n',
  );
}

/** What is measured only when it is asked for; one of each for each model. */
export interface AskedFor {
  readonly silenced?: readonly SilencedModel[];
  readonly logits?: readonly LogitsOfModel[];
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

/** Rows of cells as text, each column as wide as its widest cell. */
export function inColumns(table: readonly (readonly string[])[]): string {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const format = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i])).join('   ');
  return table.map((row) => format(row).trimEnd()).join('\n');
}
