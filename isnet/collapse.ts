// Signs that a network has given up instead of learning where to look: a heatmap loss is low, too, where nothing fires.
import { square } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import { uploadHostBatch } from './batch.ts';
import { type BatchSource, sourceOf, type TrainingData } from './data/source.ts';
import { evaluating, pairsAtOnce, readings } from './evaluation/batches.ts';
import { meanOf } from './evaluation/estimate.ts';
import type { Batch } from './objective.ts';
import { rectifiersOf } from './rectifiers.ts';
import { halfOf, imagesAndObjects } from './rivals/masks.ts';

/** What fires behind one layer. */
export interface Firing {
  /** Whose output goes into the ReLU. */
  readonly layer: string;
  readonly channelCount: number;
  /** Channels that are 0 everywhere in all images. */
  readonly deadCount: number;
}

/** What `collapseSigns` finds. */
export interface CollapseSigns {
  readonly imageCount: number;
  /** Mean over images of |z|, the length of the vector of logits. */
  readonly logitNorm: number;
  /** The same of the images that have a mask, with what is outside it set to 0; null where none has one. */
  readonly foregroundLogitNorm: number | null;
  /** One for each ReLU, in the order of execution. */
  readonly firing: readonly Firing[];
}

export interface CollapseOptions {
  /** Images looked at, evenly spread over the data; 64 if left out. */
  readonly imageCount?: number;
}

/**
 * Dead channels behind each ReLU and the norms of logits, in evaluation mode: one forward pass of the images as they are and
 * with their background black. Networks without ReLUs have no `firing`. Throws what `model.forward` throws.
 */
export async function collapseSigns(
  device: Device,
  model: Module,
  data: TrainingData,
  { imageCount = 64 }: CollapseOptions = {},
): Promise<CollapseSigns> {
  const source = sourceOf(data);
  const count = Math.min(imageCount, source.count);
  // All that fires is held until it is summed, and each image goes through twice.
  const batchSize = pairsAtOnce(source);
  const totals = new Totals();
  await evaluating(model, async () => {
    for (let from = 0; from < count; from += batchSize) {
      const size = Math.min(batchSize, count - from);
      const indices = Array.from({ length: size }, (_, i) => Math.floor(((from + i) * source.count) / count));
      await addBatch(device, model, source, indices, totals);
    }
  });
  return totals.signs();
}

/** Numbers of all batches so far. */
class Totals {
  readonly norms: number[] = [];
  readonly foregroundNorms: number[] = [];
  layers: readonly string[] = [];
  /** By ReLU and channel: sums over images and places. */
  fired: Float64Array[] = [];

  signs(): CollapseSigns {
    const { norms, foregroundNorms, layers, fired } = this;
    return {
      imageCount: norms.length,
      logitNorm: meanOf(norms),
      foregroundLogitNorm: foregroundNorms.length > 0 ? meanOf(foregroundNorms) : null,
      firing: layers.map((layer, i) => ({
        layer,
        channelCount: fired[i].length,
        // What a ReLU gives is never negative, so a sum of 0 is nothing but zeros.
        deadCount: fired[i].filter((total) => total === 0).length,
      })),
    };
  }
}

async function addBatch(
  device: Device,
  model: Module,
  source: BatchSource,
  indices: readonly number[],
  totals: Totals,
): Promise<void> {
  const host = await source.batch(indices);
  let layers: readonly string[] = [];
  const [squares, ...fired] = await readings(device, () => {
    const pass = forwardTwice(model, uploadHostBatch(device, source, host));
    layers = pass.layers;
    return [pass.squares, ...pass.fired];
  });
  for (let i = 0; i < host.count; i++) {
    totals.norms.push(Math.sqrt(squares[i]));
    if (host.hasMask[i] > 0) totals.foregroundNorms.push(Math.sqrt(squares[host.count + i]));
  }
  if (totals.layers.length === 0) totals.fired = fired.map(({ length }) => new Float64Array(length));
  totals.layers = layers;
  fired.forEach((sums, i) => {
    for (let c = 0; c < sums.length; c++) totals.fired[i][c] += sums[c];
  });
}

interface ForwardPass {
  /** |z|^2 [2N]: of whole images, then of their foregrounds. */
  readonly squares: Tensor;
  readonly layers: readonly string[];
  /** Sums [C] of what each ReLU gives for the whole images. */
  readonly fired: readonly Tensor[];
}

function forwardTwice(model: Module, batch: Batch): ForwardPass {
  const logits = model.forward(imagesAndObjects(batch));
  // A leaky ReLU cannot die.
  const relus = rectifiersOf(model, logits).filter(({ isLeaky }) => !isLeaky);
  return {
    squares: sum(square(logits), [1]),
    layers: relus.map(({ layer }) => layer),
    fired: relus.map(({ output }) => firedInFirstHalf(output)),
  };
}

/** Channels are the second axis of maps and vectors, and the last one of tokens [N, T, C]. Returns [C]. */
function firedInFirstHalf(y: Tensor): Tensor {
  const { shape } = y;
  const whole = halfOf(y, 0);
  const channelAxis = shape.length === 3 ? 2 : 1;
  return sum(
    whole,
    shape.map((_, axis) => axis).filter((axis) => axis !== channelAxis),
  );
}

/** The layer with the largest share, in [0, 1], of channels that never fire; null for networks without ReLUs. */
export function deadestLayer({ firing }: CollapseSigns): { layer: string; share: number } | null {
  const [worst] = firing.toSorted((a, b) => deadShare(b) - deadShare(a));
  return worst ? { layer: worst.layer, share: deadShare(worst) } : null;
}

const deadShare = ({ deadCount, channelCount }: Firing): number => deadCount / channelCount;

/** What to say of layers of which more than half of the channels never fire; `way` is what to do about it. */
export function deadLayerWarnings({ firing, imageCount }: CollapseSigns, way: string): Map<string, string> {
  const dead = firing.filter((each) => deadShare(each) > 0.5);
  return new Map(
    dead.map(({ layer, deadCount, channelCount }) => [
      layer,
      `more than half of the channels of ${layer} never fire (${deadCount} of ${channelCount} are 0 in all of ${imageCount} images); ${way}`,
    ]),
  );
}
