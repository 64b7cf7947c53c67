// A whole run (Node only): data, ordinary classifier, ISNet, evaluation, picture. What `isnet train` does.
import type { Device } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import { benchmarkNamed } from './benchmarks/index.ts';
import { loadState, type SavedState } from './checkpoint.ts';
import type { NamedModel } from './comparison-picture.ts';
import type { DataConfig, PartialRunConfig, RunConfig } from './config.ts';
import { countTable, dataCounts } from './data/label-counts.ts';
import type { DataSplits } from './data/splits.ts';
import { describeEnvironment, type Environment } from './environment.ts';
import { evaluateOnSets, type ModelEvaluation } from './evaluation/model.ts';
import { compositeOf, isnetOptions } from './from-config.ts';
import { checkLabels } from './objective.ts';
import { openData } from './open-data.ts';
import { completeConfig } from './quickstart-config.ts';
import { describeRange, naturalRange, type RelevanceRange } from './range.ts';
import { type EvaluatedModel, writeReport } from './report/write.ts';
import { type Metrics, type ModelMetrics, metricsOf, modelTitles } from './report.ts';
import { clearRunFolder, exists, type RunFolder, RunFolderError, readJson, writeJson } from './run-folder.ts';
import { lockRunFolder } from './run-lock.ts';
import {
  firstModel,
  loadStage,
  type RunContext,
  type RunEvent,
  type Stage,
  stagesOf,
  trainStage,
} from './stage.ts';
import { drawTestImages } from './test-pictures.ts';

export interface ExperimentOptions {
  readonly device: Device;
  /** From `createRunFolder`, or from `openRunFolder` to resume. */
  readonly folder: RunFolder;
  /** Goes on from the folder's saved state. */
  readonly isResumed?: boolean;
  /** Ends the run after the step under way, with everything saved. */
  readonly signal?: AbortSignal;
  readonly log?: (line: string) => void;
  readonly progress?: (event: RunEvent) => void;
}

/**
 * The configuration that a run was started with; settings that were not known then have their defaults. Throws as
 * `readJson` and `completeConfig` do.
 */
export async function readRunConfig(folder: RunFolder): Promise<RunConfig> {
  const saved = (await readJson(folder.config)) as PartialRunConfig;
  // Runs from before there was a slope were trained without one.
  return completeConfig([{ model: { negativeSlope: 0 } }, saved], folder.config);
}

/**
 * Trains and evaluates what the configuration asks for. Everything is saved after each epoch; the same configuration and
 * device give the same numbers, with or without interruptions. Throws RunFolderError, DataError, CheckpointError,
 * TrainingError (a loss that is not finite) or DeviceError; what was saved stays intact. Resolves to null if the signal
 * ended the run before its evaluation was complete.
 */
export async function runExperiment(config: RunConfig, options: ExperimentOptions): Promise<Metrics | null> {
  const { folder, log } = options;
  const lock = await lockRunFolder(folder, log);
  try {
    const data = await openData(config.data, config.seed, log);
    return await runOn(data, config, options).finally(data.close);
  } finally {
    await lock.release();
  }
}

async function runOn(
  data: DataSplits,
  config: RunConfig,
  { device, folder, isResumed = false, log, signal, progress }: ExperimentOptions,
): Promise<Metrics | null> {
  const saved = isResumed ? await openState(folder) : null;
  const startMs = performance.now() - 1000 * (saved?.seconds ?? 0);
  const elapsed = () => (performance.now() - startMs) / 1000;
  if (signal?.aborted) return null;
  for (const line of describeData(config.data, data)) log?.(line);
  if (isResumed) await checkData(folder, data);
  else {
    // What cannot be trained must be found out before an earlier run is cleared away.
    const { variant } = config.isnet;
    if (config.method !== 'classifier') checkLabels({ variant, isMultiLabel: data.train.isMultiLabel });
    (await firstModel({ device, config, data })).dispose();
    await clearRunFolder(folder);
    await writeJson(folder.config, config);
    await writeJson(folder.data, dataCounts(data));
  }
  await recordEnvironment(device, folder);
  const context: RunContext = { config, device, folder, data, signal, progress, elapsed };
  const trained = await trainAll(context, saved, log);
  if (!trained) return null;
  const { models, range } = trained;

  const composite = compositeOf(config.isnet);
  const evaluated: EvaluatedModel[] = [];
  for (const { role, name, model } of models) {
    const result = await evaluateOnSets(device, role, model, data.tests, {
      composite,
      isPaired: data.isPaired,
      onPart: (part) => progress?.({ kind: 'part', text: `${name}: ${part}` }),
      isStopped: () => signal?.aborted === true,
    });
    if (!result) return null;
    evaluated.push({ ...result, model });
  }
  if (signal?.aborted) return null;
  for (const line of missingParts(evaluated.map(({ evaluation }) => evaluation))) log?.(line);
  progress?.({ kind: 'part', text: 'heatmaps' });
  await drawTestImages(context, models, log);
  const environment = (await readJson(folder.environment)) as Environment;
  const [source] = Object.values(data.tests);
  await writeReport(folder, {
    device,
    models: evaluated,
    source,
    composite,
    weights: 'best',
    config,
    environment,
  });
  const metrics = {
    models: evaluated.map(({ evaluation }) => metricsOf(evaluation)),
    adapter: device.description,
    seconds: elapsed(),
    seed: config.seed,
    range,
  };
  await writeJson(folder.metrics, metrics);
  return metrics;
}

// A longer list would push everything else off the screen; data.json has all classes.
const MOST_CLASSES = 20;

/** What there is to train and test on, for the terminal. */
function describeData(config: DataConfig, data: DataSplits): string[] {
  if (config.dataset !== 'images') {
    const { trainCount, validationCount, testCount, dataset } = config;
    const about = 'background' in config ? ` on ${config.background}` : ` (${benchmarkNamed(dataset).title})`;
    return [
      `data: ${dataset}${about}, ${trainCount} training, ${validationCount} validation and ${testCount} test images`,
    ];
  }
  const { classNames, splits, isMultiLabel } = dataCounts(data);
  const { width, height, channels } = config;
  const colours = channels === 1 ? 'grey' : 'in colours';
  const several = isMultiLabel ? ', several or none per image' : '';
  return [
    `data: ${config.source}, ${classNames.length} classes${several}, images made ${width}x${height} ${colours}`,
    ...countTable(splits, classNames, { most: MOST_CLASSES }).map((line) => `  ${line}`),
    ...(data.validation ? [] : ['no validation images: the weights of the last epoch count as the best']),
    ...('validation' in data.tests
      ? ['no test images: tested on the validation images, by which the best weights are chosen']
      : []),
  ];
}

/** Throws RunFolderError if there are other images than when the run began: it could not go on as if nothing had been. */
async function checkData(folder: RunFolder, data: DataSplits): Promise<void> {
  // Runs from before this file have none.
  if (!(await exists(folder.data))) return;
  const before = JSON.stringify(await readJson(folder.data));
  if (before === JSON.stringify(dataCounts(data))) return;
  throw new RunFolderError(
    `run folder: the images are not those that '${folder.path}' began with (see its data.json); restore them, or start a new run`,
  );
}

/** What could not be measured, and why. */
function missingParts([{ sets, localisation }]: readonly ModelEvaluation[]): string[] {
  const [set] = Object.keys(sets);
  return localisation
    ? []
    : [
        `no image of ${set} has a mask: where the relevance lies and what the background does are not measured`,
      ];
}

/** The facts of the first start stay on top; a resume, perhaps on another machine, adds its own. */
async function recordEnvironment(device: Device, { environment: path }: RunFolder): Promise<void> {
  const now = describeEnvironment(device);
  if (!(await exists(path))) return writeJson(path, now);
  const first = (await readJson(path)) as Environment;
  await writeJson(path, { ...first, resumed: [...(first.resumed ?? []), now] });
}

async function openState(folder: RunFolder): Promise<SavedState> {
  if (!(await exists(folder.state))) {
    throw new RunFolderError(
      `run folder: '${folder.path}' has no saved state to go on from; start the run again with --overwrite`,
    );
  }
  return loadState(folder.state);
}

interface ReportedModel extends NamedModel {
  readonly role: ModelMetrics['name'];
}

interface Trained {
  readonly models: readonly ReportedModel[];
  readonly range: RelevanceRange | null;
}

// The mean of 1,000 totals is known to a few per cent, and C1 is a fifth of it.
const RANGE_IMAGES = 1000;

/** Trains the stages in order; null if the signal ended the run. */
async function trainAll(
  context: RunContext,
  saved: SavedState | null,
  log?: (line: string) => void,
): Promise<Trained | null> {
  const { config } = context;
  const stages = stagesOf(config);
  const savedAt = saved ? stages.findIndex(({ role }) => role === saved.role) : -1;
  if (saved && savedAt < 0) {
    throw new RunFolderError(
      `run folder: '${context.folder.state}' is of a model '${saved.role}' that the configuration does not train; restore its config.json`,
    );
  }
  let range: RelevanceRange | null = null;
  if (typeof config.isnet.range === 'object') range = config.isnet.range;
  else if (saved) range = saved.range;
  const models: ReportedModel[] = [];
  for (const [i, stage] of stages.entries()) {
    if (stage.role === 'isnet' && !range && config.isnet.range === 'natural') {
      range = await measureRange(context, models[0].model);
      log?.(`natural range of the foreground relevance: ${describeRange(range)}`);
    }
    const model = await stageModel(context, stage, i, { range, saved, savedAt });
    if (!model) return null;
    const role = stage.role === 'isnet' ? 'isnet' : 'classifier';
    models.push({ role, name: modelTitles[role], model });
  }
  const reported = models.filter((_, i) => stages[i].role !== 'range-copy');
  return { models: reported, range: config.method === 'classifier' ? null : range };
}

function stageModel(
  context: RunContext,
  stage: Stage,
  i: number,
  { range, saved, savedAt }: { range: RelevanceRange | null; saved: SavedState | null; savedAt: number },
): Promise<Module | null> {
  if (i < savedAt) return loadStage(context, stage);
  return trainStage(context, stage, range, i === savedAt ? saved : null);
}

function measureRange(
  { config, device, data, progress }: RunContext,
  model: Module,
): Promise<RelevanceRange> {
  progress?.({ kind: 'part', text: 'natural range of the relevance' });
  const options = { seed: config.seed, limit: RANGE_IMAGES };
  return naturalRange(device, model, data.train, isnetOptions(config.isnet, model), options);
}
