// Trains one model of a run, saving it after every epoch so that the run can be cut off anywhere.
import type { Device } from '../engine/tensor.ts';
import type { Classifier } from '../nn/models/classifier.ts';
import type { Module } from '../nn/module.ts';
import {
  loadPretrained,
  loadWeights,
  type ModelCard,
  restoreState,
  type SavedState,
  saveModel,
  saveState,
} from './checkpoint.ts';
import { type CollapseSigns, collapseSigns, deadLayerWarnings } from './collapse.ts';
import type { RunConfig, TrainingConfig } from './config.ts';
import type { DataSplits } from './data/splits.ts';
import { createModel, createOptimizer, inputOf, runningRangeOf, trainingOptions } from './from-config.ts';
import { loggedSigns, RunLog } from './logs/run-log.ts';
import type { RelevanceRange } from './range.ts';
import type { RunFolder } from './run-folder.ts';
import { type EpochReport, type StepReport, train } from './train.ts';
import { startPosition, type TrainingPosition } from './training-position.ts';

/** What a model is to its run: `range-copy` is the ordinary one that C1 and C2 are measured on, and is not reported. */
export type Role = 'classifier' | 'range-copy' | 'isnet';

/** One model of a run and how it is trained. */
export interface Stage {
  readonly role: Role;
  readonly training: TrainingConfig;
  /** The model that the run is about; its weights are best.safetensors and last.safetensors. */
  readonly isMain: boolean;
}

/** The models that a configuration trains, in order. */
export function stagesOf({ method, classifier, isnet }: RunConfig): Stage[] {
  const ordinary = { role: 'classifier', training: classifier, isMain: method === 'classifier' } as const;
  const main = { role: 'isnet', training: isnet, isMain: true } as const;
  if (method === 'classifier') return [ordinary];
  if (method === 'both') return [ordinary, main];
  if (isnet.range !== 'natural') return [main];
  const training = { ...classifier, epochs: isnet.rangeEpochs };
  return [{ role: 'range-copy', training, isMain: false }, main];
}

/** What happens in a run, for whoever shows it. */
export type RunEvent =
  | {
      readonly kind: 'step';
      readonly role: Role;
      readonly epochs: number;
      readonly secondsLeft: number;
      readonly report: StepReport;
    }
  | { readonly kind: 'epoch'; readonly role: Role; readonly epochs: number; readonly report: EpochReport }
  | { readonly kind: 'part'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string };

/** What all stages of a run share. */
export interface RunContext {
  readonly config: RunConfig;
  readonly device: Device;
  readonly folder: RunFolder;
  readonly data: DataSplits;
  readonly signal?: AbortSignal;
  readonly progress?: (event: RunEvent) => void;
  /** Seconds of the run so far, including those before a resume. */
  readonly elapsed: () => number;
}

/** File of the best or the last weights of a stage. */
export function weightsPath(folder: RunFolder, { role, isMain }: Stage, which: 'best' | 'last'): string {
  return folder.weights(isMain ? which : `${role}-${which}`);
}

/** A stage's model with its best weights, which an earlier part of the run has trained. */
export async function loadStage(context: RunContext, stage: Stage): Promise<Module> {
  const { device, config, data } = context;
  const model = createModel(device, config.model, inputOf(data.train), config.seed, { isBlank: true });
  await loadWeights(weightsPath(context.folder, stage, 'best'), model);
  return model.eval();
}

/** Random weights, or those that the configuration begins with. Throws CheckpointError if they do not fit. */
export async function firstModel({
  device,
  config,
  data,
}: Pick<RunContext, 'device' | 'config' | 'data'>): Promise<Classifier> {
  const model = createModel(device, config.model, inputOf(data.train), config.seed);
  if (config.model.weights !== null) await loadPretrained(config.model.weights, model);
  return model;
}

/**
 * Trains a stage from its beginning or from a saved state. The model comes back with its best weights; null means that
 * the signal ended the run, with `last` and the state saved. Throws TrainingError when a loss is not finite.
 */
export async function trainStage(
  context: RunContext,
  stage: Stage,
  range: RelevanceRange | null,
  saved: SavedState | null,
): Promise<Module | null> {
  const { config, device, folder, data, signal, progress } = context;
  const { role, training } = stage;
  const model = await firstModel(context);
  const optimizer = createOptimizer(training, model.namedParameters());
  if (saved) restoreState(folder.state, saved, model, optimizer);
  const running = role === 'isnet' ? runningRangeOf(config.isnet, device, model) : null;
  if (saved?.runningRange) running?.restore(saved.runningRange);
  const bounds = running ?? range;
  const card = cardOf(context, role);
  const save = async (position: TrainingPosition): Promise<void> => {
    await saveModel(weightsPath(folder, stage, 'last'), model, card);
    const seconds = context.elapsed();
    const runningRange = await running?.save();
    await saveState(folder.state, model, optimizer, { role, position, range, runningRange, seconds });
  };
  const position = saved?.position ?? startPosition;
  const warn = await deadLayerWarner(context, role, position);
  const log = await RunLog.open(folder, role, { tensorboard: config.tensorboard, step: position.step });
  const outcome = await train({
    device,
    model,
    optimizer,
    train: data.train,
    validation: data.validation ?? undefined,
    options: trainingOptions(
      training,
      config.seed,
      role === 'isnet' && bounds ? { config: config.isnet, model, range: bounds } : undefined,
    ),
    position,
    signal,
    onStep: (report) => {
      log.step(report);
      progress?.({
        kind: 'step',
        role,
        epochs: training.epochs,
        secondsLeft: secondsLeft(report, training),
        report,
      });
    },
    onEpoch: async (report) => {
      if (report.isBest) await saveModel(weightsPath(folder, stage, 'best'), model, card);
      const signs = await collapseSigns(device, model, data.validation ?? data.train);
      await log.epoch(report, running ? await running.read() : role === 'isnet' ? range : null, signs);
      // The state last: it is what says that the epoch is saved.
      await save(report.position);
      progress?.({ kind: 'epoch', role, epochs: training.epochs, report });
      warn(signs);
    },
  }).finally(() => log.close());
  // After the last epoch there is nothing left to interrupt: its state is saved already.
  if (outcome.isInterrupted && !outcome.isDone) await save(outcome.position);
  optimizer.dispose();
  running?.dispose();
  if (outcome.isInterrupted) return null;
  await loadWeights(weightsPath(folder, stage, 'best'), model);
  return model.eval();
}

/** Says of each layer once that most of it is dead; of those that were so at `position` it was said before a resume. */
async function deadLayerWarner(
  { folder, progress }: RunContext,
  role: Role,
  position: TrainingPosition,
): Promise<(signs: CollapseSigns) => void> {
  const margin = role === 'isnet' ? ', or a margin round the masks (--mask-margin)' : '';
  const warningsOf = (signs: CollapseSigns) => deadLayerWarnings(signs, `try a lower rate${margin}`);
  const earlier = await loggedSigns(folder, role, position.step);
  const said = new Set(earlier.flatMap((signs) => [...warningsOf(signs).keys()]));
  return (signs) => {
    for (const [layer, text] of warningsOf(signs)) {
      if (!said.has(layer)) progress?.({ kind: 'warning', text });
      said.add(layer);
    }
  };
}

function cardOf({ config, data }: RunContext, role: Role): ModelCard {
  return {
    method: role === 'isnet' ? 'isnet' : 'classifier',
    model: config.model,
    input: inputOf(data.train),
    inputRange: [0, 1],
    data: config.data,
    seed: config.seed,
    eps: config.isnet.eps,
  };
}

function secondsLeft(
  { step, stepCount, imagesPerSecond }: StepReport,
  { batchSize }: TrainingConfig,
): number {
  return ((stepCount - step) * batchSize) / imagesPerSecond;
}
