// The steps of a training by their place in it: which learning rate, which P, which draws, in how many parts.
import type { Device, Tensor } from '../engine/tensor.ts';
import { Dropout } from '../nn/layers.ts';
import type { Module } from '../nn/module.ts';
import type { Optimizer } from '../nn/optim.ts';
import { learningRateAt } from '../nn/schedule.ts';
import { uploadHostBatch } from './batch.ts';
import type { BatchSource, HostBatch } from './data/source.ts';
import { partsOf, sliceBatch } from './micro-batches.ts';
import type { Batch, ClassificationOptions } from './objective.ts';
import { TrainStep } from './train-step.ts';
import {
  classificationOf,
  heatmapWeightOf,
  objectiveOf,
  stepsPerEpoch,
  type TrainingOptions,
} from './training-options.ts';
import type { TrainingPosition } from './training-position.ts';
import { heatmapWeightAt } from './weight.ts';

/** A step that was taken. */
export interface TakenStep {
  /** As `TrainStep.train` gives them; to be read and released. */
  readonly losses: Tensor;
  readonly learningRate: number;
  readonly P: number;
}

// A Dropout layer has so many draws for itself per step.
const DRAWS_PER_STEP = 16;

/** Takes the steps of one training run. */
export class TrainingSteps {
  readonly stepCount: number;
  readonly classification: ClassificationOptions;
  readonly #device: Device;
  readonly #options: TrainingOptions;
  readonly #source: BatchSource;
  readonly #steps: TrainStep;
  readonly #dropouts: readonly Dropout[];
  /** Sizes of batches, or of parts, whose kernels are there. */
  readonly #prepared = new Set<number>();

  constructor(
    device: Device,
    model: Module,
    optimizer: Optimizer,
    source: BatchSource,
    options: TrainingOptions,
  ) {
    const { clipNorm, seed, recompute, epochs, batchSize } = options;
    const losses = objectiveOf(options, source);
    this.stepCount = epochs * stepsPerEpoch(source.count, batchSize);
    this.#device = device;
    this.#options = options;
    this.#source = source;
    this.classification = classificationOf(options, source);
    this.#steps = new TrainStep(device, model, optimizer, { losses, clipNorm, seed, recompute });
    this.#dropouts = [...model.namedModules()].flatMap(([, m]) => (m instanceof Dropout ? [m] : []));
  }

  /**
   * Compiles what a step on this batch needs, and what the last, smaller one of an epoch will need, kernels side by side.
   * Once per size: later calls cost nothing.
   */
  async prepare(batch: HostBatch): Promise<void> {
    const { batchSize, accumulate = 1 } = this.#options;
    const last = this.#source.count % batchSize;
    const sizes = [batch.count, last].flatMap((count) => sizesOfParts(count, batchSize / accumulate));
    const missing = new Set(sizes.filter((size) => size <= batch.count && !this.#prepared.has(size)));
    const work = [...missing].map((size) => {
      this.#prepared.add(size);
      const upload = this.#uploaded(sliceBatch(batch, 0, size));
      return accumulate > 1 ? this.#steps.preparePart(upload) : this.#steps.prepare(upload);
    });
    await Promise.all(work);
  }

  /** One step on the batch that is due at the position. */
  take(batch: HostBatch, { step, epoch, plateau }: TrainingPosition): TakenStep {
    const options = this.#options;
    const { batchSize, accumulate = 1 } = options;
    const perEpoch = this.stepCount / options.epochs;
    const weight = heatmapWeightOf(options);
    const P = weight === null ? 0 : heatmapWeightAt(weight, epoch, step / perEpoch);
    const learningRate = learningRateAt(step, {
      ...options,
      learningRate: plateau?.learningRate ?? options.learningRate,
      stepCount: this.stepCount,
      stepsPerEpoch: perEpoch,
    });
    for (const dropout of this.#dropouts) dropout.atStep(step * Math.ceil(accumulate / DRAWS_PER_STEP));
    if (accumulate === 1) {
      const losses = this.#steps.train(this.#uploaded(batch), { P, counter: step }, learningRate);
      return { losses, learningRate, P };
    }
    const parts = partsOf(batch, batchSize / accumulate, this.classification).map((part, i) => ({
      upload: this.#uploaded(part.batch),
      P,
      counter: step * accumulate + i,
      classification: part.classification,
      heatmap: part.heatmap,
    }));
    return { losses: this.#steps.trainInParts(parts, learningRate), learningRate, P };
  }

  /** The losses of a batch of a source with the model as it is. */
  evaluate(source: BatchSource, batch: HostBatch, P: number, counter: number): Tensor {
    return this.#steps.evaluate(() => uploadHostBatch(this.#device, source, batch), { P, counter });
  }

  #uploaded(batch: HostBatch): () => Batch {
    return () => uploadHostBatch(this.#device, this.#source, batch);
  }

  dispose(): void {
    this.#steps.dispose();
  }
}

/** Sizes of the parts that `count` samples make: all of `size` but the last. */
function sizesOfParts(count: number, size: number): number[] {
  return [Math.min(count, size), count % size].filter((n) => n > 0);
}
