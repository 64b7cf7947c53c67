// What a run found out, as numbers and as the table at its end.
import type { Device } from '../engine/tensor.ts';
import type { Composite } from '../lrp/composite.ts';
import type { Module } from '../nn/module.ts';
import type { Dataset } from './data/dataset.ts';
import { accuracy, backgroundRelevance } from './evaluate.ts';
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

/** What the models are called in tables and captions. */
export const modelTitles = { classifier: 'classifier', isnet: 'ISNet' } as const;

/** The models side by side, one per line, in columns. */
export function metricsTable(models: readonly ModelMetrics[]): string {
  const rows = models.map(({ name, accuracy: found, backgroundRelevance: outside }) => [
    modelTitles[name],
    ...testSets.map((set) => found[set].toFixed(3)),
    outside.biased.toFixed(4),
  ]);
  const table = [['model', ...testSets, 'background relevance'], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const format = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i])).join('   ');
  return table.map((row) => format(row).trimEnd()).join('\n');
}
