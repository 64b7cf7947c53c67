// C1 and C2: the range in which the foreground relevance of an ordinary classifier naturally lies.
import { readAll, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { mean } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { abs } from '../engine/ops/pointwise.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import { uploadBatch } from './batch.ts';
import { batches, checkDataset, type Dataset } from './data/dataset.ts';
import { type IsnetOptions, isnetMaps } from './objective.ts';

export interface RelevanceRange {
  readonly C1: number;
  readonly C2: number;
}

/**
 * The range of T_i = mean over maps of sum |R|, from its mean mu and standard deviation sigma over images:
 *   C1 = max(mu / 5, mu - 3 sigma),   C2 = min(25 C1, mu + 3 sigma)        Bassi et al. 2024, code of Faster ISNet
 */
export function rangeOf(totals: readonly number[]): RelevanceRange {
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

/**
 * Measures the range on an ordinary classifier that was trained for some epochs (five in the published procedure). Throws
 * DataError for a data set that is not sound, and as `rangeOf` does.
 */
export async function naturalRange(
  device: Device,
  model: Module,
  dataset: Dataset,
  options: IsnetOptions,
  { batchSize = 128, seed = 0 } = {},
): Promise<RelevanceRange> {
  checkDataset('naturalRange', dataset, { hasMasks: false });
  const totals: number[] = [];
  const wasTraining = model.isTraining;
  model.eval();
  let counter = 0;
  for (const indices of batches(dataset, { batchSize, shuffle: false })) {
    const perImage = scope(device, () => {
      const { images } = uploadBatch(device, dataset, indices);
      const key = tensor(device, [seed % 2 ** 24, counter++], [2]);
      const maps = isnetMaps(model, images, model.forward(images), options, key);
      return mean(sum(abs(maps), [2, 3, 4]), [0]);
    });
    totals.push(...(await readAll([perImage]))[0]);
    release(perImage);
  }
  model.train(wasTraining);
  return rangeOf(totals);
}
