// Ends a training that no longer gets better.

export interface EarlyStopping {
  /** Epochs in a row without a lower validation loss after which training ends. */
  readonly patience: number;
  /** How much lower counts; default 0: any. */
  readonly minDelta?: number;
}

/** What it remembers from epoch to epoch. */
export interface EarlyStoppingState {
  /** Lowest loss that counted; null before the first. */
  readonly best: number | null;
  /** Epochs since then. */
  readonly badEpochs: number;
}

/** The state after an epoch with this validation loss: one below best - minDelta counts. */
export function withLoss(
  state: EarlyStoppingState | null,
  loss: number,
  { minDelta = 0 }: EarlyStopping,
): EarlyStoppingState {
  const best = state?.best ?? null;
  if (best === null || loss < best - minDelta) return { best: loss, badEpochs: 0 };
  return { best, badEpochs: (state?.badEpochs ?? 0) + 1 };
}

/** Whether patience is at its end. */
export const isExhausted = (state: EarlyStoppingState | null, { patience }: EarlyStopping): boolean =>
  state !== null && state.badEpochs >= patience;
