// What the background adds to each logit. The heatmap of one logit says nothing of the others, and a loss on one map, or on
// the difference of two logits, does not see what raises both or lowers the rest.
import { mul, sub } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { slice } from '../../engine/ops/layout.ts';
import { abs } from '../../engine/ops/pointwise.ts';
import { scope, withoutRecording } from '../../engine/scope.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';
import { type Composite, isnetComposite } from '../../lrp/composite.ts';
import { targetSeed } from '../../lrp/explain.ts';
import { relevance } from '../../lrp/relevance.ts';
import type { Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource, HostBatch } from '../data/source.ts';
import { type BatchedOptions, checkFinite, eachBatch, explainedAtOnce, readings } from './batches.ts';
import { type Estimate, mean, meanShare } from './estimate.ts';

/** The background in the maps of the logits of one rank. */
export interface LogitBackground {
  /** Mean of sum R outside the mask: what the background adds to the logit, below 0 what it takes. */
  readonly relevance: Estimate;
  /** Mean of sum |R| outside the mask / sum |R|; 1 for a map without relevance. */
  readonly share: Estimate;
}

/** What `logitBackgrounds` finds. */
export interface LogitBackgrounds {
  /** Images that have a mask. */
  readonly imageCount: number;
  /** Of each image's largest logit first, of its smallest last. */
  readonly ranks: readonly LogitBackground[];
}

export interface LogitBackgroundsOptions extends BatchedOptions {
  readonly composite?: Composite;
}

/** Of one image: relevance and share of the background in the map of each class. */
type Found = readonly { readonly relevance: number; readonly share: number }[];

/**
 * Relevance of the background in the maps of all logits, in evaluation mode, by the rank of the logit in its image. With a
 * mask for each class, a logit's background is what its own class's mask leaves out. Null if no image has a mask. Throws
 * TrainingError for relevance that is NaN or infinite, and as `relevance` does.
 */
export async function logitBackgrounds(
  device: Device,
  model: Module,
  source: BatchSource,
  options: LogitBackgroundsOptions = {},
): Promise<LogitBackgrounds | null> {
  const { composite = isnetComposite(), batchSize = explainedAtOnce(source), onProgress } = options;
  const K = source.classNames.length;
  const rows: Found[] = [];
  await eachBatch(source, model, { batchSize, onProgress }, async (batch) => {
    const [logits, ...values] = await readings(device, () =>
      measure(device, model, source, batch, composite),
    );
    for (let n = 0; n < batch.count; n++) {
      if (batch.hasMask[n] === 0) continue;
      const found = Array.from({ length: K }, (_, k) => {
        const [total, outside, signed] = values.slice(3 * k, 3 * k + 3).map((list) => list[n]);
        checkFinite('logitBackgrounds', total, batch.indices[n]);
        return { logit: logits[n * K + k], relevance: signed, share: total === 0 ? 1 : outside / total };
      });
      rows.push(found.sort((a, b) => b.logit - a.logit));
    }
  });
  if (rows.length === 0) return null;
  return {
    imageCount: rows.length,
    ranks: Array.from({ length: K }, (_, rank) => ({
      relevance: mean(rows.map((row) => row[rank].relevance)),
      share: meanShare(rows.map((row) => row[rank].share)),
    })),
  };
}

/** The logits [N, K], then for each class sum |R|, sum |R| outside the mask and sum R outside the mask, [N] each. */
function measure(
  device: Device,
  model: Module,
  source: BatchSource,
  batch: HostBatch,
  composite: Composite,
): Tensor[] {
  const { images, masks } = uploadHostBatch(device, source, batch);
  const output = model.forward(images);
  const [N, M, H, W] = masks.shape;
  // One map at a time: all of them at once may need more memory than there is.
  const ofClass = (k: number): Tensor[] =>
    scope(device, () => {
      const R = relevance({
        output,
        seed: targetSeed(output, k, composite),
        input: images,
        composite,
        model,
      });
      return withoutRecording(device, () => {
        const outside = sub(1, slice(masks, [0, M === 1 ? 0 : k, 0, 0], [N, 1, H, W]));
        const total = (t: Tensor): Tensor => sum(t, [1, 2, 3]);
        return [total(abs(R)), total(mul(abs(R), outside)), total(mul(R, outside))];
      });
    });
  return [output, ...source.classNames.flatMap((_, k) => ofClass(k))];
}
