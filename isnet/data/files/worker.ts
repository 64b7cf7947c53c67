// What a worker thread of the loader runs: opens, frames and varies samples, and keeps framed ones while there is room.
// It must never load a device: dawn crashes in worker threads. tests/data-loader.test.ts looks at what it imports.
import { parentPort, workerData } from 'node:worker_threads';
import { type Augmentation, centred, cut, drawVariation } from '../augment.ts';
import { withMargin } from '../mask-margin.ts';
import type { Sample } from '../sample-list.ts';
import { type PreparedSample, type PrepareOptions, prepareSample, type SampleNote } from './prepare.ts';

/** What a thread is told at its start. */
export interface WorkerSetup extends PrepareOptions {
  readonly samples: readonly Pick<Sample, 'file' | 'mask'>[];
  /** Size of what the network gets; the frame is larger by a margin for cropping. */
  readonly height: number;
  readonly width: number;
  readonly augmentation: Augmentation;
  /** Pixels by which masks grow in all directions once they are cut. */
  readonly maskMargin: number;
  readonly seed: number;
  /** Room for framed samples. */
  readonly cacheBytes: number;
}

/** Samples to load, by their numbers in `samples`. */
export interface WorkerTask {
  readonly id: number;
  readonly indices: Uint32Array;
  readonly epoch: number;
  readonly isAugmented: boolean;
}

/** The samples of a task, in its order. */
export interface LoadedSamples {
  readonly images: Float32Array<ArrayBuffer>;
  readonly masks: Float32Array<ArrayBuffer>;
  readonly hasMask: Uint8Array<ArrayBuffer>;
  /** What its masks are worth saying. */
  readonly notes: readonly SampleNote[];
}

/** The answer to a task. */
export type WorkerReply =
  | { readonly id: number; readonly loaded: LoadedSamples }
  | { readonly id: number; readonly error: { readonly message: string; readonly stack?: string } };

const setup = workerData as WorkerSetup;
const cache = new Map<number, PreparedSample>();
let cachedBytes = 0;

async function prepared(index: number): Promise<PreparedSample> {
  const known = cache.get(index);
  if (known) return known;
  const sample = await prepareSample(setup.samples[index], setup);
  const bytes = sample.image.byteLength + (sample.masks?.byteLength ?? 0);
  // Filled once and then left: every sample comes up once an epoch, so throwing out the oldest would help nobody.
  if (cachedBytes + bytes <= setup.cacheBytes) {
    cache.set(index, sample);
    cachedBytes += bytes;
  }
  return sample;
}

async function load({ indices, epoch, isAugmented }: WorkerTask): Promise<LoadedSamples> {
  const { frame, height, width, maskCount, seed, augmentation } = setup;
  const imageSize = frame.channels * height * width;
  const maskSize = maskCount * height * width;
  const images = new Float32Array(indices.length * imageSize);
  const masks = new Float32Array(indices.length * maskSize);
  const hasMask = new Uint8Array(indices.length);
  const notes: SampleNote[] = [];
  const [marginHeight, marginWidth] = [frame.height - height, frame.width - width];
  for (const [n, index] of indices.entries()) {
    const sample = await prepared(index);
    notes.push(...sample.notes);
    const variation = isAugmented
      ? drawVariation({ seed, epoch, index }, augmentation, marginHeight, marginWidth)
      : centred(marginHeight, marginWidth);
    const ownMasks = masks.subarray(n * maskSize, (n + 1) * maskSize);
    const framed = { ...sample, channels: frame.channels, height: frame.height, width: frame.width };
    cut(framed, variation, {
      image: images.subarray(n * imageSize, (n + 1) * imageSize),
      masks: ownMasks,
      height,
      width,
    });
    const isMasked = sample.masks !== null && isUsable(sample.masks, ownMasks);
    if (isMasked) ownMasks.set(withMargin(ownMasks, height, width, setup.maskMargin));
    const isFilled = isMasked && isFull(ownMasks);
    if (isFilled) notes.push(filledNote(setup.samples[index].file));
    hasMask[n] = isMasked && !isFilled ? 1 : 0;
    if (hasMask[n] === 0) ownMasks.fill(0);
  }
  return { images, masks, hasMask, notes };
}

const isFull = (masks: Float32Array): boolean => masks.every((value) => value === 1);

/** A cut that lost the object, or its background, says nothing about where to look; an empty mask stays empty. */
const isUsable = (before: Uint8Array, after: Float32Array): boolean =>
  !isFull(after) && (after.includes(1) || !before.includes(1));

function filledNote(file: string): SampleNote {
  const { maskMargin, width, height } = setup;
  const text = `with a margin of ${maskMargin} pixels the mask of '${file}' leaves no background at ${width}x${height}; where that happens an image counts for classification only; lower maskMargin`;
  return { kind: 'filled', text };
}

parentPort?.on('message', async (task: WorkerTask) => {
  try {
    const loaded = await load(task);
    const { images, masks, hasMask } = loaded;
    const reply: WorkerReply = { id: task.id, loaded };
    parentPort?.postMessage(reply, [images.buffer, masks.buffer, hasMask.buffer]);
  } catch (error) {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    const reply: WorkerReply = { id: task.id, error: { message, stack } };
    parentPort?.postMessage(reply);
  }
});
