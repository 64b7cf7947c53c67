// What an ISNet minimises: L = (1 - P) L_classification + P L_heatmap, and what an ordinary classifier does: P = 0.
import { add, mean, mul, sub } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Composite, isnetComposite } from '../lrp/composite.ts';
import { relevanceOfLogits } from '../lrp/explain.ts';
import { relevance } from '../lrp/relevance.ts';
import { crossEntropy } from '../nn/loss.ts';
import type { Module } from '../nn/module.ts';
import { type HeatmapLossOptions, heatmapLoss } from './heatmap-loss.ts';
import { type SeedOptions, seedRelevance, type Variant } from './seeds.ts';

/** Options of the heatmap part; see `heatmapLoss` for the loss itself. */
export interface IsnetOptions extends HeatmapLossOptions {
  readonly variant: Variant;
  readonly composite?: Composite;
  /** See `selectiveGradient`. */
  readonly selectiveEps?: number;
}

/** A batch on the device. */
export interface Batch {
  /** [N, C, H, W] in [0, 1] */
  readonly images: Tensor;
  /** One-hot [N, classes] */
  readonly targets: Tensor;
  /** [N, 1, H, W], 1 = foreground */
  readonly masks: Tensor;
}

/** Heatmaps [K, N, C, H, W] of the variant's explained quantities, from the recorded logits of `model.forward(images)`. */
export function isnetMaps(
  model: Module,
  images: Tensor,
  logits: Tensor,
  { variant, composite = isnetComposite(), selectiveEps }: IsnetOptions,
  key?: Tensor,
): Tensor {
  const options: SeedOptions = { variant, key, selectiveEps };
  const seed = seedRelevance(relevanceOfLogits(logits, composite), options);
  const maps = relevance({ output: logits, seed, input: images, composite, model });
  return reshape(maps, [-1, ...images.shape]);
}

export interface Losses {
  readonly logits: Tensor;
  readonly total: Tensor;
  readonly classification: Tensor;
  /** Null for an ordinary classifier. */
  readonly heatmap: Tensor | null;
}

/** Loss of an ordinary classifier: cross-entropy. */
export function classifierLosses(model: Module, batch: Batch): Losses {
  const logits = model.forward(batch.images);
  const classification = crossEntropy(logits, batch.targets);
  return { logits, total: classification, classification, heatmap: null };
}

/** What changes from step to step besides the batch; tensors, so that a captured step can contain the loss. */
export interface StepNumbers {
  /** Weight of the heatmap loss in [0, 1]: []. */
  readonly P: Tensor;
  /** What the stochastic variant draws: [2], whole numbers (seed, counter) below 2^24. */
  readonly key: Tensor;
}

/** Loss of an ISNet, all parts recorded. */
export function isnetLosses(
  model: Module,
  batch: Batch,
  options: IsnetOptions,
  { P, key }: StepNumbers,
): Losses {
  const { images, targets, masks } = batch;
  const logits = model.forward(images);
  const classification = crossEntropy(logits, targets);
  const maps = isnetMaps(model, images, logits, options, key);
  const heatmap = mean(heatmapLoss(maps, masks, options).perSample);
  const total = add(mul(classification, sub(1, P)), mul(heatmap, P));
  return { logits, total, classification, heatmap };
}
