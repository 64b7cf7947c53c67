// The two numbers that say most about a classifier: how often it is right, and how much it looks at the background.
import type { Device } from '../engine/tensor.ts';
import type { Composite } from '../lrp/composite.ts';
import type { Module } from '../nn/module.ts';
import { checkDataset, type EmptyMaskPolicy } from './data/dataset.ts';
import { sourceOf, type TrainingData } from './data/source.ts';
import { type BatchedOptions, predict } from './evaluation/batches.ts';
import { classify } from './evaluation/classify.ts';
import { localise } from './evaluation/localisation.ts';

export interface BackgroundRelevanceOptions extends BatchedOptions {
  readonly composite?: Composite;
  /** An image of a data set whose mask is empty is an error by default. */
  readonly emptyMasks?: EmptyMaskPolicy;
}

/**
 * Share of images that are classified right, of images with several labels the share of labels; in [0, 1], null if no label
 * is known. Throws DataError for a data set that is not sound, TrainingError for logits that are NaN or infinite.
 */
export async function accuracy(
  device: Device,
  model: Module,
  data: TrainingData,
  options: BatchedOptions = {},
): Promise<number | null> {
  if (!('epoch' in data)) checkDataset('accuracy', data, { hasMasks: false });
  return classify(await predict(device, model, sourceOf(data), options), { resamples: 0 }).accuracy.value;
}

/**
 * Mean over images of sum |R| outside the mask / sum |R|, in [0, 1], for relevance R of the predicted logit; null if no
 * image has a mask. Images without any relevance count as 1: a map that says nothing is no sign of robustness. Throws
 * DataError for a data set that is not sound, TrainingError for relevance that is NaN or infinite.
 */
export async function backgroundRelevance(
  device: Device,
  model: Module,
  data: TrainingData,
  { emptyMasks, ...options }: BackgroundRelevanceOptions = {},
): Promise<number | null> {
  if (!('epoch' in data)) checkDataset('backgroundRelevance', data, { emptyMasks });
  const result = await localise(device, model, sourceOf(data), { ...options, mostLayers: 0 });
  return result?.report.backgroundShare.value ?? null;
}
