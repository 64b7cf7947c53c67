// Mean losses of an epoch. Its sums are part of the training position, so that an interruption leaves no trace in a mean.

/** Mean losses; `heatmap` is null for an ordinary classifier. */
export interface LossReport {
  readonly total: number;
  readonly classification: number;
  readonly heatmap: number | null;
}

/** Losses summed over images: total, classification and, for an ISNet, heatmap. */
export interface LossSums {
  readonly sums: readonly number[];
  readonly images: number;
}

/** Running means of the losses, weighted by images; goes on from the sums it is given. */
export class LossMeter {
  readonly #sums: number[];
  #images: number;

  constructor({ sums, images }: LossSums = { sums: [], images: 0 }) {
    this.#sums = [...sums];
    this.#images = images;
  }

  add(values: ArrayLike<number>, images: number): void {
    for (let i = 0; i < values.length; i++) this.#sums[i] = (this.#sums[i] ?? 0) + values[i] * images;
    this.#images += images;
  }

  sums(): LossSums {
    return { sums: [...this.#sums], images: this.#images };
  }

  report(): LossReport {
    const [total, classification, heatmap = null] = this.#sums.map((sum) => sum / this.#images);
    return { total, classification, heatmap };
  }
}
