// The training loop, of ordinary classifiers and ISNets alike.
import { readAll } from '../engine/create.ts';
import { OutOfMemoryError, TrainingError } from '../engine/errors.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import type { Optimizer } from '../nn/optim.ts';
import { afterEpoch } from '../nn/schedule.ts';
import { checkDataset } from './data/dataset.ts';
import { type BatchSource, sourceOf, type TrainingData } from './data/source.ts';
import { isExhausted, withLoss } from './early-stopping.ts';
import { LossMeter, type LossReport } from './loss-meter.ts';
import { type TermWeights, termWeights } from './micro-batches.ts';
import { checkOptions, heatmapWeightOf, type TrainingOptions } from './training-options.ts';
import { startPosition, type TrainingPosition } from './training-position.ts';
import { TrainingSteps } from './training-steps.ts';
import { firstDiverged, validate } from './validation.ts';

/** Mean losses of the epoch so far, a few steps after the report before. */
export interface StepReport extends LossReport {
  readonly epoch: number;
  readonly step: number;
  readonly stepCount: number;
  readonly imagesPerSecond: number;
  /** Mean losses of the steps since that report. */
  readonly recent: LossReport;
  /** Of the last step. */
  readonly learningRate: number;
  readonly P: number;
}

export interface EpochReport {
  readonly epoch: number;
  readonly train: LossReport;
  readonly validation: LossReport | null;
  /** The validation loss is the lowest so far (or there is no validation set). */
  readonly isBest: boolean;
  /** Early stopping ends the training here. */
  readonly isLast: boolean;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  /** Of the last step; null where the run was resumed behind it. */
  readonly learningRate: number | null;
  readonly P: number | null;
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
  /** No epoch is left to train, or early stopping wants none. */
  readonly isDone: boolean;
}

// Losses are read in groups: each read waits for the device, and a NaN is still found within a few steps.
const STEPS_PER_READ = 8;

/** Lets the event loop see a Ctrl-C between two steps. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve);
  });

/** Before the first step: a bad sample in the last batch must not cost an epoch. A classifier does not look at masks. */
function checkData({ train: images, validation, options }: TrainJob): void {
  const rules = { emptyMasks: options.emptyMasks, hasMasks: heatmapWeightOf(options) !== null };
  // A source checks its images as it opens them.
  if (!('epoch' in images)) checkDataset('train', images, rules);
  if (validation && !('epoch' in validation)) checkDataset('train: validation', validation, rules);
}

/**
 * Trains until all epochs are done, early stopping ends it or `signal` aborts; parameters and optimiser are updated in
 * place. The same seed and position give the same steps. Throws UsageError and DataError for options and data that are not
 * sound, before the first step; TrainingError when a loss is NaN or infinite, naming the step; OutOfMemoryError.
 */
export async function train(job: TrainJob): Promise<TrainOutcome> {
  const { device, model, optimizer, options } = job;
  checkOptions(options, job.validation !== undefined);
  checkData(job);
  const steps = new TrainingSteps(device, model, optimizer, sourceOf(job.train), options);
  try {
    return await trainEpochs(job, steps);
  } catch (cause) {
    throw cause instanceof OutOfMemoryError ? withAdvice(cause, job) : cause;
  } finally {
    steps.dispose();
  }
}

async function trainEpochs(job: TrainJob, steps: TrainingSteps): Promise<TrainOutcome> {
  const { model, options, signal } = job;
  let position = job.position ?? startPosition;
  const isDone = () => position.epoch >= options.epochs || isStoppedEarly(position, options);
  model.train();
  while (!isDone()) {
    const epoch = new Epoch(job, steps, position);
    if (!(await epoch.train())) return { position: epoch.position, isInterrupted: true, isDone: false };
    const validation = job.validation
      ? await validate(model, steps, sourceOf(job.validation), options, position.epoch)
      : null;
    const report = epoch.report(validation);
    await job.onEpoch?.(report);
    position = report.position;
    if (signal?.aborted) return { position, isInterrupted: true, isDone: isDone() };
  }
  return { position, isInterrupted: false, isDone: true };
}

const isStoppedEarly = ({ earlyStopping }: TrainingPosition, options: TrainingOptions): boolean =>
  options.earlyStopping !== undefined && isExhausted(earlyStopping, options.earlyStopping);

/** A step whose losses are still on the device. */
interface Pending {
  readonly losses: Tensor;
  readonly step: number;
  readonly weights: TermWeights;
}

/** One epoch under way. */
class Epoch {
  position: TrainingPosition;
  readonly #job: TrainJob;
  readonly #steps: TrainingSteps;
  readonly #source: BatchSource;
  readonly #meter: LossMeter;
  readonly #startMs = performance.now();
  #images = 0;
  #pending: Pending[] = [];
  #last: { readonly learningRate: number; readonly P: number } | null = null;

  constructor(job: TrainJob, steps: TrainingSteps, position: TrainingPosition) {
    this.#job = job;
    this.#steps = steps;
    this.#source = sourceOf(job.train);
    this.position = position;
    this.#meter = new LossMeter(position.losses ?? undefined);
  }

  /** Takes the steps that are left in the epoch. False if the signal cut it off; `position` is then behind its last step. */
  async train(): Promise<boolean> {
    const { options, signal } = this.#job;
    const { batchSize, seed } = options;
    const { epoch, batch: skip } = this.position;
    for await (const batch of this.#source.epoch({ batchSize, seed, epoch, skip, isAugmented: true })) {
      await this.#steps.prepare(batch);
      const { losses, ...last } = this.#steps.take(batch, this.position);
      this.#last = last;
      const weights = termWeights(batch, this.#steps.classification);
      this.#pending.push({ losses, step: this.position.step, weights });
      this.#images += batch.count;
      this.position = { ...this.position, batch: this.position.batch + 1, step: this.position.step + 1 };
      if (signal) await turn();
      if (this.#pending.length >= STEPS_PER_READ || signal?.aborted) await this.#readLosses();
      if (signal?.aborted) {
        this.position = { ...this.position, losses: this.#meter.sums() };
        return false;
      }
    }
    if (this.#pending.length > 0) await this.#readLosses();
    return true;
  }

  /** Waits for the steps since the last call. Throws TrainingError if a loss is not finite. */
  async #readLosses(): Promise<void> {
    const { epoch, step } = this.position;
    const recent = new LossMeter();
    const values = await readAll(this.#pending.map(({ losses }) => losses));
    this.#pending.forEach((done, i) => {
      release(done.losses);
      checkFinite(values[i], done.step, epoch);
      for (const meter of [this.#meter, recent]) meter.add(values[i], done.weights);
    });
    this.#pending = [];
    if (!this.#last) return;
    this.#job.onStep?.({
      ...this.#meter.report(),
      ...this.#last,
      recent: recent.report(),
      epoch,
      step,
      stepCount: this.#steps.stepCount,
      imagesPerSecond: this.#images / this.#seconds(),
    });
  }

  /** What the epoch came to, and where the run goes on. */
  report(validation: LossReport | null): EpochReport {
    const { options } = this.#job;
    const { epoch, step, bestLoss } = this.position;
    const isBest = !validation || bestLoss === null || validation.total < bestLoss;
    const position: TrainingPosition = {
      epoch: epoch + 1,
      batch: 0,
      step,
      bestLoss: validation && isBest ? validation.total : bestLoss,
      losses: null,
      ...watched(this.position, validation, options),
    };
    const seconds = this.#seconds();
    return {
      epoch,
      train: this.#meter.report(),
      validation,
      isBest,
      isLast: isStoppedEarly(position, options),
      seconds,
      imagesPerSecond: this.#images / seconds,
      learningRate: this.#last?.learningRate ?? null,
      P: this.#last?.P ?? null,
      position,
    };
  }

  #seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }
}

/** What schedule `plateau` and early stopping make of an epoch. */
function watched(
  { plateau, earlyStopping }: TrainingPosition,
  validation: LossReport | null,
  options: TrainingOptions,
): Pick<TrainingPosition, 'plateau' | 'earlyStopping'> {
  if (!validation) return { plateau, earlyStopping };
  const { learningRate, minLearningRate, schedule } = options;
  const rate = plateau ?? { learningRate, best: null, badEpochs: 0 };
  return {
    plateau:
      schedule === 'plateau'
        ? afterEpoch(rate, validation.total, { ...options.plateau, minLearningRate })
        : null,
    earlyStopping: options.earlyStopping
      ? withLoss(earlyStopping, validation.total, options.earlyStopping)
      : null,
  };
}

function checkFinite(values: ArrayLike<number>, step: number, epoch: number): void {
  const diverged = firstDiverged(values);
  if (!diverged) return;
  throw new TrainingError(
    `train: the ${diverged.name} loss is ${diverged.value} at step ${step + 1} (epoch ${epoch + 1}); lower the learning rate or P, or clip gradients; the last saved state is intact`,
  );
}

/** The same error with what to do about it in a training. */
function withAdvice(cause: OutOfMemoryError, { device, options }: TrainJob): OutOfMemoryError {
  const { batchSize, accumulate = 1, recompute = 'none', isnet } = options;
  const [what, before = ''] = cause.message.split(/; (open a new device and )?use a smaller batch/);
  const ways = [`a batch size below ${batchSize}`];
  if (batchSize > accumulate) ways.push(`accumulate above ${accumulate}, so that a step goes in more parts`);
  if (recompute !== 'all') {
    ways.push(`recompute '${recompute === 'none' ? 'cheap' : 'all'}', which keeps less and works more`);
  }
  if (isnet?.variant === 'original') {
    const { classesAtOnce } = isnet;
    if (classesAtOnce !== 1 && !isnet.runningRange) {
      const fewer = classesAtOnce === undefined ? 'of 1 or more' : `below ${classesAtOnce}`;
      ways.push(`classesAtOnce ${fewer}, so that not all maps are there at a time`);
    }
    ways.push("variant 'stochastic', one map per image in place of one per class");
  }
  const { peakBytes } = device.memory();
  return new OutOfMemoryError(
    `train: ${what} (${peakBytes} bytes at most so far); ${before}use ${ways.join(', or ')}; the last saved state is intact`,
    { cause },
  );
}
