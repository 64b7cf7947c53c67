// Images with the heatmaps of several models beside them, as one picture and the text that a picture cannot hold.
import { readAll } from '../engine/create.ts';
import { TrainingError } from '../engine/errors.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release } from '../engine/tensor.ts';
import type { Composite } from '../lrp/composite.ts';
import { explain, type Target } from '../lrp/explain.ts';
import { renderHeatmap } from '../lrp/heatmap.ts';
import { grayImage, maskContour, type Picture, rgbImage, upscale } from '../lrp/picture.ts';
import type { Module } from '../nn/module.ts';
import { uploadBatch } from './batch.ts';
import { checkDataset, type Dataset } from './data/dataset.ts';

/** A model to explain, and what to call it. */
export interface NamedModel {
  readonly name: string;
  readonly model: Module;
}

export interface ComparisonOptions {
  /** Numbers of the images in the data set. */
  readonly indices: readonly number[];
  /** Default 'predicted'. */
  readonly target?: Target;
  readonly composite?: Composite;
  /** Picture pixels per image pixel and side; 4 if left out. */
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
  readonly label: string;
  readonly pictures: readonly Picture[];
  readonly cells: readonly Cell[];
}

interface Explained {
  readonly logits: ArrayLike<number>;
  readonly relevance: Float32Array | Float64Array;
}

/**
 * Explains the images with each model. Every heatmap has its own scale, symmetric around zero. Throws DataError for a data
 * set that is not sound (masks are only drawn), TrainingError for a model whose logits are NaN or infinite.
 */
export async function compareModels(
  device: Device,
  models: readonly NamedModel[],
  dataset: Dataset,
  options: ComparisonOptions,
): Promise<ComparisonRow[]> {
  const { indices, factor = 4, hasContour = true } = options;
  checkDataset('compareModels', dataset, { hasMasks: false });
  const explained: Explained[] = [];
  for (const named of models) explained.push(await explainImages(device, named, dataset, options));
  return indices.map((index, i) => {
    const image = upscale(pictureOf(dataset, index), factor);
    const size = dataset.height * dataset.width;
    const mask = dataset.masks.subarray(index * size, (index + 1) * size);
    const heatmaps = explained.map(({ relevance }) =>
      renderHeatmap(
        relevance.subarray(i * dataset.channels * size, (i + 1) * dataset.channels * size),
        dataset,
      ),
    );
    return {
      index,
      label: dataset.classNames[dataset.labels[index]],
      pictures: [
        hasContour ? maskContour(image, mask, { factor }) : image,
        ...heatmaps.map((heatmap) => upscale(heatmap, factor)),
      ],
      cells: models.map(({ name }, m) => {
        const { range, sum } = heatmaps[m];
        return {
          model: name,
          ...verdict(explained[m].logits, i, dataset.classNames, options.target),
          range,
          sum,
        };
      }),
    };
  });
}

async function explainImages(
  device: Device,
  { name, model }: NamedModel,
  dataset: Dataset,
  { indices, target, composite }: ComparisonOptions,
): Promise<Explained> {
  const wasTraining = model.isTraining;
  model.eval();
  const results = scope(device, () => {
    const { images } = uploadBatch(device, dataset, indices);
    const { logits, relevance } = explain(model, images, { target, composite });
    return [logits, relevance];
  });
  model.train(wasTraining);
  const [logits, relevance] = await readAll(results);
  for (const t of results) release(t);
  const strange = logits.findIndex((z) => !Number.isFinite(z));
  if (strange >= 0) {
    throw new TrainingError(
      `compareModels: a logit of the ${name} is ${logits[strange]}; its weights are damaged or its training has diverged, use others`,
    );
  }
  return { logits, relevance };
}

function verdict(
  logits: ArrayLike<number>,
  row: number,
  classNames: readonly string[],
  target: Target = 'predicted',
): Pick<Cell, 'predicted' | 'confidence' | 'explained'> {
  const own = Array.from(classNames, (_, c) => logits[row * classNames.length + c]);
  const top = own.indexOf(Math.max(...own));
  const total = own.reduce((sum, z) => sum + Math.exp(z - own[top]), 0);
  const explained = target === 'predicted' ? top : typeof target === 'number' ? target : target[row];
  return { predicted: classNames[top], confidence: 1 / total, explained: classNames[explained] };
}

function pictureOf(dataset: Dataset, index: number): Picture {
  const size = dataset.channels * dataset.height * dataset.width;
  const pixels = dataset.images.subarray(index * size, (index + 1) * size);
  return dataset.channels === 3 ? rgbImage(pixels, dataset) : grayImage(pixels, dataset);
}

/** One line per heatmap: what is seen in it and what its colours mean. */
export function describeRow(title: string, { cells }: ComparisonRow): string[] {
  return cells.map(
    ({ model, predicted, confidence, explained, range, sum }) =>
      `${title}, ${model}: predicts ${predicted} (${(100 * confidence).toFixed(1)} %), explained ${explained}, ` +
      `colours end at |R| = ${range.toPrecision(3)}, sum R = ${sum.toPrecision(3)}`,
  );
}
