// Batches in parts, for steps whose batch is more than the device holds at once: which part counts how much.
import type { HostBatch } from './data/source.ts';
import type { ClassificationOptions } from './objective.ts';

/** How much each term of the loss of a batch counts beside that of other batches: what its mean is taken over. */
export interface TermWeights {
  readonly images: number;
  /** Images by their class weights; for several labels, the labels that are known. */
  readonly classification: number;
  /** Images that have a mask. */
  readonly heatmap: number;
}

/** A part of a batch, and its share of the whole in each term: the shares of all parts add up to 1. */
export interface BatchPart {
  readonly batch: HostBatch;
  readonly classification: number;
  readonly heatmap: number;
}

const total = (values: Float32Array, weightOf = (_: number) => 1): number =>
  values.reduce((sum, value, i) => sum + value * weightOf(i), 0);

/** What the means of a batch's losses are taken over. */
export function termWeights(
  { count, known, hasMask, targets }: HostBatch,
  { isMultiLabel, classWeights }: ClassificationOptions,
): TermWeights {
  const ofClass = classWeights && ((i: number) => classWeights[i % classWeights.length]);
  let classification = count;
  if (isMultiLabel) classification = total(known);
  else if (ofClass) classification = total(targets, ofClass);
  return { images: count, classification, heatmap: total(hasMask) };
}

/** Samples `from` to `from + count` of a batch, without copying. */
export function sliceBatch(batch: HostBatch, from: number, count: number): HostBatch {
  const rows = <T extends Float32Array | Uint32Array>(values: T): T => {
    const each = values.length / batch.count;
    return values.subarray(from * each, (from + count) * each) as T;
  };
  return {
    count,
    images: rows(batch.images),
    masks: rows(batch.masks),
    hasMask: rows(batch.hasMask),
    targets: rows(batch.targets),
    known: rows(batch.known),
    indices: rows(batch.indices),
  };
}

/**
 * The batch in parts of `size` samples, the last of which may be smaller. Each loss is a mean over what it has something to
 * say about, so that of the whole is the parts' weighted by how much of that they hold:
 *   L = sum_i (c_i / sum c) (1 - P) C_i + (h_i / sum h) P H_i        c: known labels, h: images with a mask
 * Not weighted are maps that drop out on the device: of one mask per class, those of classes without a mask.
 */
export function partsOf(whole: HostBatch, size: number, options: ClassificationOptions): BatchPart[] {
  const all = termWeights(whole, options);
  const parts: BatchPart[] = [];
  for (let from = 0; from < whole.count; from += size) {
    const batch = sliceBatch(whole, from, Math.min(size, whole.count - from));
    const own = termWeights(batch, options);
    const share = (term: 'classification' | 'heatmap') =>
      all[term] > 0 ? own[term] / all[term] : batch.count / whole.count;
    parts.push({ batch, classification: share('classification'), heatmap: share('heatmap') });
  }
  return parts;
}
