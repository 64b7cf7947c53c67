// The activation of networks that were published with ReLUs: those, or leaky ones for networks that are to be explained.
import { UsageError } from '../engine/errors.ts';
import { LeakyReLU } from './activations.ts';
import { ReLU } from './layers.ts';

/** What a network can be told of its ReLUs. */
export interface RectifierOptions {
  /**
   * Slope of the ReLUs below 0, in [0, 1): 0, the default, for ReLU. With more, no unit is without relevance and no channel can die.
   * Names of weights and their initial numbers are the same.
   */
  readonly negativeSlope?: number;
}

/** A fresh ReLU, leaky where the slope is above 0. Throws UsageError for a slope outside of [0, 1). */
export function rectifier(negativeSlope = 0): ReLU | LeakyReLU {
  if (!(negativeSlope >= 0 && negativeSlope < 1)) {
    throw new UsageError(`rectifier: negativeSlope is ${negativeSlope}; use a number from 0 to below 1`);
  }
  return negativeSlope > 0 ? new LeakyReLU(negativeSlope) : new ReLU();
}
