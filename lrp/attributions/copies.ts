// Many changed copies of a batch: how many of them fit into one forward pass, and how results are put together.
import { detach, tensor } from '../../engine/create.ts';
import { ShapeError, UsageError } from '../../engine/errors.ts';
import { metaTensor } from '../../engine/meta-device.ts';
import { expand, reshape } from '../../engine/ops/broadcast.ts';
import { scope, withoutRecording } from '../../engine/scope.ts';
import { formatShape, type Shape, sizeOf } from '../../engine/shape.ts';
import { type Device, Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';

/** Every browser gives a WebGPU buffer this many bytes, and no result of a pass can be larger than all of them. */
const DEFAULT_BUDGET_BYTES = 128 * 2 ** 20;
const BYTES_PER_NUMBER = 4;

export interface CopyOptions {
  /** Memory that the results of one pass may take, in f32; default 128 MiB. A single copy of the batch always runs. */
  readonly budgetBytes?: number;
  /** The result needs no history: passes are freed as they end, instead of all at the end. Default false. */
  readonly isDetached?: boolean;
}

/** Numbers that a forward pass of one image makes: an upper bound, since views count as results. */
export function numbersPerImage(model: Module, x: Tensor): number {
  const image = metaTensor([1, ...x.shape.slice(1)]);
  const { recorder } = image.device;
  // What is computed from parameters alone, e.g. the scale of BatchNorm, runs on the real device and is dropped.
  const count = () => {
    inEvaluation(model, () => model.forward(image));
    return [...(recorder.frames.at(-1) ?? [])].reduce((sum, t) => sum + sizeOf(t.shape), sizeOf(image.shape));
  };
  return scope(x.device, () => withoutRecording(image.device, () => scope(image.device, count)));
}

/** A run of neighbouring copies that go through the model together. */
export interface CopyRange {
  readonly first: number;
  readonly count: number;
}

/**
 * Runs `compute` on runs of `copyCount` copies of the batch x, each as long as the budget allows. `passes` says what a
 * run costs in forward passes: 1 without gradients, about 3 with. Results do not depend on the cut, up to rounding.
 */
export function overCopies(
  model: Module,
  x: Tensor,
  { copyCount, passes, budgetBytes = DEFAULT_BUDGET_BYTES, isDetached = false }: CopyRun,
  compute: (range: CopyRange) => Tensor,
): Tensor[] {
  const bytesPerCopy = x.shape[0] * numbersPerImage(model, x) * BYTES_PER_NUMBER * passes;
  const perRun = Math.max(1, Math.floor(budgetBytes / bytesPerCopy));
  const results: Tensor[] = [];
  for (let first = 0; first < copyCount; first += perRun) {
    const range = { first, count: Math.min(perRun, copyCount - first) };
    results.push(isDetached ? scope(x.device, () => detach(compute(range))) : compute(range));
  }
  return results;
}

/** How many copies, what one costs, and how memory is used. */
export interface CopyRun extends CopyOptions {
  readonly copyCount: number;
  readonly passes: number;
}

/** The numbers first, first + 1, ... of a range as a tensor [count, 1, 1]: one per copy. */
export function copyNumbers(device: Device, { first, count }: CopyRange): Tensor {
  const numbers = Array.from({ length: count }, (_, k) => first + k);
  return tensor(device, numbers, [count, 1, 1]);
}

/** Copies [K, N, ...] of a batch as one batch [K N, ...image]. */
export function asBatch(copies: Tensor, image: Shape): Tensor {
  return reshape(copies, [copies.shape[0] * copies.shape[1], ...image]);
}

/** A baseline as a tensor of the shape of x. Throws ShapeError if it cannot be expanded to it. */
export function baselineOf(x: Tensor, baseline: number | Tensor): Tensor {
  const t = baseline instanceof Tensor ? baseline : tensor(x.device, [baseline], []);
  const { length } = t.shape;
  const fits = length <= x.shape.length && t.shape.every((n, i) => n === 1 || n === x.shape.at(i - length));
  if (!fits) {
    throw new ShapeError(
      `attribution: the baseline is ${formatShape(t.shape)} and the images are ${formatShape(x.shape)}; pass a number, one image, or one per image`,
    );
  }
  return expand(t, x.shape);
}

/** Throws UsageError unless `value` is a whole number from 1 up. */
export function checkCount(where: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new UsageError(`${where}: ${name} is ${value}; pass a whole number from 1 up`);
  }
}

/** The key [2] of a random op. Throws UsageError unless the seed is a whole number below 2^24, which f32 can hold. */
export function keyOf(where: string, device: Device, seed: number): Tensor {
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 24) {
    throw new UsageError(`${where}: seed is ${seed}; pass a whole number from 0 to 2^24 - 1`);
  }
  return tensor(device, [seed, 0], [2]);
}
