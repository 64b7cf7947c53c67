// Where a model looks: how its relevance is shared between foreground and background, per class and per layer.
//
// All of it is about the relevance of the predicted logit, of images that have a mask. Background share and mass count the
// elements of a map one by one; rank and pointing ask about places, so channels are summed first.
import { mul, sub } from '../../engine/ops/arithmetic.ts';
import { adaptiveAvgPool2d } from '../../engine/ops/avg-pool.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { abs, step } from '../../engine/ops/pointwise.ts';
import { withoutRecording } from '../../engine/scope.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';
import { type Composite, isnetComposite } from '../../lrp/composite.ts';
import { targetRows, targetSeed } from '../../lrp/explain.ts';
import {
  pointingGame,
  relevanceMassAccuracy,
  relevanceRankAccuracy,
} from '../../lrp/metrics/localisation.ts';
import { relevanceAt, relevanceSteps } from '../../lrp/relevance.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { uploadHostBatch } from '../batch.ts';
import type { BatchSource, HostBatch } from '../data/source.ts';
import { type BatchedOptions, checkFinite, eachBatch, explainedAtOnce, readings } from './batches.ts';
import { type Estimate, meanShare, proportion } from './estimate.ts';

/** How well relevance and mask agree, as means over images. */
export interface Localisation {
  readonly count: number;
  /** Mean of sum |R| outside the mask / sum |R|; 1 for a map without relevance, which is no sign of robustness. */
  readonly backgroundShare: Estimate;
  /** Share of the positive relevance that lies inside. */
  readonly massAccuracy: Estimate;
  /** Share of the |mask| largest values that lie inside. */
  readonly rankAccuracy: Estimate;
  /** Share of images whose largest value lies inside. */
  readonly pointingGame: Estimate;
}

/** The image, or the output of a layer, top down from the image. */
export interface LayerLocalisation extends Localisation {
  /** Dotted name of the layer, 'image' for the image. */
  readonly name: string;
  /** [C, H, W] */
  readonly shape: readonly number[];
}

export interface LocalisationReport extends Localisation {
  /** By shown class. With several labels, an image counts for each. */
  readonly classes: readonly (Localisation & { readonly name: string })[];
  readonly layers: readonly LayerLocalisation[];
  /** Images without a mask, which are left out. */
  readonly withoutMask: number;
}

/** A report, and the background share of each image for whoever wants to look at the extremes. */
export interface LocalisationResult {
  readonly report: LocalisationReport;
  readonly images: readonly { readonly index: number; readonly backgroundShare: number }[];
}

export interface LocalisationOptions extends BatchedOptions {
  readonly composite?: Composite;
  /** Most layers to look at besides the image, evenly chosen; default 16. */
  readonly mostLayers?: number;
}

/** The numbers of one image, in the order of `Localisation`. */
type Row = readonly [outside: number, mass: number, rank: number, pointing: number];

interface LayerRows {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rows: Row[];
}

/**
 * Localisation of the relevance at the image and at every layer with a height and a width. A layer's mask is the share of
 * foreground under each of its cells; cells with any count as inside for rank and pointing. What a cell sees reaches
 * beyond it, so deep layers say where relevance is kept, not what it was read from. Null if no image has a mask. Throws
 * TrainingError for relevance that is NaN or infinite, and as `relevance` does.
 */
export async function localise(
  device: Device,
  model: Module,
  source: BatchSource,
  {
    composite = isnetComposite(),
    mostLayers = 16,
    batchSize = explainedAtOnce(source),
    onProgress,
  }: LocalisationOptions = {},
): Promise<LocalisationResult | null> {
  const layers: LayerRows[] = [];
  const images: { index: number; targets: number[] }[] = [];
  let withoutMask = 0;
  await eachBatch(source, model, { batchSize, onProgress }, async (batch) => {
    let found: Omit<LayerRows, 'rows'>[] = [];
    const values = await readings(device, () => {
      const { layers: own, numbers } = measure(device, model, source, batch, composite, mostLayers);
      found = own;
      return numbers;
    });
    for (const layer of found.slice(layers.length)) layers.push({ ...layer, rows: [] });
    for (let n = 0; n < batch.count; n++) {
      if (batch.hasMask[n] === 0) {
        withoutMask++;
        continue;
      }
      layers.forEach(({ rows }, l) => {
        rows.push(rowOf(values.slice(5 * l, 5 * l + 5), n, batch.indices[n]));
      });
      const K = source.classNames.length;
      images.push({
        index: batch.indices[n],
        targets: Array.from(batch.targets.subarray(n * K, (n + 1) * K)),
      });
    }
  });
  if (images.length === 0) return null;
  const [{ rows }] = layers;
  return {
    report: {
      ...summary(rows),
      classes: source.classNames.map((name, k) => ({
        name,
        ...summary(rows.filter((_, i) => images[i].targets[k] === 1)),
      })),
      layers: layers.map((layer) => ({ name: layer.name, shape: layer.shape, ...summary(layer.rows) })),
      withoutMask,
    },
    images: images.map(({ index }, i) => ({ index, backgroundShare: rows[i][0] })),
  };
}

/** Five numbers per image and layer: total |R|, outside, mass, rank, pointing; each [N]. */
function measure(
  device: Device,
  model: Module,
  source: BatchSource,
  batch: HostBatch,
  composite: Composite,
  mostLayers: number,
): { layers: Omit<LayerRows, 'rows'>[]; numbers: Tensor[] } {
  const { images, masks } = uploadHostBatch(device, source, batch);
  const output = inEvaluation(model, () => model.forward(images));
  const options = { output, input: images, composite, model };
  const seed = targetSeed(output, 'predicted', composite);
  const spatial = relevanceSteps(options).filter(({ t, step: { rule } }) => rule && isSpatial(t));
  const chosen = evenly(spatial, mostLayers);
  const maps = relevanceAt({ ...options, seed }, [images, ...chosen.map(({ t }) => t)]);
  const names = ['image', ...chosen.map(({ step: { name } }) => name)];
  const numbers = withoutRecording(device, () => {
    const mask = maskOfPredicted(masks, output);
    return maps.flatMap((R) => {
      const size = [R.shape[2], R.shape[3]] as const;
      const cells =
        R.shape[2] === mask.shape[2] && R.shape[3] === mask.shape[3] ? mask : adaptiveAvgPool2d(mask, size);
      const places = sum(R, [1], { keepDims: true });
      const inside = step(cells);
      return [
        sum(abs(R), [1, 2, 3]),
        relevanceMassAccuracy(R, sub(1, cells), { mass: 'absolute' }),
        relevanceMassAccuracy(R, cells),
        relevanceRankAccuracy(places, inside),
        pointingGame(places, inside),
      ];
    });
  });
  return { layers: maps.map(({ shape }, l) => ({ name: names[l], shape: shape.slice(1) })), numbers };
}

const isSpatial = ({ shape }: Tensor): boolean => shape.length === 4 && shape[2] * shape[3] > 1;

/** At most `count` of the items, the first and the last among them. */
function evenly<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, i) => items[Math.round((i * (items.length - 1)) / Math.max(1, count - 1))],
  );
}

/** [N, 1, H, W]: the one mask of an image, or that of its predicted class. */
function maskOfPredicted(masks: Tensor, logits: Tensor): Tensor {
  const [N, M] = masks.shape;
  if (M === 1) return masks;
  return sum(mul(masks, reshape(targetRows(logits, 'predicted'), [N, M, 1, 1])), [1], { keepDims: true });
}

function rowOf(values: readonly ArrayLike<number>[], n: number, image: number): Row {
  const [total, outside, mass, rank, pointing] = values.map((list) => list[n]);
  checkFinite('localise', total, image);
  return total === 0 ? [1, 0, 0, 0] : [outside, mass, rank, pointing];
}

function summary(rows: readonly Row[]): Localisation {
  const column = (i: number): number[] => rows.map((row) => row[i]);
  return {
    count: rows.length,
    backgroundShare: meanShare(column(0)),
    massAccuracy: meanShare(column(1)),
    rankAccuracy: meanShare(column(2)),
    pointingGame: proportion(
      column(3).reduce((a, b) => a + b, 0),
      rows.length,
    ),
  };
}
