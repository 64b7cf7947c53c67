// P, the weight of the heatmap loss, over a run.
import { UsageError } from '../engine/errors.ts';

/**
 * A number in [0, 1]; or a ramp that rises linearly from 0 to `to` over the first `epochs` epochs; or values by first
 * epoch, `{ 0: 0.3, 5: 0.7 }` meaning 0.3 for five epochs and 0.7 from then on.
 */
export type HeatmapWeight =
  | number
  | { readonly to: number; readonly epochs: number }
  | Readonly<Record<number, number>>;

const isRamp = (weight: HeatmapWeight): weight is { to: number; epochs: number } =>
  typeof weight === 'object' && 'to' in weight;

function checked(P: number): number {
  if (!(P >= 0 && P <= 1)) throw new UsageError(`P: the heatmap loss has weight ${P}; use 0 to 1`);
  return P;
}

/** P at the end of a run of `epochs` epochs: what validation losses are weighed by, so that epochs can be compared. */
export const finalHeatmapWeight = (weight: HeatmapWeight, epochs: number): number =>
  heatmapWeightAt(weight, epochs - 1, epochs);

/** P at a point of the run: `epoch` counts from 0, `progress` is the same with fractions. */
export function heatmapWeightAt(weight: HeatmapWeight, epoch: number, progress: number): number {
  if (typeof weight === 'number') return checked(weight);
  if (isRamp(weight)) return checked(weight.to) * Math.min(1, progress / Math.max(weight.epochs, 1e-9));
  const values = weight as Readonly<Record<number, number>>;
  const starts = Object.keys(values)
    .map(Number)
    .sort((a, b) => a - b);
  if (starts[0] !== 0)
    throw new UsageError(`P: the schedule ${JSON.stringify(weight)} has no value for epoch 0; add it`);
  const start = starts.filter((first) => first <= epoch).at(-1) ?? 0;
  return checked(values[start]);
}
