// Learning rates over a run.
import { UsageError } from '../engine/errors.ts';

export type Schedule = 'constant' | 'cosine' | 'linear';

export interface ScheduleOptions {
  readonly schedule: Schedule;
  readonly learningRate: number;
  readonly stepCount: number;
  /** Steps over which the rate rises linearly from 0; default 0. */
  readonly warmupSteps?: number;
}

/** Learning rate of step `step` (0 is the first): a linear warm-up, then constant, or a fall that ends at 0 after the last step. */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  const { schedule, learningRate, stepCount, warmupSteps = 0 } = options;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, stepCount - warmupSteps));
  switch (schedule) {
    case 'constant':
      return learningRate;
    case 'linear':
      return learningRate * (1 - progress);
    case 'cosine':
      return (learningRate * (1 + Math.cos(Math.PI * progress))) / 2;
    default:
      throw new UsageError(`schedule: '${schedule}' is unknown; use constant, linear or cosine`);
  }
}
