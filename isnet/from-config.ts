// From settings to the objects they stand for.

import { randomStream } from '../engine/random-bits.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { type Composite, isnetComposite } from '../lrp/composite.ts';
import { SmallCnn, type SmallCnnOptions } from '../nn/models/small-cnn.ts';
import type { Module } from '../nn/module.ts';
import { Adam, AdamW, type Optimizer, SGD } from '../nn/optim.ts';
import type { IsnetConfig, ModelConfig, TrainingConfig } from './config.ts';
import type { Dataset } from './data/dataset.ts';
import { stageNames } from './deep-supervision.ts';
import { ruleCountOf } from './maps.ts';
import type { IsnetOptions } from './objective.ts';
import type { RelevanceRange } from './range.ts';
import { RunningRange } from './running-range.ts';
import type { TrainingOptions } from './train.ts';

/** What a model must know of its data, besides its settings. */
export interface ModelInput {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classNames: readonly string[];
}

/** The part of a data set that a model depends on. */
export function inputOf({ channels, height, width, classNames }: Dataset): ModelInput {
  return { channels, height, width, classNames };
}

/** A fresh model; the same seed draws the same weights, for a classifier and an ISNet alike. */
export function createModel(device: Device, config: ModelConfig, input: ModelInput, seed: number): Module {
  const { kind: _, ...sizes } = config;
  const options: SmallCnnOptions = {
    ...sizes,
    inChannels: input.channels,
    imageSize: [input.height, input.width],
    classCount: input.classNames.length,
  };
  return new SmallCnn({ device, random: randomStream(seed, 'init') }, options);
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
  const { epochs, batchSize, learningRate, schedule, warmupSteps, clipNorm } = config;
  return {
    epochs,
    batchSize,
    learningRate,
    schedule,
    warmupSteps,
    clipNorm: clipNorm ?? undefined,
    seed,
    isnet: isnet && {
      ...isnetOptions(isnet.config, isnet.model),
      ...(isnet.range instanceof RunningRange ? { runningRange: isnet.range } : isnet.range),
      P: isnet.config.P,
    },
  };
}
