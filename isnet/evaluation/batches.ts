// Runs something over all batches of a source in order, with the model in evaluation mode, and hands the numbers to the host.
import { readAll } from '../../engine/create.ts';
import { TrainingError } from '../../engine/errors.ts';
import { scope, withoutRecording } from '../../engine/scope.ts';
import { type Device, release, type Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource, HostBatch } from '../data/source.ts';
import type { Scores } from './scores.ts';

export interface BatchedOptions {
  /** Default: as many images as have four million values, at most 250. */
  readonly batchSize?: number;
  /** Called after each batch with the number of images done. */
  readonly onProgress?: (done: number) => void;
}

type SourceSize = Pick<BatchSource, 'channels' | 'height' | 'width'>;

const MOST_VALUES = 2 ** 22;
// A forward pass lets its activations go; relevance holds them all, and as much again.
const MOST_EXPLAINED_VALUES = 2 ** 19;
const MOST_IMAGES = 250;

const imagesWithin = (values: number, { channels, height, width }: SourceSize): number =>
  Math.max(1, Math.min(MOST_IMAGES, Math.floor(values / (channels * height * width))));

/** Images that are explained at once: fewer than are classified at once, unless they are small. */
export const explainedAtOnce = (source: SourceSize): number => imagesWithin(MOST_EXPLAINED_VALUES, source);

/** Images of which two are held at once: as they are, and as `imagesAndObjects` has them besides. */
export const pairsAtOnce = (source: SourceSize): number =>
  Math.max(1, Math.floor(explainedAtOnce(source) / 2));

/** Awaits work in evaluation mode, which ends with it. */
export async function evaluating<T>(model: Module, work: () => Promise<T>): Promise<T> {
  const wasTraining = model.isTraining;
  model.eval();
  try {
    return await work();
  } finally {
    model.train(wasTraining);
  }
}

/** Calls `use` with every batch of the source, in order and without augmentation. */
export async function eachBatch(
  source: BatchSource,
  model: Module,
  { batchSize = imagesWithin(MOST_VALUES, source), onProgress }: BatchedOptions,
  use: (batch: HostBatch) => Promise<void>,
): Promise<void> {
  let done = 0;
  await evaluating(model, async () => {
    for await (const batch of source.epoch({ batchSize, shuffle: false })) {
      await use(batch);
      done += batch.count;
      onProgress?.(done);
    }
  });
}

/** Computes tensors in a scope and reads them. */
export async function readings(
  device: Device,
  compute: () => Tensor[],
): Promise<(Float64Array | Float32Array)[]> {
  const results = scope(device, compute);
  const values = await readAll(results);
  for (const t of results) release(t);
  return values;
}

/** Logits [N, K] of images on the host. Throws TrainingError, naming the image, for one that is NaN or infinite. */
export async function logitsOf(
  device: Device,
  model: Module,
  source: BatchSource,
  batch: HostBatch,
): Promise<ArrayLike<number>> {
  const [logits] = await readings(device, () =>
    withoutRecording(device, () => [model.forward(uploadHostBatch(device, source, batch).images)]),
  );
  const K = source.classNames.length;
  for (let i = 0; i < logits.length; i++)
    checkFinite('evaluate', logits[i], batch.indices[Math.floor(i / K)]);
  return logits;
}

/** A model that gives NaN would be right for one class, and its empty-looking maps would get a number too. */
export function checkFinite(where: string, value: number, image: number): void {
  if (Number.isFinite(value)) return;
  throw new TrainingError(
    `${where}: the model gives ${value} for image ${image}; its weights are damaged or its training has diverged, use others`,
  );
}

/** What the model says about all images of a source. Throws TrainingError for logits that are NaN or infinite. */
export async function predict(
  device: Device,
  model: Module,
  source: BatchSource,
  options: BatchedOptions = {},
): Promise<Scores> {
  const { count, classNames, isMultiLabel } = source;
  const K = classNames.length;
  const logits = new Float64Array(count * K);
  const targets = new Uint8Array(count * K);
  const known = new Uint8Array(count * K);
  let at = 0;
  await eachBatch(source, model, options, async (batch) => {
    logits.set(Array.from(await logitsOf(device, model, source, batch)), at);
    targets.set(batch.targets, at);
    known.set(batch.known, at);
    at += batch.count * K;
  });
  return { count, classNames, logits, targets, known, isMultiLabel };
}
