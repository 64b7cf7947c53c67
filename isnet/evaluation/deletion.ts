// The deletion test: does the answer change when the background does? It asks the model itself, and no explanation of it.
import { randomStream } from '../../engine/random-bits.ts';
import type { Device } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import type { BatchSource, HostBatch } from '../data/source.ts';
import { type BatchedOptions, eachBatch, logitsOf } from './batches.ts';
import { type Estimate, mean, proportion } from './estimate.ts';
import { rowMaxima } from './scores.ts';

/**
 * What stands in place of the background: black, uniform noise, or the background of another image of the same batch,
 * of another class if there is one. Where that image has its own foreground, the mean of its background stands in.
 */
export const replacements = ['black', 'noise', 'other'] as const;
export type Replacement = (typeof replacements)[number];

/** How logits z become z' when the background is replaced. */
export interface Deletion {
  readonly replacement: Replacement;
  readonly count: number;
  /** Mean over images of mean |z' - z|, in logits. */
  readonly logitChange: Estimate;
  /** Mean over images of the logit of the class that was predicted before, z' - z. */
  readonly predictedLogitChange: Estimate;
  /** sum |z' - z| / sum |z - mean over classes of z|: the change against what tells classes apart; null if that is 0. */
  readonly relativeChange: number | null;
  /** Share of images for which another class is predicted. */
  readonly changedPredictions: Estimate;
  /** Accuracy before and after; null for images with several labels. */
  readonly accuracyBefore: Estimate | null;
  readonly accuracyAfter: Estimate | null;
}

export interface DeletionOptions extends BatchedOptions {
  /** Of the noise; default 0. */
  readonly seed?: number;
}

interface Tally {
  readonly changes: number[];
  readonly predictedChanges: number[];
  total: number;
  spread: number;
  changed: number;
  rightBefore: number;
  rightAfter: number;
}

const newTally = (): Tally => ({
  changes: [],
  predictedChanges: [],
  total: 0,
  spread: 0,
  changed: 0,
  rightBefore: 0,
  rightAfter: 0,
});

/**
 * Replaces the background of every image that has a mask in each of the three ways, and compares the logits. Null if no
 * image has a mask. Throws TrainingError for logits that are NaN or infinite.
 */
export async function deletionTest(
  device: Device,
  model: Module,
  source: BatchSource,
  { seed = 0, ...options }: DeletionOptions = {},
): Promise<Deletion[] | null> {
  const tallies = replacements.map(newTally);
  await eachBatch(source, model, options, async (batch) => {
    const before = await logitsOf(device, model, source, batch);
    for (const [r, replacement] of replacements.entries()) {
      // An image that is alone in its batch has no other background to get.
      if (replacement === 'other' && batch.count === 1) continue;
      const changed = { ...batch, images: replaceBackground(source, batch, replacement, seed) };
      count(tallies[r], source, batch, before, await logitsOf(device, model, source, changed));
    }
  });
  if (tallies[0].changes.length === 0) return null;
  return replacements.map((replacement, r) => resultOf(replacement, tallies[r], source.isMultiLabel));
}

function count(
  tally: Tally,
  { classNames }: BatchSource,
  batch: HostBatch,
  before: ArrayLike<number>,
  after: ArrayLike<number>,
): void {
  const K = classNames.length;
  const [predicted, predictedAfter, shown] = [before, after, batch.targets].map((rows) =>
    rowMaxima(rows, batch.count, K),
  );
  for (let n = 0; n < batch.count; n++) {
    if (batch.hasMask[n] === 0) continue;
    const z = Array.from({ length: K }, (_, k) => before[n * K + k]);
    const change = z.reduce((sum, value, k) => sum + Math.abs(after[n * K + k] - value), 0);
    const center = z.reduce((sum, value) => sum + value, 0) / K;
    tally.changes.push(change / K);
    tally.predictedChanges.push(after[n * K + predicted[n]] - z[predicted[n]]);
    tally.total += change;
    tally.spread += z.reduce((sum, value) => sum + Math.abs(value - center), 0);
    tally.changed += Number(predicted[n] !== predictedAfter[n]);
    tally.rightBefore += Number(predicted[n] === shown[n]);
    tally.rightAfter += Number(predictedAfter[n] === shown[n]);
  }
}

function resultOf(replacement: Replacement, tally: Tally, isMultiLabel: boolean): Deletion {
  const images = tally.changes.length;
  return {
    replacement,
    count: images,
    logitChange: mean(tally.changes),
    predictedLogitChange: mean(tally.predictedChanges),
    relativeChange: tally.spread === 0 ? null : tally.total / tally.spread,
    changedPredictions: proportion(tally.changed, images),
    accuracyBefore: isMultiLabel ? null : proportion(tally.rightBefore, images),
    accuracyAfter: isMultiLabel ? null : proportion(tally.rightAfter, images),
  };
}

/** The images [N, C, H, W] with another background. Of several masks an image has, the foreground is their union. */
export function replaceBackground(
  source: Pick<BatchSource, 'channels' | 'height' | 'width' | 'maskCount' | 'classNames'>,
  batch: HostBatch,
  replacement: Replacement,
  seed: number,
): Float32Array {
  const { channels, height, width, maskCount, classNames } = source;
  const pixels = height * width;
  const isInside = (n: number, i: number): boolean => {
    for (let m = 0; m < maskCount; m++) if (batch.masks[(n * maskCount + m) * pixels + i] > 0) return true;
    return false;
  };
  const shown = rowMaxima(batch.targets, batch.count, classNames.length);
  const out = batch.images.slice();
  for (let n = 0; n < batch.count; n++) {
    const random = randomStream(seed, 'deletion', batch.indices[n]);
    const other = partnerOf(batch, shown, n);
    for (let c = 0; c < channels; c++) {
      const otherFrom = (other * channels + c) * pixels;
      const substitute =
        replacement === 'other' ? backgroundMean(batch.images, otherFrom, other, isInside, pixels) : 0;
      for (let i = 0; i < pixels; i++) {
        // Drawn for every pixel, so that noise does not depend on the mask.
        const noise = replacement === 'noise' ? random.uniform() : 0;
        if (isInside(n, i)) continue;
        const ofOther = isInside(other, i) ? substitute : batch.images[otherFrom + i];
        out[(n * channels + c) * pixels + i] = replacement === 'other' ? ofOther : noise;
      }
    }
  }
  return out;
}

/** The next image of the batch, round its end, with a mask and of another class; failing that the next one. */
function partnerOf({ count, hasMask }: HostBatch, shown: Uint32Array, n: number): number {
  for (let step = 1; step < count; step++) {
    const other = (n + step) % count;
    if (hasMask[other] === 1 && shown[other] !== shown[n]) return other;
  }
  return (n + 1) % count;
}

function backgroundMean(
  images: Float32Array,
  from: number,
  n: number,
  isInside: (n: number, i: number) => boolean,
  pixels: number,
): number {
  let total = 0;
  let count = 0;
  for (let i = 0; i < pixels; i++) {
    if (isInside(n, i)) continue;
    total += images[from + i];
    count++;
  }
  return count === 0 ? 0 : total / count;
}
