// What a data set is and when it is sound. Training starts here, so that a bad mask stops the run before the first step.
import { DataError, UsageError } from '../../engine/errors.ts';
import { randomStream } from '../../engine/random-bits.ts';

/** Labelled images with a foreground mask each; sample n is row n of all three arrays. */
export interface Dataset {
  /** [N, C, H, W], each value in 0..1. */
  readonly images: Float32Array;
  /** [N, 1, H, W], 1 where the foreground is, else 0. */
  readonly masks: Float32Array;
  /** [N], positions in `classNames`. */
  readonly labels: Uint8Array;
  /** [N], 0 for an image without a mask, which counts for classification only; all have one if left out. */
  readonly hasMask?: Uint8Array;
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classNames: readonly string[];
}

/**
 * What an empty mask means: `'error'` an unmasked image that slipped in, `'all-background'` an image without an object.
 * The third policy, skipping such samples, changes the count, so the caller does it with `subset` before the check.
 */
export type EmptyMaskPolicy = 'error' | 'all-background';

export interface CheckOptions {
  readonly emptyMasks?: EmptyMaskPolicy;
  /** false for work that never looks at masks: then only their number is checked. */
  readonly hasMasks?: boolean;
}

/**
 * Passes a sound data set and throws DataError at the first unsound sample: sizes that disagree, a label without a
 * class, image values that are not finite or not in 0..1, mask values other than 0 and 1, a mask with no background,
 * or (unless `emptyMasks` is 'all-background') no foreground.
 */
export function checkDataset(where: string, dataset: Dataset, options: CheckOptions = {}): void {
  const { emptyMasks = 'error', hasMasks = true } = options;
  if (emptyMasks !== 'error' && emptyMasks !== 'all-background') {
    throw new UsageError(
      `${where}: emptyMasks '${emptyMasks}' is unknown; pass 'error' or 'all-background', ` +
        `or leave such samples out with subset if they are to be skipped`,
    );
  }
  checkSizes(where, dataset);
  for (let n = 0; n < dataset.count; n++) {
    checkLabel(where, dataset, n);
    checkImage(where, dataset, n);
    if (hasMasks && dataset.hasMask?.[n] !== 0) checkMask(where, dataset, n, emptyMasks);
  }
}

function checkSizes(where: string, dataset: Dataset): void {
  const { images, masks, labels, count, channels, height, width, classNames } = dataset;
  for (const [name, size] of Object.entries({ count, channels, height, width })) {
    if (!Number.isInteger(size) || size < 1) {
      throw new DataError(`${where}: ${name} is ${size}; it must be a whole number from 1 up`);
    }
  }
  if (classNames.length < 1 || classNames.length > 256) {
    throw new DataError(
      `${where}: ${classNames.length} class names; labels of one byte need 1 to 256 of them`,
    );
  }
  if (labels.length !== count) {
    throw new DataError(`${where}: ${labels.length} labels for ${count} images; give every image one label`);
  }
  const imageSize = channels * height * width;
  if (dataset.hasMask && dataset.hasMask.length !== count) {
    throw new DataError(
      `${where}: hasMask has ${dataset.hasMask.length} entries for ${count} images; give it one per image`,
    );
  }
  if (images.length !== count * imageSize) {
    throw new DataError(
      `${where}: ${images.length} image values, but [${count}, ${channels}, ${height}, ${width}] has ` +
        `${count * imageSize}; correct the sizes, or look for a missing or surplus image`,
    );
  }
  if (masks.length !== count * height * width) {
    throw new DataError(
      `${where}: ${masks.length} mask values, but [${count}, 1, ${height}, ${width}] has ` +
        `${count * height * width}; resize the masks to the size of the images, one channel each`,
    );
  }
}

function checkLabel(where: string, { labels, classNames }: Dataset, n: number): void {
  if (labels[n] >= classNames.length) {
    throw new DataError(
      `${where}: sample ${n} has label ${labels[n]}, but there are ${classNames.length} classes; ` +
        `labels count from 0, so use 0 to ${classNames.length - 1} or add the class name`,
    );
  }
}

function checkImage(where: string, { images, channels, height, width }: Dataset, n: number): void {
  const size = channels * height * width;
  for (let i = n * size; i < (n + 1) * size; i++) {
    const value = images[i];
    // Written so that NaN, which fails every comparison, lands inside.
    if (!(value >= 0 && value <= 1)) {
      const pixel = i - n * size;
      const channel = Math.floor(pixel / (height * width));
      const y = Math.floor(pixel / width) % height;
      const advice = Number.isFinite(value)
        ? 'scale the images to 0..1, and leave mean and deviation to the model'
        : 'repair or leave out this image';
      throw new DataError(
        `${where}: sample ${n} has the image value ${value} ` +
          `(channel ${channel}, row ${y}, column ${pixel % width}); ${advice}`,
      );
    }
  }
}

function checkMask(
  where: string,
  { masks, height, width }: Dataset,
  n: number,
  emptyMasks: EmptyMaskPolicy,
): void {
  const size = height * width;
  let foregroundCount = 0;
  for (let i = n * size; i < (n + 1) * size; i++) {
    const value = masks[i];
    if (value === 1) foregroundCount++;
    else if (value !== 0) {
      const pixel = i - n * size;
      throw new DataError(
        `${where}: sample ${n} has the mask value ${value} (row ${Math.floor(pixel / width)}, ` +
          `column ${pixel % width}); masks hold only 0 and 1, so threshold them`,
      );
    }
  }
  if (foregroundCount === size) {
    throw new DataError(
      `${where}: the mask of sample ${n} is all foreground (${size} of ${size} pixels), so there is nothing to ` +
        `ignore; give it a background or leave the sample out`,
    );
  }
  if (foregroundCount === 0 && emptyMasks === 'error') {
    throw new DataError(
      `${where}: the mask of sample ${n} is empty (0 of ${size} pixels are foreground); draw it, pass ` +
        `emptyMasks 'all-background' if the image shows no object, or 'skip' the sample by leaving it out with subset`,
    );
  }
}

/** The samples at `indices`, in that order and copied. Throws UsageError for an index that is no sample. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  const { channels, height, width, count, classNames } = dataset;
  const imageSize = channels * height * width;
  const maskSize = height * width;
  const images = new Float32Array(indices.length * imageSize);
  const masks = new Float32Array(indices.length * maskSize);
  const labels = new Uint8Array(indices.length);
  const hasMask = dataset.hasMask && Uint8Array.from(indices, (n) => dataset.hasMask?.[n] ?? 1);
  for (let i = 0; i < indices.length; i++) {
    const n = indices[i];
    if (!Number.isInteger(n) || n < 0 || n >= count) {
      throw new UsageError(`subset: index ${n} (at position ${i}) is no sample; use 0 to ${count - 1}`);
    }
    images.set(dataset.images.subarray(n * imageSize, (n + 1) * imageSize), i * imageSize);
    masks.set(dataset.masks.subarray(n * maskSize, (n + 1) * maskSize), i * maskSize);
    labels[i] = dataset.labels[n];
  }
  const parts = hasMask ? { images, masks, labels, hasMask } : { images, masks, labels };
  return { ...parts, count: indices.length, channels, height, width, classNames };
}

export interface BatchOptions {
  readonly batchSize: number;
  readonly seed?: number;
  /** Epochs differ in order; one epoch is the same whenever and however often it is asked for. */
  readonly epoch?: number;
  readonly shuffle?: boolean;
  /** Leaves out the last batch if it is smaller than the others, for steps that are captured for one shape. */
  readonly dropLast?: boolean;
}

/**
 * The sample numbers of one epoch in batches [batchSize], each sample at most once; the order is a function of seed and
 * epoch alone. Throws UsageError, at the call and not at the first batch, if there would be no batch.
 */
export function batches(
  dataset: Pick<Dataset, 'count'>,
  options: BatchOptions,
): Generator<Uint32Array, void> {
  const { batchSize, seed = 0, epoch = 0, shuffle = true, dropLast = false } = options;
  const { count } = dataset;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new UsageError(`batches: batch size ${batchSize} is no size; pass a whole number from 1 up`);
  }
  if (count < 1 || (dropLast && count < batchSize)) {
    throw new UsageError(
      `batches: ${count} samples make no batch of ${batchSize}; use a smaller batch, more samples or dropLast: false`,
    );
  }
  const order = shuffle
    ? randomStream(seed, 'batches', epoch).permutation(count)
    : Uint32Array.from({ length: count }, (_, i) => i);
  return slices(order, batchSize, dropLast);
}

function* slices(order: Uint32Array, batchSize: number, dropLast: boolean): Generator<Uint32Array, void> {
  const end = dropLast ? order.length - (order.length % batchSize) : order.length;
  for (let start = 0; start < end; start += batchSize) {
    yield order.slice(start, Math.min(start + batchSize, end));
  }
}
