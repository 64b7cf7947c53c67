// Learning rates against the numbers that PyTorch's schedulers give, worked out by hand from their documented rules.
import { describe, expect, test } from 'vitest';
import { isExhausted, withLoss } from '../isnet/early-stopping.ts';
import { afterEpoch, learningRateAt, type PlateauState, type ScheduleOptions } from '../nn/schedule.ts';
import { expectClose } from './close.ts';

const base = { learningRate: 0.1, stepCount: 40, stepsPerEpoch: 4 } as const;
const at = (steps: readonly number[], options: Omit<ScheduleOptions, keyof typeof base>): number[] =>
  steps.map((step) => learningRateAt(step, { ...base, ...options }));

describe('schedule', () => {
  test('step falls every so many epochs, as StepLR', () => {
    const rates = at([0, 11, 12, 23, 24, 39], { schedule: 'step', stepSize: 3, gamma: 0.5 });
    expectClose(rates, [0.1, 0.1, 0.05, 0.05, 0.025, 0.0125], 15);
  });
  test('step falls at milestones, as MultiStepLR, and by a tenth unless told otherwise', () => {
    const rates = at([0, 7, 8, 35, 36], { schedule: 'step', milestones: [2, 9] });
    expectClose(rates, [0.1, 0.1, 0.01, 0.01, 0.001], 15);
  });
  test('step stops at the lowest rate', () => {
    const rates = at([0, 4, 8], { schedule: 'step', stepSize: 1, minLearningRate: 0.005 });
    expectClose(rates, [0.1, 0.01, 0.005], 15);
  });
  test('step warms up within its first epochs, and falls where it would have fallen', () => {
    const rates = at([0, 1, 3, 4, 8], { schedule: 'step', milestones: [2], warmupSteps: 4 });
    expectClose(rates, [0.025, 0.05, 0.1, 0.1, 0.01], 15);
  });
  test('cosine and linear end at the lowest rate', () => {
    for (const schedule of ['cosine', 'linear'] as const) {
      const rates = at([0, 20, 40], { schedule, minLearningRate: 0.02 });
      expectClose(rates, [0.1, 0.06, 0.02], 15);
    }
  });
  test('plateau takes the rate it is given, behind its warm-up', () => {
    expectClose(at([0, 1, 2, 39], { schedule: 'plateau', warmupSteps: 2 }), [0.05, 0.1, 0.1, 0.1], 15);
  });
  test('step without epochs, or with both kinds, is refused', () => {
    const both = { schedule: 'step', stepSize: 3, milestones: [2] } as const;
    expect(() => at([0], { schedule: 'step' })).toThrow(
      /'step' has .* stepSize undefined, .*; give the first/,
    );
    expect(() => at([0], both)).toThrow(/stepSize 3, milestones \[2\]; give/);
  });
});

/** Rates after each of the epochs with these losses. */
function ratesAfter(losses: readonly number[], options: Parameters<typeof afterEpoch>[2]): number[] {
  let state: PlateauState = { learningRate: 0.1, best: null, badEpochs: 0 };
  return losses.map((loss) => {
    // As JSON, because that is how a resumed run gets it.
    state = JSON.parse(JSON.stringify(afterEpoch(state, loss, options)));
    return state.learningRate;
  });
}

describe('ReduceLROnPlateau', () => {
  test('falls when more epochs than its patience were no better', () => {
    const rates = ratesAfter([1, 1, 1, 1, 1, 1], { factor: 0.5, patience: 1 });
    expectClose(rates, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025], 15);
  });
  test('counts what is lower by the threshold, as a share, from the best loss so far', () => {
    const losses = [1, 0.95, 0.93, 0.8, 0.79, 0.78, 0.77];
    const rates = ratesAfter(losses, { factor: 0.5, patience: 1, threshold: 0.1 });
    expectClose(rates, [0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025], 15);
  });
  test('has its defaults: a tenth after ten epochs, from the eleventh bad one on', () => {
    const rates = ratesAfter(new Array<number>(13).fill(1), {});
    expectClose(rates, [...new Array<number>(11).fill(0.1), 0.01, 0.01], 15);
  });
  test('does not go below its lowest rate, nor move by next to nothing', () => {
    const rates = ratesAfter([1, 1, 1, 1], { factor: 0.1, patience: 0, minLearningRate: 0.004 });
    expectClose(rates, [0.1, 0.01, 0.004, 0.004], 15);
    expect(ratesAfter([1, 1], { factor: 1 - 1e-8, patience: 0 })).toEqual([0.1, 0.1]);
  });
});

test('early stopping is exhausted after so many epochs that are no better by minDelta', () => {
  const options = { patience: 2, minDelta: 0.1 };
  let state = null as ReturnType<typeof withLoss> | null;
  const ends = [1, 0.95, 0.89, 0.8, 0.79].map((loss) => {
    state = withLoss(state, loss, options);
    return isExhausted(state, options);
  });
  expect(ends).toEqual([false, false, false, false, true]);
  expect(state).toEqual({ best: 0.89, badEpochs: 2 });
  expect(isExhausted(null, options)).toBe(false);
});
