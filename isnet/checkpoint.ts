// Models and training states on disk (Node only). A weights file says how to build its model, so that it is all one needs.
import { z } from 'zod';
import { tensor } from '../engine/create.ts';
import { CheckpointError } from '../engine/errors.ts';
import { formatShape, isSameShape } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { DEFAULT_EPSILON } from '../lrp/rules.ts';
import { type Classifier, headNames } from '../nn/models/classifier.ts';
import type { Module } from '../nn/module.ts';
import type { Optimizer } from '../nn/optim.ts';
import type { SafetensorsTensor } from '../nn/safetensors.ts';
import { loadStateDict, readTensors } from '../nn/state-dict.ts';
import { readWeightsFile, writeWeightsFile } from '../nn/weights-file.ts';
import { type DataConfig, type ModelConfig, parseDataConfig, parseModelConfig } from './config.ts';
import { createModel, type ModelInput } from './from-config.ts';
import { readOnnxWeights } from './onnx/weights-file.ts';
import type { RelevanceRange } from './range.ts';
import type { TrainingPosition } from './training-position.ts';

/** What a weights file says about its model. */
export interface ModelCard {
  /** How it was trained. */
  readonly method: 'classifier' | 'isnet';
  readonly model: ModelConfig;
  readonly input: ModelInput;
  /** Values of the images it expects. */
  readonly inputRange: readonly [number, number];
  /** The data it was trained on; with the seed it gives the same test images again. */
  readonly data: DataConfig;
  readonly seed: number;
  /** Stabiliser of the epsilon rule that its heatmaps were trained, or are compared, with. */
  readonly eps: number;
}

/** The parts of a card that are no configuration. */
const cardSchema = z.object({
  method: z.enum(['classifier', 'isnet']),
  input: z.object({
    channels: z.int().positive(),
    height: z.int().positive(),
    width: z.int().positive(),
    classNames: z.array(z.string()).min(1),
    isMultiLabel: z.boolean().optional(),
  }),
  inputRange: z.tuple([z.number(), z.number()]),
  seed: z.int().nonnegative(),
  eps: z.number().positive().default(DEFAULT_EPSILON),
});

/** Writes parameters and buffers as safetensors under torchvision's names, with the card as metadata. */
export async function saveModel(path: string, model: Module, card: ModelCard): Promise<void> {
  const metadata = Object.fromEntries(
    Object.entries(card).map(([key, value]) => [key, JSON.stringify(value)]),
  );
  await writeWeightsFile(path, await readTensors(model.stateDict()), metadata);
}

/**
 * Builds the model of a weights file, or of an ONNX file that `isnet export` wrote. Throws CheckpointError, naming the path,
 * if the file is damaged or not one of ours.
 */
export async function loadModel(device: Device, path: string): Promise<{ model: Module; card: ModelCard }> {
  const where = `load '${path}'`;
  const { tensors, metadata } = await (path.endsWith('.onnx') ? readOnnxWeights : readWeightsFile)(path);
  const card = parseCard(where, metadata);
  const model = createModel(device, card.model, card.input, card.seed, { isBlank: true });
  loadStateDict(model, tensors, { where });
  return { model: model.eval(), card };
}

/** Overwrites a model with the weights of a file. Throws CheckpointError if they do not fit. */
export async function loadWeights(path: string, model: Module): Promise<void> {
  const { tensors } = await readWeightsFile(path);
  loadStateDict(model, tensors, { where: `load '${path}'` });
}

/**
 * Begins a model with the weights of a file for other classes: all but its last layer. Throws CheckpointError if they are of
 * another network.
 */
export async function loadPretrained(path: string, model: Classifier): Promise<void> {
  const { tensors } = await readWeightsFile(path);
  loadStateDict(model, tensors, { skip: headNames(model), where: `load '${path}'` });
}

function parseCard(where: string, metadata: Readonly<Record<string, string>>): ModelCard {
  if (metadata.model === undefined || metadata.input === undefined) {
    throw new CheckpointError(
      `${where}: the file does not say which model it is of; use one that isnet train wrote`,
    );
  }
  try {
    const field = (key: keyof ModelCard): unknown => metadata[key] && JSON.parse(metadata[key]);
    const [method, input, inputRange] = [field('method'), field('input'), field('inputRange')];
    return {
      ...cardSchema.parse({ method, input, inputRange, seed: field('seed'), eps: field('eps') }),
      model: parseModelConfig(field('model')),
      data: parseDataConfig(field('data')),
    };
  } catch (cause) {
    throw damaged(where, cause);
  }
}

function damaged(where: string, cause: unknown): CheckpointError {
  return new CheckpointError(
    `${where}: its metadata is damaged (${reasonOf(cause)}); use a file that isnet train wrote`,
    { cause },
  );
}

/** In one line: zod's own message is a page of JSON. */
function reasonOf(cause: unknown): string {
  if (cause instanceof z.ZodError) return `${cause.issues[0].path.join('.')}: ${cause.issues[0].message}`;
  return cause instanceof Error ? cause.message : String(cause);
}

/** Where a run of several models stands: all that a resume needs besides the configuration and the finished models. */
export interface TrainingState {
  /** The model in training, by its role in the run. */
  readonly role: string;
  readonly position: TrainingPosition;
  /** C1 and C2 once they are known. */
  readonly range: RelevanceRange | null;
  /** Of an ISNet that estimates them while it trains: what `RunningRange.save` gave. */
  readonly runningRange?: readonly number[];
  /** Time spent so far, in seconds. */
  readonly seconds: number;
}

const count = z.int().nonnegative();
const bound = z.union([z.number(), z.array(z.number())]);
const lossSums = z.object({ sums: z.array(z.number()), weights: z.array(z.number()) });
// Of version 0.1.0: all terms had the weight of their images.
const oldLossSums = z
  .object({ sums: z.array(z.number()), images: count })
  .transform(({ sums, images }) => ({ sums, weights: sums.map(() => images) }));
const watcher = { best: z.number().nullable(), badEpochs: count };
const plateauState = z.object({ ...watcher, learningRate: z.number().positive() });
const stateSchema = z.object({
  role: z.enum(['classifier', 'range-copy', 'isnet']),
  position: z.object({
    epoch: count,
    batch: count,
    step: count,
    bestLoss: z.number().nullable(),
    losses: z.union([lossSums, oldLossSums]).nullable(),
    plateau: plateauState.nullable().default(null),
    earlyStopping: z.object(watcher).nullable().default(null),
  }),
  range: z.object({ C1: bound, C2: bound }).nullable(),
  runningRange: z.array(z.number()).optional(),
  seconds: z.number(),
  optimizerSteps: count,
});

/** A saved state with its numbers. */
export interface SavedState extends TrainingState {
  readonly model: ReadonlyMap<string, SafetensorsTensor>;
  readonly optimizer: ReadonlyMap<string, SafetensorsTensor>;
  readonly optimizerSteps: number;
}

/**
 * Writes weights, optimiser state and position in one file: one rename replaces all three, so they always belong to the
 * same step, whenever the process is killed.
 */
export async function saveState(
  path: string,
  model: Module,
  optimizer: Optimizer,
  state: TrainingState,
): Promise<void> {
  const weights = await readTensors(model.stateDict());
  const slots = await readTensors(optimizer.state());
  const tensors = [
    ...weights.map(([name, t]) => [`model/${name}`, t] as const),
    ...slots.map(([name, t]) => [`optimizer/${name}`, t] as const),
  ];
  const { role, position, range, runningRange, seconds } = state;
  await writeWeightsFile(path, tensors, {
    state: JSON.stringify({
      role,
      position,
      range,
      runningRange,
      seconds,
      optimizerSteps: optimizer.stepCount,
    }),
  });
}

/** Reads what `saveState` wrote. Throws CheckpointError if the file is missing or damaged. */
export async function loadState(path: string): Promise<SavedState> {
  const { tensors, metadata } = await readWeightsFile(path);
  if (metadata.state === undefined) {
    throw new CheckpointError(
      `load '${path}': this is no training state; use the one in the run's state folder`,
    );
  }
  const under = (prefix: string) =>
    new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, t]) => [name.slice(prefix.length), t]),
    );
  try {
    const state = stateSchema.parse(JSON.parse(metadata.state));
    return { ...state, model: under('model/'), optimizer: under('optimizer/') };
  } catch (cause) {
    throw damaged(`load '${path}'`, cause);
  }
}

/** Puts a saved state into a fresh model and optimiser. Throws CheckpointError if it belongs to others. */
export function restoreState(path: string, state: SavedState, model: Module, optimizer: Optimizer): void {
  const where = `load '${path}'`;
  loadStateDict(model, state.model, { where });
  const slots = new Map<string, Tensor>();
  for (const [key, { shape, data }] of state.optimizer) {
    const owner = optimizer.parameters.get(key.slice(0, key.lastIndexOf('.')));
    if (!owner || !isSameShape(owner.shape, shape)) {
      throw new CheckpointError(
        `${where}: no parameter fits the optimiser's '${key}' ${formatShape(shape)}; resume with the configuration of that run`,
      );
    }
    slots.set(key, tensor(owner.device, data, shape));
  }
  optimizer.loadState(slots, state.optimizerSteps);
}
