// From settings to the objects they stand for.

import { randomStream } from '../engine/random-bits.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { SmallCnn, type SmallCnnOptions } from '../nn/models/small-cnn.ts';
import type { Module } from '../nn/module.ts';
import { Adam, AdamW, type Optimizer, SGD } from '../nn/optim.ts';
import type { IsnetConfig, ModelConfig, TrainingConfig } from './config.ts';
import type { Dataset } from './data/dataset.ts';
import type { IsnetOptions } from './objective.ts';
import type { RelevanceRange } from './range.ts';
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

/** Settings of the heatmap loss, without the range. */
export function isnetOptions(config: IsnetConfig): IsnetOptions {
  const { variant, d, w1, w2, E, foreground, selectiveEps, eps } = config;
  return { variant, d, w1, w2, E, foreground, selectiveEps, composite: isnetComposite({ eps }) };
}

/** Options of `train`; with an ISNet's settings and range those of an ISNet. */
export function trainingOptions(
  config: TrainingConfig,
  seed: number,
  isnet?: { readonly config: IsnetConfig; readonly range: RelevanceRange },
): TrainingOptions {
  const { epochs, batchSize, learningRate, schedule, warmupSteps, clipNorm } = config;
  return {
    epochs,
    batchSize,
    learningRate,
    schedule,
    warmupSteps,
    clipNorm: clipNorm ?? undefined,
    seed,
    isnet: isnet && { ...isnetOptions(isnet.config), ...isnet.range, P: isnet.config.P },
  };
}
