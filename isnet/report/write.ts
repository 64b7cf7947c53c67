// Draws the heatmaps of a report and writes the files of an evaluation (Node only): evaluation.json, report.html, the card.
import { writeFileAtomically } from '../../engine/files.ts';
import type { Device } from '../../engine/tensor.ts';
import type { Composite } from '../../lrp/composite.ts';
import type { Picture } from '../../lrp/picture.ts';
import { encodePng } from '../../lrp/png.ts';
import type { Module } from '../../nn/module.ts';
import { compareModels } from '../comparison-picture.ts';
import type { RunConfig } from '../config.ts';
import type { BatchSource } from '../data/source.ts';
import { firstOfEachClass } from '../data/splits.ts';
import type { Environment } from '../environment.ts';
import type { EvaluationResult } from '../evaluation/model.ts';
import { type AskedFor, modelTitles } from '../report.ts';
import { exists, type RunFolder, RunFolderError, readLog, writeJson } from '../run-folder.ts';
import { modelCard } from './card.ts';
import type { EpochLosses, HeatmapRow, ReportInput } from './input.ts';
import { percent, plain } from './numbers.ts';
import { reportHtml } from './page.ts';

/** A model with what was found out about it. */
export interface EvaluatedModel extends EvaluationResult {
  readonly model: Module;
}

export interface WriteReportOptions extends AskedFor {
  readonly device: Device;
  /** In the order of tables; the last is the one that the run is about. */
  readonly models: readonly EvaluatedModel[];
  /** The images that relevance was measured on. */
  readonly source: BatchSource;
  readonly composite: Composite;
  readonly weights: 'best' | 'last';
  readonly config: RunConfig;
  readonly environment: Environment;
}

const IMAGES_PER_GROUP = 4;

/**
 * Writes evaluation.json, MODEL_CARD.md and report.html into a run's folder, each whole or not at all, the report last.
 * Throws RunFolderError for a folder that cannot be written, and as `compareModels` does.
 */
export async function writeReport(folder: RunFolder, options: WriteReportOptions): Promise<void> {
  const { device, models, silenced, logits, weights, config, environment } = options;
  const evaluations = models.map(({ evaluation }) => evaluation);
  const found = { models: evaluations, silenced, logits };
  const facts = { date: new Date().toISOString(), adapter: device.description, weights };
  const input: ReportInput = {
    name: config.name,
    ...facts,
    ...found,
    log: (await exists(folder.log)) ? ((await readLog(folder)) as EpochLosses[]) : [],
    heatmaps: await drawChosen(options),
    config,
    environment,
  };
  const style = { where: 'run folder', error: RunFolderError } as const;
  await writeJson(folder.evaluation, { ...facts, ...found });
  await writeFileAtomically(folder.card, modelCard({ ...input, config }), style);
  await writeFileAtomically(folder.report, reportHtml(input), style);
}

interface ChosenImage {
  readonly index: number;
  readonly group: HeatmapRow['group'];
}

/** Those with the least and the most background relevance; without masks, the first of each class. */
function chosenImages({ models, source }: WriteReportOptions): ChosenImage[] {
  const main = models[models.length - 1];
  const ranked = main.images.toSorted((a, b) => a.backgroundShare - b.backgroundShare);
  const each = Math.min(IMAGES_PER_GROUP, Math.ceil(ranked.length / 2));
  const least = ranked.slice(0, each).map(({ index }) => ({ index, group: 'least' as const }));
  const most = ranked.slice(each).slice(-each).toReversed();
  if (ranked.length > 0) return [...least, ...most.map(({ index }) => ({ index, group: 'most' as const }))];
  const firsts = firstOfEachClass(source).slice(0, 2 * IMAGES_PER_GROUP);
  return firsts.map((index) => ({ index, group: 'first' }));
}

/** The chosen images as all models see them. */
async function drawChosen(options: WriteReportOptions): Promise<HeatmapRow[]> {
  const { device, models, source, composite } = options;
  const chosen = chosenImages(options);
  const indices = chosen.map(({ index }) => index);
  const named = models.map(({ model, evaluation }) => ({ name: modelTitles[evaluation.name], model }));
  const rows = await compareModels(device, named, source, { indices, composite });
  return rows.map(({ label, pictures, cells, hasMask }, i) => ({
    group: chosen[i].group,
    title: `Test image ${indices[i]}. End colours: |R| = ${cells.map(({ model, range }) => `${plain(range)} (${model})`).join(', ')}`,
    cells: pictures.map((picture, p) => ({
      uri: dataUri(picture),
      title: p === 0 ? `shows ${label}` : `${cells[p - 1].model}: ${cells[p - 1].predicted}`,
      note: p === 0 ? maskNote(hasMask) : noteOf(cells[p - 1].confidence, models[p - 1], indices[i]),
    })),
  }));
}

const maskNote = (hasMask: boolean): string => (hasMask ? 'with its mask' : 'without a mask');

function noteOf(confidence: number, { images }: EvaluatedModel, index: number): string {
  const share = images.find((image) => image.index === index)?.backgroundShare;
  const onBackground = share === undefined ? '' : `, ${percent(share)} on background`;
  return `${percent(confidence)} sure${onBackground}`;
}

const dataUri = (picture: Picture): string =>
  `data:image/png;base64,${Buffer.from(encodePng(picture)).toString('base64')}`;
