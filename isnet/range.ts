// C1 and C2: the range in which the foreground relevance of an ordinary classifier naturally lies.
import { tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import type { Device } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import { uploadHostBatch } from './batch.ts';
import { checkDataset } from './data/dataset.ts';
import { sourceOf, type TrainingData } from './data/source.ts';
import { representatives } from './data/splits.ts';
import { evaluating, explainedAtOnce, readings } from './evaluation/batches.ts';
import { type MapOptions, relevanceMaps, relevanceTotals, ruleCountOf } from './maps.ts';

/** One range for all maps, or one per depth and rule (depths outside), as `IsnetOptions` has them. */
export interface RelevanceRange {
  readonly C1: number | readonly number[];
  readonly C2: number | readonly number[];
}

/** `C1 = 0.5, C2 = 12.5`, or lists of them. */
export function describeRange({ C1, C2 }: RelevanceRange): string {
  const text = (bound: number | readonly number[]) =>
    typeof bound === 'number' ? bound.toPrecision(4) : `[${bound.map((c) => c.toPrecision(4)).join(', ')}]`;
  return `C1 = ${text(C1)}, C2 = ${text(C2)}`;
}

/**
 * The range of T_i = mean over maps of sum |R|, from its mean mu and standard deviation sigma over images:
 *   C1 = max(mu / 5, mu - 3 sigma),   C2 = min(25 C1, mu + 3 sigma)        Bassi et al. 2024, code of Faster ISNet
 */
export function rangeOf(totals: readonly number[]): { C1: number; C2: number } {
  const mu = totals.reduce((a, b) => a + b, 0) / totals.length;
  const sigma = Math.sqrt(totals.reduce((a, b) => a + (b - mu) ** 2, 0) / Math.max(1, totals.length - 1));
  if (!(mu > 0) || !Number.isFinite(sigma)) {
    throw new UsageError(
      `rangeOf: the classifier's heatmaps sum to ${mu} on average; train it longer, or give C1 and C2`,
    );
  }
  const C1 = Math.max(mu / 5, mu - 3 * sigma);
  // Maps that are all the same have sigma = 0, and the loss needs C1 < C2.
  return { C1, C2: Math.max(Math.min(25 * C1, mu + 3 * sigma), C1 * 1.001) };
}

export interface NaturalRangeOptions {
  /** Images that are explained at once; at most 128, fewer of large ones, if left out. */
  readonly batchSize?: number;
  /** Of the stochastic variant. */
  readonly seed?: number;
  /** About so many images, all kinds of labels by their share; all images if left out. */
  readonly limit?: number;
}

/**
 * Measures the range on an ordinary classifier that was trained for some epochs (five in the published procedure): one for
 * each depth and rule, as lists where there is more than one. Unlike there, all maps count, and the classifier is in
 * evaluation mode and at its end. Throws DataError for data that are not sound, and as `rangeOf` does.
 */
export async function naturalRange(
  device: Device,
  model: Module,
  data: TrainingData,
  options: MapOptions,
  { batchSize, seed = 0, limit = Number.POSITIVE_INFINITY }: NaturalRangeOptions = {},
): Promise<RelevanceRange> {
  if (!('epoch' in data)) checkDataset('naturalRange', data, { hasMasks: false });
  const source = sourceOf(data);
  const images = representatives(source, limit);
  const atOnce = batchSize ?? Math.min(128, explainedAtOnce(source));
  const ruleCount = ruleCountOf(options);
  const totals: number[][] = Array.from(
    { length: ruleCount * (1 + (options.deepSupervision?.length ?? 0)) },
    () => [],
  );
  let counter = 0;
  await evaluating(model, async () => {
    for (let first = 0; first < images.length; first += atOnce) {
      const batch = await source.batch(images.slice(first, first + atOnce));
      const [values] = await readings(device, () => {
        const { images } = uploadHostBatch(device, source, batch);
        const key = tensor(device, [seed % 2 ** 24, counter++], [2]);
        const { depths } = relevanceMaps(model, images, model.forward(images), options, key);
        return [relevanceTotals(depths, ruleCount)];
      });
      totals.forEach((list, g) => {
        for (let n = 0; n < batch.count; n++) list.push(values[g * batch.count + n]);
      });
    }
  });
  const ranges = totals.map(rangeOf);
  return ranges.length === 1 ? ranges[0] : { C1: ranges.map(({ C1 }) => C1), C2: ranges.map(({ C2 }) => C2) };
}
