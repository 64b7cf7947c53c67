// From settings to the objects they stand for.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { metaTensor } from '../engine/meta-device.ts';
import { randomStream } from '../engine/random-bits.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { type Composite, isnetComposite } from '../lrp/composite.ts';
import type { Classifier } from '../nn/models/classifier.ts';
import { createModel as createNetwork, models } from '../nn/models/index.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { inEvaluation, type Module } from '../nn/module.ts';
import { Adam, AdamW, type Optimizer, SGD } from '../nn/optim.ts';
import type { IsnetConfig, ModelConfig, TrainingConfig } from './config.ts';
import type { BatchSource } from './data/source.ts';
import { stageNames } from './deep-supervision.ts';
import { ruleCountOf } from './maps.ts';
import type { IsnetOptions } from './objective.ts';
import type { RelevanceRange } from './range.ts';
import { RunningRange } from './running-range.ts';
import type { TrainingOptions } from './training-options.ts';

/** What a model must know of its data, besides its settings. */
export interface ModelInput {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classNames: readonly string[];
  /** Its logits are questions of their own, not rivals. */
  readonly isMultiLabel?: boolean;
}

/** The part of the data that a model depends on. */
export function inputOf({ channels, height, width, classNames, isMultiLabel }: BatchSource): ModelInput {
  return { channels, height, width, classNames, ...(isMultiLabel ? { isMultiLabel } : {}) };
}

/**
 * A fresh model; the same seed draws the same weights, for a classifier and an ISNet alike. With `isBlank` nothing is
 * drawn, for weights that are loaded next. Throws UsageError for a network that such images do not fit through.
 */
export function createModel(
  device: Device,
  config: ModelConfig,
  input: ModelInput,
  seed: number,
  { isBlank = false } = {},
): Classifier {
  const { channels, height, width, classNames } = input;
  const init = { device, random: randomStream(seed, 'init'), isBlank };
  if (config.kind === 'small-cnn') {
    const { kind: _, weights: __, ...sizes } = config;
    const imageSize = [height, width] as const;
    const options = { ...sizes, inChannels: channels, imageSize, classCount: classNames.length };
    return checked(new SmallCnn(init, options), config, input);
  }
  const { kind, dropout, negativeSlope } = config;
  if (models[kind].isSizeFixed && height !== width) {
    throw new UsageError(
      `model: ${kind} takes square images, and these are ${width}x${height}; give height and width one size`,
    );
  }
  const options = {
    classes: classNames.length,
    inChannels: channels,
    imageSize: height,
    negativeSlope,
    ...(dropout === null ? {} : { dropout }),
  };
  return checked(createNetwork(kind, init, options), config, input);
}

/** Passes a model that takes such images, by a forward pass of shapes alone. */
function checked(model: Classifier, { kind }: ModelConfig, input: ModelInput): Classifier {
  const { channels, height, width } = input;
  const { device } = model.parameters()[0];
  try {
    withoutRecording(device, () =>
      scope(device, () =>
        inEvaluation(model, () => model.forward(metaTensor([1, channels, height, width], device))),
      ),
    );
  } catch (cause) {
    if (!(cause instanceof ShapeError)) throw cause;
    model.dispose();
    throw new UsageError(
      `model: images of ${width}x${height} do not fit through ${kind} (${cause.message}); take larger images or another network`,
      { cause },
    );
  }
  return model;
}

/** A fresh optimiser over the parameters. */
export function createOptimizer(config: TrainingConfig, parameters: ReadonlyMap<string, Tensor>): Optimizer {
  const { momentum, nesterov, weightDecay } = config;
  switch (config.optimizer) {
    case 'sgd':
      return new SGD(parameters, { momentum, nesterov, weightDecay });
    case 'adam':
      return new Adam(parameters, { weightDecay });
    case 'adamw':
      return new AdamW(parameters, { weightDecay });
  }
}

/** Settings of the heatmap loss for a model, without the range. Throws UsageError for stages that are not known. */
export function isnetOptions(config: IsnetConfig, model: Module): IsnetOptions {
  const { variant, propagation, dLoss, d, w1, w2, E, foreground, selectiveEps } = config;
  const deepSupervision = supervisedModules(config, model);
  const composite = compositeOf(config);
  return {
    variant,
    propagation,
    deepSupervision,
    dLoss,
    d,
    w1,
    w2,
    E,
    foreground,
    selectiveEps,
    composite,
    classesAtOnce: config.classesAtOnce ?? undefined,
  };
}

/** A fresh estimate of C1 and C2 for a model, if the settings ask for one that runs beside the training; else null. */
export function runningRangeOf(config: IsnetConfig, device: Device, model: Module): RunningRange | null {
  if (config.range !== 'running') return null;
  const depthCount = 1 + supervisedModules(config, model).length;
  return new RunningRange(device, depthCount * ruleCountOf(config));
}

/** The rules that relevance is propagated by. */
export function compositeOf({ eps, biasGradient, statisticsGradient }: IsnetConfig): Composite {
  return isnetComposite({ eps, bias: biasGradient, statisticsGradient });
}

function supervisedModules({ deepSupervision: names }: IsnetConfig, model: Module): readonly string[] {
  if (names === 'none') return [];
  return names === 'stages' ? stageNames(model) : names;
}

/** What makes a training that of an ISNet. */
export interface IsnetStage {
  readonly config: IsnetConfig;
  readonly model: Module;
  readonly range: RelevanceRange | RunningRange;
}

/** Options of `train`; with an ISNet's settings, model and range those of an ISNet. */
export function trainingOptions(config: TrainingConfig, seed: number, isnet?: IsnetStage): TrainingOptions {
  const { epochs, batchSize, accumulate, recompute, learningRate } = config;
  const { schedule, warmupSteps, minLearningRate } = config;
  const { earlyStopping: patience, minDelta, plateauFactor, plateauPatience, plateauThreshold } = config;
  return {
    epochs,
    batchSize,
    accumulate,
    recompute,
    learningRate,
    schedule,
    warmupSteps,
    minLearningRate,
    stepSize: config.stepSize ?? undefined,
    milestones: config.milestones ?? undefined,
    gamma: config.gamma,
    plateau: { factor: plateauFactor, patience: plateauPatience, threshold: plateauThreshold },
    earlyStopping: patience === null ? undefined : { patience, minDelta },
    classWeights: config.classWeights ?? undefined,
    posWeight: config.posWeight ?? undefined,
    clipNorm: config.clipNorm ?? undefined,
    seed,
    isnet: isnet && {
      ...isnetOptions(isnet.config, isnet.model),
      ...(isnet.range instanceof RunningRange ? { runningRange: isnet.range } : isnet.range),
      P: isnet.config.P,
    },
  };
}
