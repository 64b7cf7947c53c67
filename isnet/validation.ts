// The validation loss: what the best epoch, early stopping and schedule `plateau` go by.
import { readAll } from '../engine/create.ts';
import { TrainingError } from '../engine/errors.ts';
import { release } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import type { BatchSource } from './data/source.ts';
import { LossMeter, type LossReport } from './loss-meter.ts';
import { termWeights } from './micro-batches.ts';
import { heatmapWeightOf, type TrainingOptions } from './training-options.ts';
import type { TrainingSteps } from './training-steps.ts';
import { finalHeatmapWeight } from './weight.ts';

/** Names of the losses of a step, in their order. */
export const lossNames = ['total', 'classification', 'heatmap'] as const;

/** The first loss that is not finite, the terms before their sum; null if all are. */
export function firstDiverged(values: ArrayLike<number>): { name: string; value: number } | null {
  const i = [1, 2, 0].find((term) => term < values.length && !Number.isFinite(values[term]));
  return i === undefined ? null : { name: lossNames[i], value: values[i] };
}

/**
 * Mean losses on validation images in evaluation mode, with the heatmap loss at its final weight, so that epochs can be
 * compared. Throws TrainingError if one is not finite.
 */
export async function validate(
  model: Module,
  steps: TrainingSteps,
  source: BatchSource,
  options: TrainingOptions,
  epoch: number,
): Promise<LossReport> {
  const weight = heatmapWeightOf(options);
  const P = weight === null ? 0 : finalHeatmapWeight(weight, options.epochs);
  const meter = new LossMeter();
  let counter = 0;
  model.eval();
  for await (const batch of source.epoch({ batchSize: sizeFor(source, options), shuffle: false })) {
    const losses = steps.evaluate(source, batch, P, counter++);
    const [values] = await readAll([losses]);
    release(losses);
    const diverged = firstDiverged(values);
    if (diverged) {
      throw new TrainingError(
        `train: the ${diverged.name} loss of the validation images is ${diverged.value} after epoch ${epoch + 1}; lower the learning rate or P, or clip gradients; the last saved state is intact`,
      );
    }
    meter.add(values, termWeights(batch, steps.classification));
  }
  model.train();
  const report = meter.report();
  // Where images have no mask, or labels no certainty, the mean of totals would depend on how images are shared out.
  const { isMultiLabel, classWeights } = steps.classification;
  const isUneven = !options.objective && (source.mayLackMasks || isMultiLabel || classWeights);
  return isUneven
    ? { ...report, total: (1 - P) * report.classification + P * (report.heatmap ?? 0) }
    : report;
}

/** Small images go faster many at a time; large ones may not fit, and least where a training batch does not. */
function sizeFor({ height, width }: BatchSource, { batchSize, accumulate = 1 }: TrainingOptions): number {
  return Math.max(batchSize / accumulate, Math.min(128, Math.floor(2 ** 17 / (height * width))));
}
