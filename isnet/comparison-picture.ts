// Images with the heatmaps of several models beside them, as one picture and the text that a picture cannot hold.
import { TrainingError } from '../engine/errors.ts';
import type { Device } from '../engine/tensor.ts';
import type { Attribution } from '../lrp/attributions/attribution.ts';
import { type LrpOptions, lrp } from '../lrp/attributions/relevance.ts';
import type { Composite } from '../lrp/composite.ts';
import type { Target } from '../lrp/explain.ts';
import { renderHeatmap } from '../lrp/heatmap.ts';
import { grayImage, maskContour, type Picture, rgbImage, upscale } from '../lrp/picture.ts';
import type { Module } from '../nn/module.ts';
import { uploadHostBatch } from './batch.ts';
import { checkDataset } from './data/dataset.ts';
import { type BatchSource, type HostBatch, sourceOf, type TrainingData } from './data/source.ts';
import { shownClasses } from './data/splits.ts';
import { evaluating, explainedAtOnce, readings } from './evaluation/batches.ts';

/** A model to explain, and what to call it. */
export interface NamedModel {
  readonly name: string;
  readonly model: Module;
}

export interface ComparisonOptions {
  /** Numbers of the images. */
  readonly indices: readonly number[];
  /** Default 'predicted'. */
  readonly target?: Target;
  /** How the maps are made; LRP if left out. */
  readonly attribution?: Attribution<LrpOptions>;
  /** Rules of LRP; other attributions have none. */
  readonly composite?: Composite;
  /** Picture pixels per image pixel and side; as many as make small images visible if left out. */
  readonly factor?: number;
  /** Whether the mask's outline is drawn on the image; true if left out. */
  readonly hasContour?: boolean;
}

/** How one model sees one image. */
export interface Cell {
  readonly model: string;
  readonly predicted: string;
  /** Probability of the predicted class. */
  readonly confidence: number;
  readonly explained: string;
  /** |R| of the end colours: red speaks for the explained class, blue against it. */
  readonly range: number;
  readonly sum: number;
}

/** One image: the pictures of its row, the image first, and what its heatmaps say. */
export interface ComparisonRow {
  readonly index: number;
  /** The class that is shown; of several their names. */
  readonly label: string;
  readonly hasMask: boolean;
  readonly pictures: readonly Picture[];
  readonly cells: readonly Cell[];
}

/** What a model says about one image: logits [K] and relevance [C, H, W], or [1, H, W] of attributions of places. */
interface Explained {
  readonly logits: ArrayLike<number>;
  readonly relevance: Float32Array | Float64Array;
}

// Of the longer side, in picture pixels, about.
const VISIBLE_SIDE = 112;

/**
 * Explains the images with each model. Every heatmap has its own scale, symmetric around zero. Throws DataError for a data
 * set that is not sound (masks are only drawn), UsageError for a number that is no image, TrainingError for a model whose
 * logits are NaN or infinite.
 */
export async function compareModels(
  device: Device,
  models: readonly NamedModel[],
  data: TrainingData,
  options: ComparisonOptions,
): Promise<ComparisonRow[]> {
  if (!('epoch' in data)) checkDataset('compareModels', data, { hasMasks: false });
  const source = sourceOf(data);
  const rows: ComparisonRow[] = [];
  const atOnce = explainedAtOnce(source);
  for (let first = 0; first < options.indices.length; first += atOnce) {
    const part = <T>(list: readonly T[]): readonly T[] => list.slice(first, first + atOnce);
    const batch = await source.batch(part(options.indices));
    const target = typeof options.target === 'object' ? part(options.target) : options.target;
    const explained: Explained[][] = [];
    for (const named of models) {
      explained.push(await explainBatch(device, named, source, batch, { ...options, target }));
    }
    for (let n = 0; n < batch.count; n++) {
      const own = explained.map((images) => images[n]);
      rows.push(comparisonRow(models, source, batch, n, own, { ...options, target }));
    }
  }
  return rows;
}

/** The row of image n of the batch. */
function comparisonRow(
  models: readonly NamedModel[],
  source: BatchSource,
  batch: HostBatch,
  n: number,
  explained: readonly Explained[],
  { target = 'predicted', factor = visibleFactor(source), hasContour = true }: ComparisonOptions,
): ComparisonRow {
  const K = source.classNames.length;
  const image = upscale(pictureOf(source, batch, n), factor);
  const heatmaps = explained.map(({ relevance }) => {
    const { height, width } = source;
    return renderHeatmap(relevance, { height, width, channels: relevance.length / (height * width) });
  });
  return {
    index: batch.indices[n],
    label: shownClasses(source, batch.targets.subarray(n * K, (n + 1) * K)),
    hasMask: batch.hasMask[n] === 1,
    pictures: [
      hasContour && batch.hasMask[n] === 1 ? maskContour(image, maskOf(source, batch, n), { factor }) : image,
      ...heatmaps.map((heatmap) => upscale(heatmap, factor)),
    ],
    cells: models.map(({ name }, m) => {
      const { range, sum } = heatmaps[m];
      const ofImage = typeof target === 'object' ? target[n] : target;
      return { model: name, ...verdict(explained[m].logits, source, ofImage), range, sum };
    }),
  };
}

const visibleFactor = ({ height, width }: BatchSource): number =>
  Math.max(1, Math.round(VISIBLE_SIDE / Math.max(height, width)));

async function explainBatch(
  device: Device,
  { name, model }: NamedModel,
  source: BatchSource,
  batch: HostBatch,
  { target, attribution = lrp, composite }: ComparisonOptions,
): Promise<Explained[]> {
  const [logits, relevance] = await evaluating(model, () =>
    readings(device, () => {
      const { images } = uploadHostBatch(device, source, batch);
      const logits = model.forward(images);
      return [logits, attribution(model, images, { logits, target, composite })];
    }),
  );
  const strange = logits.findIndex((z) => !Number.isFinite(z));
  if (strange >= 0) {
    throw new TrainingError(
      `compareModels: a logit of the ${name} is ${logits[strange]}; its weights are damaged or its training has diverged, use others`,
    );
  }
  const ofImage = (values: Float32Array | Float64Array, n: number) =>
    values.subarray((n * values.length) / batch.count, ((n + 1) * values.length) / batch.count);
  return Array.from({ length: batch.count }, (_, n) => ({
    logits: ofImage(logits, n),
    relevance: ofImage(relevance, n),
  }));
}

function verdict(
  logits: ArrayLike<number>,
  { classNames, isMultiLabel }: BatchSource,
  target: number | 'predicted',
): Pick<Cell, 'predicted' | 'confidence' | 'explained'> {
  const own = Array.from(logits);
  const top = own.indexOf(Math.max(...own));
  // With several labels each class is a question of its own.
  const others = isMultiLabel
    ? Math.exp(-own[top])
    : own.reduce((sum, z, k) => sum + (k === top ? 0 : Math.exp(z - own[top])), 0);
  const explained = target === 'predicted' ? top : target;
  return { predicted: classNames[top], confidence: 1 / (1 + others), explained: classNames[explained] };
}

function pictureOf({ channels, height, width }: BatchSource, { images }: HostBatch, n: number): Picture {
  const size = channels * height * width;
  const pixels = images.subarray(n * size, (n + 1) * size);
  return channels === 3 ? rgbImage(pixels, { height, width }) : grayImage(pixels, { height, width });
}

/** [H, W]; of several masks of an image their union. */
function maskOf({ maskCount, height, width }: BatchSource, { masks }: HostBatch, n: number): Float32Array {
  const size = height * width;
  const union = new Float32Array(size);
  for (let m = 0; m < maskCount; m++) {
    const mask = masks.subarray((n * maskCount + m) * size, (n * maskCount + m + 1) * size);
    mask.forEach((value, i) => {
      if (value > 0) union[i] = 1;
    });
  }
  return union;
}

/** One line per heatmap: what is seen in it and what its colours mean. */
export function describeRow(title: string, { cells }: ComparisonRow): string[] {
  return cells.map(
    ({ model, predicted, confidence, explained, range, sum }) =>
      `${title}, ${model}: predicts ${predicted} (${(100 * confidence).toFixed(1)} %), explained ${explained}, ` +
      `colours end at |R| = ${range.toPrecision(3)}, sum R = ${sum.toPrecision(3)}`,
  );
}
