// Mean losses of an epoch. Its sums are part of the training position, so that an interruption leaves no trace in a mean.
import type { TermWeights } from './micro-batches.ts';

/** Mean losses; `heatmap` is null for an ordinary classifier. */
export interface LossReport {
  readonly total: number;
  readonly classification: number;
  readonly heatmap: number | null;
}

/** Losses summed by weight, and the weights: total, classification and, for an ISNet, heatmap. */
export interface LossSums {
  readonly sums: readonly number[];
  readonly weights: readonly number[];
}

/**
 * Running means of the losses: each weighted by what it is a mean of, so that 3 masked images among 64 do not count as 64.
 * The total is weighted by images. Goes on from the sums it is given.
 */
export class LossMeter {
  readonly #sums: number[];
  readonly #weights: number[];

  constructor({ sums, weights }: LossSums = { sums: [], weights: [] }) {
    this.#sums = [...sums];
    this.#weights = [...weights];
  }

  /** Adds the losses of a batch: [total, classification] or [total, classification, heatmap]. */
  add(values: ArrayLike<number>, { images, classification, heatmap }: TermWeights): void {
    const weights = [images, classification, heatmap];
    for (let i = 0; i < values.length; i++) {
      this.#sums[i] = (this.#sums[i] ?? 0) + values[i] * weights[i];
      this.#weights[i] = (this.#weights[i] ?? 0) + weights[i];
    }
  }

  sums(): LossSums {
    return { sums: [...this.#sums], weights: [...this.#weights] };
  }

  /** The means; 0 for a term that no image had something to say about. */
  report(): LossReport {
    const means = this.#sums.map((sum, i) => (this.#weights[i] > 0 ? sum / this.#weights[i] : 0));
    const [total, classification, heatmap = null] = means;
    return { total, classification, heatmap };
  }
}
