// Where training, validation and tests get their batches from, whether the images lie in memory or on disk. One batch is
// plain arrays on the host; `isnet/batch.ts` takes it to the device.
import { UsageError } from '../../engine/errors.ts';
import { type BatchOptions, batches, type Dataset } from './dataset.ts';

/** N samples on the host. The arrays belong to whoever receives them. */
export interface HostBatch {
  readonly count: number;
  /** [N, C, H, W] in [0, 1] */
  readonly images: Float32Array;
  /** [N, M, H, W], 1 where the foreground is, else 0; M as in the source. All 0 for an image without a mask. */
  readonly masks: Float32Array;
  /** [N], 1 if the image has a mask; else 0: it counts for classification only. */
  readonly hasMask: Float32Array;
  /** [N, classes], 1 for a class that is shown. */
  readonly targets: Float32Array;
  /** [N, classes], 0 where it is uncertain whether the class is shown: the loss leaves that out. Else 1. */
  readonly known: Float32Array;
  /** [N], numbers of the samples in their source. */
  readonly indices: Uint32Array;
}

/** Which batches of which epoch. */
export interface EpochOptions extends BatchOptions {
  /** Batches at the beginning to leave out: those that a resumed run has done. They are not even opened. */
  readonly skip?: number;
  /** Vary the images as the source was told to; only training asks for it. */
  readonly isAugmented?: boolean;
}

/** A set of labelled images with masks, handed out in batches. */
export interface BatchSource {
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classNames: readonly string[];
  /** An image may show several classes: the loss is one logistic per class, not one softmax. */
  readonly isMultiLabel: boolean;
  /** Maps per mask: 1, or one per class. */
  readonly maskCount: number;
  /** Some images may have no mask: see `HostBatch.hasMask`. */
  readonly mayLackMasks: boolean;
  /** [N, classes]: 1 (shown), 0 (not shown) or -1 (uncertain). No image is opened for it. */
  readonly labels: Int8Array;
  /**
   * The batches of one epoch in order, the same for the same options however often they are asked for. Throws UsageError
   * at the call for options that give no batch; rejects with DataError, naming the file, for an image that cannot be read.
   */
  epoch(options: EpochOptions): AsyncIterable<HostBatch>;
  /**
   * The images with these numbers, in this order and as they are outside training. Rejects with UsageError for a number
   * that is no image, and as `epoch` does.
   */
  batch(indices: ArrayLike<number>): Promise<HostBatch>;
}

/** Throws UsageError for a number that is no image of the source. */
export function checkIndices({ count }: Pick<BatchSource, 'count'>, indices: ArrayLike<number>): void {
  for (let n = 0; n < indices.length; n++) {
    const index = indices[n];
    if (Number.isInteger(index) && index >= 0 && index < count) continue;
    throw new UsageError(`batch: ${index} is no image; use 0 to ${count - 1}`);
  }
}

/** The samples with these numbers as one batch. */
export function packBatch(dataset: Dataset, indices: ArrayLike<number>): HostBatch {
  const { channels, height, width, classNames, hasMask } = dataset;
  const count = indices.length;
  const pixels = height * width;
  const images = new Float32Array(count * channels * pixels);
  const masks = new Float32Array(count * pixels);
  const targets = new Float32Array(count * classNames.length);
  const flags = new Float32Array(count).fill(1);
  for (let n = 0; n < count; n++) {
    const i = indices[n];
    const from = i * channels * pixels;
    images.set(dataset.images.subarray(from, from + channels * pixels), n * channels * pixels);
    masks.set(dataset.masks.subarray(i * pixels, (i + 1) * pixels), n * pixels);
    targets[n * classNames.length + dataset.labels[i]] = 1;
    if (hasMask) flags[n] = hasMask[i];
  }
  const known = new Float32Array(targets.length).fill(1);
  return { count, images, masks, hasMask: flags, targets, known, indices: Uint32Array.from(indices) };
}

/** A dataset in memory as a source: the same orders as `batches`, and nothing to wait for. */
export function memorySource(dataset: Dataset): BatchSource {
  const { count, channels, height, width, classNames } = dataset;
  return {
    count,
    channels,
    height,
    width,
    classNames,
    isMultiLabel: false,
    maskCount: 1,
    mayLackMasks: dataset.hasMask !== undefined,
    get labels() {
      const labels = new Int8Array(count * classNames.length);
      dataset.labels.forEach((label, n) => {
        labels[n * classNames.length + label] = 1;
      });
      return labels;
    },
    epoch: (options) => packed(dataset, ordersOf(dataset, options)),
    async batch(indices) {
      checkIndices(dataset, indices);
      return packBatch(dataset, indices);
    },
  };
}

async function* packed(dataset: Dataset, orders: readonly Uint32Array[]): AsyncGenerator<HostBatch, void> {
  for (const indices of orders) yield packBatch(dataset, indices);
}

/** The sample numbers of each batch that is still to come. Throws as `batches` does. */
export function ordersOf(
  source: Pick<Dataset, 'count'>,
  { skip = 0, ...options }: EpochOptions,
): Uint32Array[] {
  return [...batches(source, options)].slice(skip);
}

/**
 * The first `limit` images of a source (all by default) as a dataset in memory, for what looks at a few images more than
 * once. Throws UsageError for a source whose images have several labels, uncertain ones, or masks by class, and whatever
 * `epoch` throws.
 */
export async function toDataset(source: BatchSource, limit: number = source.count): Promise<Dataset> {
  const { channels, height, width, classNames, isMultiLabel, maskCount } = source;
  if (isMultiLabel || maskCount !== 1) {
    throw new UsageError(
      `toDataset: a dataset has one label and one mask per image, this source has ${isMultiLabel ? 'several labels' : `${maskCount} masks`}; take its batches one by one`,
    );
  }
  const count = Math.min(limit, source.count);
  const images = new Float32Array(count * channels * height * width);
  const masks = new Float32Array(count * height * width);
  const labels = new Uint8Array(count);
  const hasMask = new Uint8Array(count);
  let at = 0;
  for await (const batch of source.epoch({ batchSize: 64, shuffle: false })) {
    const taken = Math.min(batch.count, count - at);
    images.set(batch.images.subarray(0, taken * channels * height * width), at * channels * height * width);
    masks.set(batch.masks.subarray(0, taken * height * width), at * height * width);
    hasMask.set(batch.hasMask.subarray(0, taken), at);
    for (let n = 0; n < taken; n++) labels[at + n] = labelOf(batch, n, classNames.length);
    at += taken;
    if (at === count) break;
  }
  return { images, masks, labels, hasMask, count, channels, height, width, classNames };
}

function labelOf({ targets, indices }: HostBatch, n: number, classCount: number): number {
  const label = targets.subarray(n * classCount, (n + 1) * classCount).indexOf(1);
  if (label >= 0) return label;
  throw new UsageError(
    `toDataset: image ${indices[n]} has an uncertain label, and a dataset has none; take its batches one by one`,
  );
}

/** What may be trained on: images in memory, or a source of batches. */
export type TrainingData = Dataset | BatchSource;

/** The data as a source of batches. */
export const sourceOf = (data: TrainingData): BatchSource => ('epoch' in data ? data : memorySource(data));
