// Where a training stands between two steps, as plain JSON.
import type { PlateauState } from '../nn/schedule.ts';
import type { EarlyStoppingState } from './early-stopping.ts';
import type { LossSums } from './loss-meter.ts';

/** With the weights and the optimiser's state it is all that a resume needs. */
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
  /** Of schedule `plateau`; null before the first epoch has ended, or without it. */
  readonly plateau: PlateauState | null;
  /** The same of early stopping. */
  readonly earlyStopping: EarlyStoppingState | null;
}

/** The run begins here. */
export const startPosition: TrainingPosition = {
  epoch: 0,
  batch: 0,
  step: 0,
  bestLoss: null,
  losses: null,
  plateau: null,
  earlyStopping: null,
};
