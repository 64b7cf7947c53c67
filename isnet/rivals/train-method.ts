// Trains one method and measures what it is worth and what it costs. Order of images, augmentation, budget and the choice
// of weights (lowest validation loss, of the method's own loss) are the same for all.
import { capture } from '../../engine/capture.ts';
import { full, readAll } from '../../engine/create.ts';
import { UsageError } from '../../engine/errors.ts';
import { randomStream } from '../../engine/random-bits.ts';
import { scope } from '../../engine/scope.ts';
import { type Device, release, type Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import type { Optimizer } from '../../nn/optim.ts';
import { loadStateDict, readTensors } from '../../nn/state-dict.ts';
import type { BatchSource } from '../data/source.ts';
import { accuracy as measureAccuracy } from '../evaluate.ts';
import { medianOf } from '../evaluation/bootstrap.ts';
import { type EpochReport, train } from '../train.ts';
import { classificationOf, type TrainingOptions } from '../training-options.ts';
import { maskedSource } from './masks.ts';
import { type Method, type MethodPlan, type ParameterCounts, type Phase, parameterCounts } from './method.ts';
import type { Networks } from './networks.ts';

/** Images to train on and to choose weights by. */
export interface TrainingImages {
  readonly train: BatchSource;
  /** Without any, the weights of the last epoch are taken. */
  readonly validation: BatchSource | null;
}

/** What all methods of a comparison are trained and tested on. */
export interface MethodImages extends TrainingImages {
  /** The same images without the bias, for the oracle. */
  readonly unbiased?: TrainingImages;
  /** By name. */
  readonly tests: Readonly<Record<string, BatchSource>>;
}

/** The budget, and what else is the same for all. */
export interface TrainMethodOptions extends Omit<TrainingOptions, 'isnet' | 'objective' | 'P'> {
  readonly networks: Networks;
  readonly optimizer: (parameters: ReadonlyMap<string, Tensor>) => Optimizer;
  readonly onEpoch?: (phase: Phase, report: EpochReport) => void;
}

/** A trained method and what is known of it. */
export interface TrainedMethod {
  readonly method: Method;
  /** The networks with their best weights, in evaluation mode; to be disposed. */
  readonly plan: MethodPlan;
  /** By test set: the share of right answers; of images with several labels, of right labels among the known ones. */
  readonly accuracy: Readonly<Record<string, number>>;
  /** Seconds per image and epoch, all phases together: the median over epochs, validation included. */
  readonly secondsPerImage: number;
  /** Milliseconds from one image on the device to its logits on the host: the median of 20. */
  readonly inferenceMs: number;
  readonly parameters: ParameterCounts;
}

/** The images that the method is trained on. Throws UsageError for an oracle without unbiased ones. */
function imagesFor({ name, data }: Method, images: MethodImages): TrainingImages {
  if (data === 'unbiased' && !images.unbiased) {
    throw new UsageError(
      `trainMethod: '${name}' is trained without the bias and there are no such images; give 'unbiased', or leave it out`,
    );
  }
  const { train: biased, validation } = (data === 'unbiased' ? images.unbiased : null) ?? images;
  if (data !== 'masked') return { train: biased, validation };
  return { train: maskedSource(biased), validation: validation && maskedSource(validation) };
}

/** A test set as the method gets to see it. */
export const testSourceFor = ({ data }: Method, source: BatchSource): BatchSource =>
  data === 'masked' ? maskedSource(source) : source;

/** Trains a phase and gives it its best weights. Returns the seconds per image of its median epoch. */
async function trainPhase(
  device: Device,
  phase: Phase,
  images: TrainingImages,
  options: TrainMethodOptions,
): Promise<number> {
  const { networks: _, optimizer: makeOptimizer, onEpoch, ...budget } = options;
  const { model, objective, P } = phase;
  await phase.prepare?.(images.train);
  const optimizer = makeOptimizer(model.namedParameters());
  let best: Awaited<ReturnType<typeof readTensors>> | null = null;
  const seconds: number[] = [];
  await train({
    device,
    model,
    optimizer,
    train: images.train,
    validation: images.validation ?? undefined,
    options: { ...budget, objective, P },
    async onEpoch(report) {
      if (report.isBest) best = await readTensors(model.stateDict());
      seconds.push(report.seconds / images.train.count);
      onEpoch?.(phase, report);
    },
  });
  optimizer.dispose();
  if (best) loadStateDict(model, new Map(best));
  model.eval();
  return medianOf(seconds);
}

const TIMED_CALLS = 20;

/** Milliseconds that one image takes: the median of 20 captured forward passes, read back. */
async function timeInference(
  device: Device,
  classifier: Module,
  { channels, height, width }: BatchSource,
): Promise<number> {
  const image = scope(device, () => full(device, [1, channels, height, width], 0.5));
  const run = capture(device, ({ x }: { x: Tensor }) => ({ logits: classifier.forward(x) }));
  const times: number[] = [];
  for (let i = 0; i <= TIMED_CALLS; i++) {
    const startMs = performance.now();
    const { logits } = run({ x: image });
    await readAll([logits]);
    // The first call records and compiles.
    if (i > 0) times.push(performance.now() - startMs);
    release(logits);
  }
  run.dispose();
  release(image);
  return medianOf(times);
}

/**
 * Trains a method from fresh weights and tests it. The same seed gives all methods the same order of images, and those
 * that have the same network the same initial weights. Throws what `train` throws, and UsageError for an oracle without
 * unbiased images.
 */
export async function trainMethod(
  device: Device,
  method: Method,
  images: MethodImages,
  options: TrainMethodOptions,
): Promise<TrainedMethod> {
  const { seed, networks } = options;
  const own = imagesFor(method, images);
  const { channels, height, width, classNames } = own.train;
  const input = { channels, height, width, classNames };
  const init = { device, random: randomStream(seed, 'init') };
  const plan = method.plan({ init, input, networks, ...classificationOf(options, own.train) });
  let secondsPerImage = 0;
  for (const phase of plan.phases) secondsPerImage += await trainPhase(device, phase, own, options);
  const classifier = plan.classifier.eval();
  const accuracy: Record<string, number> = {};
  for (const [name, source] of Object.entries(images.tests)) {
    accuracy[name] = (await measureAccuracy(device, classifier, testSourceFor(method, source))) ?? Number.NaN;
  }
  const inferenceMs = await timeInference(device, classifier, own.train);
  const parameters = parameterCounts(plan, input);
  return { method, plan, accuracy, secondsPerImage, inferenceMs, parameters };
}
