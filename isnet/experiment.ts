// A whole run (Node only): data, ordinary classifier, ISNet, evaluation, picture. What `isnet train` does.
import { UsageError } from '../engine/errors.ts';
import { writeFileAtomically } from '../engine/files.ts';
import type { Device } from '../engine/tensor.ts';
import { mosaic } from '../lrp/picture.ts';
import { writePng } from '../lrp/png.ts';
import type { Module } from '../nn/module.ts';
import { loadState, type SavedState } from './checkpoint.ts';
import { compareModels, describeRow, type NamedModel } from './comparison-picture.ts';
import type { DataConfig, MarkerDataConfig, PartialRunConfig, RunConfig } from './config.ts';
import { subset } from './data/dataset.ts';
import { type MarkerBiasBenchmark, markerBiasBenchmark } from './data/marker-bias-benchmark.ts';
import { loadMnist } from './data/mnist.ts';
import { memorySource } from './data/source.ts';
import { describeEnvironment, type Environment } from './environment.ts';
import { compositeOf, createModel, inputOf, isnetOptions } from './from-config.ts';
import { completeConfig } from './quickstart-config.ts';
import { describeRange, naturalRange, type RelevanceRange } from './range.ts';
import { type EvaluatedModel, writeReport } from './report/write.ts';
import { evaluateFully, type Metrics, type ModelMetrics, metricsOf, modelTitles } from './report.ts';
import { clearRunFolder, exists, type RunFolder, RunFolderError, readJson, writeJson } from './run-folder.ts';
import { loadStage, type RunContext, type RunEvent, type Stage, stagesOf, trainStage } from './stage.ts';

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
  return completeConfig([(await readJson(folder.config)) as PartialRunConfig], folder.config);
}

/**
 * The five data sets of a configuration. Throws DataError if files are missing or damaged, UsageError for images of one's
 * own, which are no such benchmark.
 */
export function loadData(config: DataConfig, seed: number): MarkerBiasBenchmark {
  const { folder, dataset: _, ...options } = markerConfig(config);
  return markerBiasBenchmark({ ...loadMnist(folder === null ? {} : { folder }), ...options, seed });
}

/** The settings of MNIST with a marker. Throws UsageError for those of other data. */
export function markerConfig(config: DataConfig): MarkerDataConfig {
  if (config.dataset === 'mnist-marker') return config;
  throw new UsageError(`data: '${config.source}' cannot be trained on yet; use dataset mnist-marker`);
}

/**
 * Trains and evaluates what the configuration asks for. Everything is saved after each epoch; the same configuration and
 * device give the same numbers, with or without interruptions. Throws RunFolderError, DataError, CheckpointError,
 * TrainingError (a loss that is not finite) or DeviceError; what was saved stays intact. Resolves to null if the signal
 * ended the run before its evaluation was complete.
 */
export async function runExperiment(config: RunConfig, options: ExperimentOptions): Promise<Metrics | null> {
  const { device, folder, isResumed = false, log, signal, progress } = options;
  const saved = isResumed ? await openState(folder) : null;
  const startMs = performance.now() - 1000 * (saved?.seconds ?? 0);
  const data = loadData(config.data, config.seed);
  if (signal?.aborted) return null;
  if (!isResumed) {
    // A model that cannot be built must be found out before an earlier run is cleared away.
    createModel(device, config.model, inputOf(data.train), config.seed).dispose();
    await clearRunFolder(folder);
    await writeJson(folder.config, config);
  }
  await recordEnvironment(device, folder);
  const { trainCount, validationCount, testCount, dataset, background } = markerConfig(config.data);
  log?.(
    `data: ${dataset} on ${background}, ${trainCount} training, ${validationCount} validation and ${testCount} test images`,
  );
  const elapsed = () => (performance.now() - startMs) / 1000;
  const context: RunContext = { config, device, folder, data, signal, progress, elapsed };
  const trained = await trainAll(context, saved, log);
  if (!trained) return null;
  const { models, range } = trained;

  const composite = compositeOf(config.isnet);
  const evaluated: EvaluatedModel[] = [];
  for (const { role, name, model } of models) {
    const onPart = (part: string) => progress?.({ kind: 'part', text: `${name}: ${part}` });
    const isStopped = () => signal?.aborted === true;
    const result = await evaluateFully(device, role, model, data, { composite, onPart, isStopped });
    if (!result) return null;
    evaluated.push({ ...result, model });
  }
  if (signal?.aborted) return null;
  progress?.({ kind: 'part', text: 'heatmaps' });
  await drawTestDigits(context, models, log);
  const environment = (await readJson(folder.environment)) as Environment;
  const source = memorySource(data.biased);
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
  const images = Math.min(RANGE_IMAGES, data.train.count);
  const sample = subset(
    data.train,
    Array.from({ length: images }, (_, i) => i),
  );
  return naturalRange(device, model, sample, isnetOptions(config.isnet, model), { seed: config.seed });
}

/** The first test digit of each class, with and against its marker: image, then one heatmap per model. */
async function drawTestDigits(
  { config, device, data, folder }: RunContext,
  models: readonly NamedModel[],
  log?: (line: string) => void,
): Promise<void> {
  const composite = compositeOf(config.isnet);
  const firsts = data.biased.classNames.map((_, label) => data.biased.labels.indexOf(label));
  const indices = firsts.filter((index) => index >= 0);
  const biased = await compareModels(device, models, data.biased, { indices, composite });
  const deceiving = await compareModels(device, models, data.deceiving, { indices, composite });
  const rows = indices.map((_, i) => [...biased[i].pictures, null, ...deceiving[i].pictures]);
  await writePng(folder.picture, mosaic(rows, { gap: 4, background: [128, 128, 128] }));
  const columns = ['image with its mask', ...models.map(({ name }) => `heatmap of the ${name}`)].join(', ');
  const legend = [
    `columns: biased test digit (${columns}), then the same digit with the marker of another class (${columns})`,
    'heatmaps: of the predicted class; red for it, blue against it, white is zero; each on its own symmetric scale',
  ];
  const lines = indices.flatMap((_, i) => [
    ...describeRow(`row ${i + 1}, a ${biased[i].label}, biased`, biased[i]),
    ...describeRow(`row ${i + 1}, a ${deceiving[i].label}, deceiving`, deceiving[i]),
  ]);
  await writeFileAtomically(folder.captions, `${[...legend, '', ...lines].join('\n')}\n`);
  for (const line of legend) log?.(line);
  for (const { name } of models) {
    const ranges = [...biased, ...deceiving].flatMap(({ cells }) =>
      cells.filter((cell) => cell.model === name).map(({ range }) => range),
    );
    log?.(
      `|R| of the end colours, ${name}: ${Math.min(...ranges).toPrecision(3)} to ${Math.max(...ranges).toPrecision(3)}`,
    );
  }
}
