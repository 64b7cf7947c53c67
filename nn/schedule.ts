// Learning rates over a run, with PyTorch's names and meanings.
import { UsageError } from '../engine/errors.ts';

/** `step` falls at epochs that are known beforehand; `plateau` when the loss no longer does, see `afterEpoch`. */
export type Schedule = 'constant' | 'cosine' | 'linear' | 'step' | 'plateau';

export interface ScheduleOptions {
  readonly schedule: Schedule;
  /** The first rate; of `plateau` the one that it has arrived at. */
  readonly learningRate: number;
  readonly stepCount: number;
  /** Steps over which the rate rises linearly from 0; default 0. */
  readonly warmupSteps?: number;
  /** Where `cosine` and `linear` end, and the others never go below; default 0. */
  readonly minLearningRate?: number;
  /** Of `step`: what an epoch is. */
  readonly stepsPerEpoch?: number;
  /** Of `step`: the rate falls every so many epochs (StepLR), */
  readonly stepSize?: number;
  /** or at the beginning of these, counted from 0 (MultiStepLR), */
  readonly milestones?: readonly number[];
  /** and is multiplied by this; default 0.1. */
  readonly gamma?: number;
}

/**
 * Learning rate of step `step` (0 is the first): a linear warm-up to the full rate, then
 *   constant, plateau  learningRate
 *   linear, cosine     a fall from there, which ends at minLearningRate after the last step
 *   step               learningRate gamma^n, n: falls so far, counted from the beginning of the run
 * Throws UsageError for a schedule that is unknown, or `step` without its epochs.
 */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  const { schedule, learningRate, stepCount, warmupSteps = 0, minLearningRate: floor = 0 } = options;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, stepCount - warmupSteps));
  switch (schedule) {
    case 'constant':
    case 'plateau':
      return learningRate;
    case 'linear':
      return floor + (learningRate - floor) * (1 - progress);
    case 'cosine':
      return floor + ((learningRate - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
    case 'step':
      return Math.max(floor, learningRate * (options.gamma ?? 0.1) ** fallsBefore(step, options));
    default:
      throw new UsageError(
        `schedule: '${schedule}' is unknown; use constant, linear, cosine, step or plateau`,
      );
  }
}

/** How often the rate of schedule `step` has fallen. */
function fallsBefore(step: number, { stepsPerEpoch, stepSize, milestones }: ScheduleOptions): number {
  if (!stepsPerEpoch || (stepSize === undefined) === (milestones === undefined)) {
    throw new UsageError(
      `schedule: 'step' has stepsPerEpoch ${stepsPerEpoch}, stepSize ${stepSize}, milestones ${JSON.stringify(milestones)}; give the first, and one of the others`,
    );
  }
  const epoch = Math.floor(step / stepsPerEpoch);
  if (milestones) return milestones.filter((first) => first <= epoch).length;
  return Math.floor(epoch / (stepSize as number));
}

export interface PlateauOptions {
  /** What the rate is multiplied by; default 0.1. */
  readonly factor?: number;
  /** Epochs without a lower loss that are forgiven; default 10. */
  readonly patience?: number;
  /** How much lower counts, as a share of the lowest loss so far; default 1e-4. */
  readonly threshold?: number;
  readonly minLearningRate?: number;
}

/** What schedule `plateau` remembers from epoch to epoch. */
export interface PlateauState {
  readonly learningRate: number;
  /** Lowest loss so far; null before the first. */
  readonly best: number | null;
  readonly badEpochs: number;
}

// PyTorch leaves a rate alone that would move by less.
const SMALLEST_FALL = 1e-8;

/**
 * The state after an epoch with this loss, as PyTorch's ReduceLROnPlateau (mode min, threshold_mode rel, no cool-down): a
 * loss below best (1 - threshold) is better; after more than `patience` epochs in a row without one the rate falls.
 */
export function afterEpoch(
  { learningRate, best, badEpochs }: PlateauState,
  loss: number,
  { factor = 0.1, patience = 10, threshold = 1e-4, minLearningRate = 0 }: PlateauOptions = {},
): PlateauState {
  if (best === null || loss < best * (1 - threshold)) return { learningRate, best: loss, badEpochs: 0 };
  if (badEpochs + 1 <= patience) return { learningRate, best, badEpochs: badEpochs + 1 };
  const lower = Math.max(learningRate * factor, minLearningRate);
  return { learningRate: learningRate - lower > SMALLEST_FALL ? lower : learningRate, best, badEpochs: 0 };
}
