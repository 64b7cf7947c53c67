// The training loop, of ordinary classifiers and ISNets alike.
import { readAll } from '../engine/create.ts';
import { TrainingError, UsageError } from '../engine/errors.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { Dropout } from '../nn/layers.ts';
import type { Module } from '../nn/module.ts';
import type { Optimizer } from '../nn/optim.ts';
import { learningRateAt, type Schedule } from '../nn/schedule.ts';
import { uploadHostBatch } from './batch.ts';
import { checkDataset, type EmptyMaskPolicy } from './data/dataset.ts';
import { type BatchSource, sourceOf, type TrainingData } from './data/source.ts';
import { LossMeter, type LossReport, type LossSums } from './loss-meter.ts';
import type { Batch, ClassificationOptions, IsnetOptions } from './objective.ts';
import { TrainStep } from './train-step.ts';
import { finalHeatmapWeight, type HeatmapWeight, heatmapWeightAt } from './weight.ts';

export interface TrainingOptions extends ClassificationOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly schedule: Schedule;
  readonly warmupSteps?: number;
  /** Largest global gradient norm; none by default. */
  readonly clipNorm?: number;
  /** Fixes the order of images and the draws of the stochastic variant. */
  readonly seed: number;
  /** The heatmap loss and its weight P; without it an ordinary classifier is trained. */
  readonly isnet?: IsnetOptions & { readonly P: HeatmapWeight };
  /** What an empty mask means to the heatmap loss; an error by default. */
  readonly emptyMasks?: EmptyMaskPolicy;
}

/** Where a run stands between two steps. With the weights and the optimiser's state it is all that a resume needs. */
export interface TrainingPosition {
  /** The epoch that the next step belongs to, from 0. */
  readonly epoch: number;
  /** Batches of that epoch already done. */
  readonly batch: number;
  /** Steps done in all. */
  readonly step: number;
  /** Lowest validation loss so far; null before the first. */
  readonly bestLoss: number | null;
  /** Losses of the batches of that epoch already done; null before the first. */
  readonly losses: LossSums | null;
}

export interface StepReport extends LossReport {
  readonly epoch: number;
  readonly step: number;
  readonly stepCount: number;
  readonly imagesPerSecond: number;
}

export interface EpochReport {
  readonly epoch: number;
  readonly train: LossReport;
  readonly validation: LossReport | null;
  /** The validation loss is the lowest so far (or there is no validation set). */
  readonly isBest: boolean;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  readonly position: TrainingPosition;
}

export interface TrainJob {
  readonly device: Device;
  readonly model: Module;
  readonly optimizer: Optimizer;
  readonly train: TrainingData;
  readonly validation?: TrainingData;
  readonly options: TrainingOptions;
  /** Where to go on; the beginning by default. */
  readonly position?: TrainingPosition;
  /** Ends the run after the step under way. */
  readonly signal?: AbortSignal;
  readonly onStep?: (report: StepReport) => void;
  /** Awaited at the end of each epoch: the place to save. */
  readonly onEpoch?: (report: EpochReport) => void | Promise<void>;
}

export interface TrainOutcome {
  readonly position: TrainingPosition;
  readonly isInterrupted: boolean;
}

/** The run begins here. */
export const startPosition: TrainingPosition = { epoch: 0, batch: 0, step: 0, bestLoss: null, losses: null };

// Losses are read in groups: each read waits for the device, and a NaN is still found within a few steps.
const STEPS_PER_READ = 8;

/** Lets the event loop see a Ctrl-C between two steps. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve);
  });

/** Steps in one epoch of `options` over `count` images; the last, smaller batch counts. */
const stepsPerEpoch = (count: number, batchSize: number): number => Math.ceil(count / batchSize);

/** One optimisation step; returns its losses as a tensor that the caller reads and releases. */
function trainStep(
  { model, train, options }: TrainJob,
  steps: TrainStep,
  upload: () => Batch,
  step: number,
  epoch: number,
  stepCount: number,
): Tensor {
  for (const [, module] of model.namedModules()) if (module instanceof Dropout) module.atStep(step);
  const { isnet, batchSize, schedule, learningRate, warmupSteps } = options;
  const progress = step / stepsPerEpoch(train.count, batchSize);
  const P = isnet ? heatmapWeightAt(isnet.P, epoch, progress) : 0;
  const rate = learningRateAt(step, { schedule, learningRate, stepCount, warmupSteps });
  return steps.train(upload, { P, counter: step }, rate);
}

function checkFinite(values: ArrayLike<number>, step: number, epoch: number): void {
  const names = ['total', 'classification', 'heatmap'];
  for (const i of [1, 2, 0]) {
    if (i < values.length && !Number.isFinite(values[i])) {
      throw new TrainingError(
        `train: the ${names[i]} loss is ${values[i]} at step ${step + 1} (epoch ${epoch + 1}); lower the learning rate or P, or clip gradients; the last saved state is intact`,
      );
    }
  }
}

/** Mean losses on a dataset in evaluation mode, with the heatmap loss at its final weight. */
async function validate(
  { device, model, options }: TrainJob,
  steps: TrainStep,
  source: BatchSource,
): Promise<LossReport> {
  const P = options.isnet ? finalHeatmapWeight(options.isnet.P, options.epochs) : 0;
  const meter = new LossMeter();
  let counter = 0;
  model.eval();
  // Small images go faster many at a time; large ones may not fit.
  const pixels = source.height * source.width;
  const batchSize = Math.max(options.batchSize, Math.min(128, Math.floor(2 ** 17 / pixels)));
  for await (const batch of source.epoch({ batchSize, shuffle: false })) {
    const losses = steps.evaluate(() => uploadHostBatch(device, source, batch), { P, counter: counter++ });
    meter.add((await readAll([losses]))[0], batch.count);
    release(losses);
  }
  model.train();
  return meter.report();
}

function checkOptions({ epochs, batchSize, learningRate, isnet }: TrainingOptions): void {
  const isCount = (n: number) => Number.isInteger(n) && n > 0;
  if (!isCount(epochs) || !isCount(batchSize) || !(learningRate > 0)) {
    throw new UsageError(
      `train: epochs ${epochs}, batch size ${batchSize}, learning rate ${learningRate}; all must be above 0, the first two whole`,
    );
  }
  if (isnet) for (let epoch = 0; epoch < epochs; epoch++) heatmapWeightAt(isnet.P, epoch, epoch);
}

/** Before the first step: a bad sample in the last batch must not cost an epoch. A classifier does not look at masks. */
function checkData({ train: images, validation, options: { isnet, emptyMasks } }: TrainJob): void {
  const rules = { emptyMasks, hasMasks: isnet !== undefined };
  // A source checks its images as it opens them.
  if (!('epoch' in images)) checkDataset('train', images, rules);
  if (validation && !('epoch' in validation)) checkDataset('train: validation', validation, rules);
}

/**
 * Trains until all epochs are done or `signal` aborts; parameters and optimiser are updated in place. The same seed
 * and position give the same steps. Throws DataError for a data set that is not sound, before the first step, and
 * TrainingError when a loss is NaN or infinite, naming the step.
 */
export async function train(job: TrainJob): Promise<TrainOutcome> {
  const { device, model, options } = job;
  checkOptions(options);
  checkData(job);
  const { isMultiLabel } = sourceOf(job.train);
  const steps = new TrainStep(device, model, job.optimizer, {
    ...options,
    isMultiLabel: options.isMultiLabel ?? isMultiLabel,
  });
  try {
    return await trainEpochs(job, steps);
  } finally {
    steps.dispose();
  }
}

async function trainEpochs(job: TrainJob, steps: TrainStep): Promise<TrainOutcome> {
  const { device, model, options, signal } = job;
  const { epochs, batchSize, seed } = options;
  const source = sourceOf(job.train);
  const stepCount = epochs * stepsPerEpoch(job.train.count, batchSize);
  let { epoch, batch, step, bestLoss, losses } = job.position ?? startPosition;
  model.train();
  for (; epoch < epochs; epoch++, batch = 0, losses = null) {
    const meter = new LossMeter(losses ?? undefined);
    const startMs = performance.now();
    let images = 0;
    let pending: { losses: Tensor; step: number; images: number }[] = [];
    const drain = async () => {
      const values = await readAll(pending.map(({ losses }) => losses));
      pending.forEach((done, i) => {
        release(done.losses);
        checkFinite(values[i], done.step, epoch);
        meter.add(values[i], done.images);
      });
      pending = [];
      const imagesPerSecond = (1000 * images) / (performance.now() - startMs);
      job.onStep?.({ ...meter.report(), epoch, step, stepCount, imagesPerSecond });
    };
    for await (const host of source.epoch({ batchSize, seed, epoch, skip: batch, isAugmented: true })) {
      const upload = () => uploadHostBatch(device, source, host);
      if (images === 0) await steps.prepare(upload);
      const losses = trainStep(job, steps, upload, step, epoch, stepCount);
      pending.push({ losses, step, images: host.count });
      images += host.count;
      step++;
      batch++;
      if (signal) await turn();
      if (pending.length >= STEPS_PER_READ || signal?.aborted) await drain();
      if (signal?.aborted) {
        return { position: { epoch, batch, step, bestLoss, losses: meter.sums() }, isInterrupted: true };
      }
    }
    if (pending.length > 0) await drain();
    const validation = job.validation ? await validate(job, steps, sourceOf(job.validation)) : null;
    const isBest = !validation || bestLoss === null || validation.total < bestLoss;
    if (validation && isBest) bestLoss = validation.total;
    const seconds = (performance.now() - startMs) / 1000;
    const position = { epoch: epoch + 1, batch: 0, step, bestLoss, losses: null };
    const report = { epoch, train: meter.report(), validation, isBest, seconds, position };
    await job.onEpoch?.({ ...report, imagesPerSecond: images / seconds });
    if (signal?.aborted) return { position, isInterrupted: true };
  }
  return { position: { epoch, batch: 0, step, bestLoss, losses: null }, isInterrupted: false };
}
