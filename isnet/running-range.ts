// C1 and C2 while an ISNet trains, from its own maps: cheaper than training another model for them, and the range follows
// the network. It starts as the published default and no gradient flows through it.
import { assign, readAll, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import { add, div, mean, mul, neg, sqrt, square, sub } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat, slice } from '../engine/ops/layout.ts';
import { maximum } from '../engine/ops/pointwise.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { relevanceTotals } from './maps.ts';

// Mean and deviation whose range is the published default, C1 = 1 and C2 = 25: what holds before the first step.
const INITIAL_MEAN = 5;
const INITIAL_VARIANCE = (20 / 3) ** 2;
// Maps that are all zero must not make C1 a divisor of 0.
const SMALLEST = 1e-6;

/**
 * Mean mu and variance sigma^2 of T = sum |R| over the images of the last steps, for each group of maps that has a range of
 * its own, and the range that follows from them, as from `rangeOf`:
 *   C1 = max(mu / 5, mu - 3 sigma),   C2 = min(25 C1, mu + 3 sigma)
 * A step has weight 1 / steps so far, but no less than 1 / horizon. All of it is on the device, in captured steps too.
 */
export class RunningRange {
  readonly horizon: number;
  readonly groupCount: number;
  /** [groups, 3]: mean, variance, steps so far. */
  readonly #state: Tensor;

  /** `groupCount` is the number of depths times that of rules. Throws UsageError unless horizon is from 1 up. */
  constructor(device: Device, groupCount: number, { horizon = 100 } = {}) {
    if (!(horizon >= 1)) throw new UsageError(`RunningRange: horizon is ${horizon}; use a number from 1 up`);
    this.horizon = horizon;
    this.groupCount = groupCount;
    const row = [INITIAL_MEAN, INITIAL_VARIANCE, 0];
    const values = Array.from({ length: groupCount }, () => row).flat();
    this.#state = keep(tensor(device, values, [groupCount, 3]));
  }

  /** Takes the maps of a step into account: [K, N, C, H, W] for each depth. */
  update(depths: readonly Tensor[], ruleCount: number): void {
    const { device } = this.#state;
    withoutRecording(device, () =>
      scope(device, () => {
        const totals = relevanceTotals(depths, ruleCount);
        if (totals.shape[0] !== this.groupCount) {
          throw new UsageError(
            `RunningRange: made for ${this.groupCount} groups of maps, and there are ${totals.shape[0]}; give it depths times rules`,
          );
        }
        const average = mean(totals, [1], { keepDims: true });
        const variance = mean(square(sub(totals, average)), [1], { keepDims: true });
        const [mu, own, steps] = [0, 1, 2].map((i) => slice(this.#state, [0, i], [this.groupCount, 1]));
        const rate = maximum(div(1, add(steps, 1)), 1 / this.horizon);
        const change = sub(average, mu);
        // The variance of two groups of images together, with weights 1 - rate and rate.
        const between = mul(mul(square(change), rate), sub(1, rate));
        const within = add(mul(own, sub(1, rate)), mul(variance, rate));
        assign(this.#state, concat([add(mu, mul(change, rate)), add(within, between), add(steps, 1)], 1));
      }),
    );
  }

  /** C1 and C2 of a depth without a slope: [] for one rule, one number per map [2] for two. */
  bounds(depth: number, ruleCount: number): { readonly C1: Tensor; readonly C2: Tensor } {
    const { device } = this.#state;
    const shape = ruleCount === 1 ? [] : [ruleCount];
    return withoutRecording(device, () => {
      const part = (i: number) => reshape(slice(this.#state, [depth * ruleCount, i], [ruleCount, 1]), shape);
      const mu = part(0);
      const spread = mul(sqrt(part(1)), 3);
      const C1 = maximum(maximum(div(mu, 5), sub(mu, spread)), SMALLEST);
      const C2 = maximum(neg(maximum(neg(mul(C1, 25)), neg(add(mu, spread)))), mul(C1, 1.001));
      return { C1, C2 };
    });
  }

  /** C1 and C2 of all groups as numbers. */
  async read(): Promise<{ readonly C1: number[]; readonly C2: number[] }> {
    const { C1, C2 } = scope(this.#state.device, () => this.bounds(0, this.groupCount));
    const [low, high] = await readAll([C1, C2]);
    for (const t of [C1, C2]) release(t);
    return { C1: [...low], C2: [...high] };
  }

  /** What a resume needs, row by row: mean, variance and steps of each group. */
  async save(): Promise<number[]> {
    return [...(await readAll([this.#state]))[0]];
  }

  /** Goes on from what `save` gave. Throws ShapeError if it is of other groups. */
  restore(values: readonly number[]): void {
    const { device } = this.#state;
    scope(device, () => assign(this.#state, tensor(device, values, [this.groupCount, 3])));
  }

  dispose(): void {
    release(this.#state);
  }
}
