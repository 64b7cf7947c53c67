// Which way a convolution is remembered to go: how ways are timed in turns, and what counts as clearly faster.
import { describe, expect, test } from 'vitest';
import type { ConvVariant } from '../engine/dispatch.ts';
import { openDevice } from '../engine/node-device.ts';
import { relu } from '../engine/ops/pointwise.ts';
import { takeTurns } from '../isnet/take-turns.ts';
import { clearlyBest, type TunedWay, waysByClass } from '../isnet/tune-ways.ts';
import { type TuningCase, timesOf } from '../isnet/tuning-cases.ts';
import { hasGpu } from './gpu.ts';

const hasAdapter = await hasGpu();

describe('the way of a convolution', () => {
  const best = (times: Partial<Record<ConvVariant, number[]>>, byRule: ConvVariant) =>
    clearlyBest(new Map(Object.entries(times) as [ConvVariant, number[]][]), byRule);

  test('is the fastest that is measured, if it beats the rule clearly', () => {
    const windows = [6, 6.5, 7, 9, 30];
    expect(best({ product: [9, 10, 10, 11, 12], direct: [8, 8, 8, 8, 8], windows }, 'product')).toBe(
      'windows',
    );
    // A kernel that is far behind has one time.
    expect(best({ product: [40], windows }, 'product')).toBe('windows');
    expect(best({ product: [40], windows }, 'windows')).toBe('windows');
  });

  test.skipIf(!hasAdapter)('by rule gets all its turns, even if its first was disturbed', async () => {
    const devices = [await openDevice(), await openDevice()];
    const small: TuningCase = { name: 'small', shapes: [[2]], run: ([x]) => relu(x) };
    // While it is compiled, and at every look.
    let disturbances = 4;
    const disturbed: TuningCase = {
      ...small,
      run(inputs) {
        if (inputs[0].device === devices[1] && disturbances-- > 0) {
          const endMs = performance.now() + 200;
          while (performance.now() < endMs);
        }
        return small.run(inputs);
      },
    };
    const [, times] = await timesOf(disturbed, devices, devices[1]);
    expect(times).toHaveLength(5);
    for (const device of devices) await device.close();
  });

  test.each([
    ['is timed although its first look was disturbed', [9, 80, 6, 5, 5, 5, 5], [5, 5, 5]],
    ['that is hopeless at every look has that one time', [9, 80, 60, 70, 5], [60]],
    ['that is slow is looked at once', [9, 600, 6, 5], [600]],
  ])('%s', async (_, milliseconds, expected) => {
    const work = { device: undefined as never, call: () => undefined };
    const [own, other] = [{ ...work }, { ...work }];
    const left = [...milliseconds];
    const times = await takeTurns([other, own], {
      rounds: 3,
      turnMs: 1,
      isWorthwhile: (ms, leastMs) => ms <= 4 * leastMs,
      timeWork: async (work) => (work === own ? (left.shift() ?? Number.NaN) : 7),
    });
    expect(times[1]).toEqual(expected);
  });

  test('is the one by rule where the difference is small, or may be noise', () => {
    expect(best({ product: [10, 10, 10, 10, 10], windows: [9.1, 9.2, 9.3, 9.4, 9.5] }, 'product')).toBe(
      'product',
    );
    // Faster by the medians, but the rule's best turn is as fast.
    expect(best({ product: [6, 10, 10, 11, 12], windows: [5, 6, 7, 7, 8] }, 'product')).toBe('product');
  });

  test('is remembered of a class only if all that was measured of it agrees', () => {
    const way = (name: string, byRule: ConvVariant, best: ConvVariant): TunedWay => ({
      ...{ name, byRule, best },
      example: '',
      ms: {},
    });
    const ways = waysByClass([
      way('other than by rule', 'product', 'windows'),
      // The rule knows sizes better than to a factor of two: here it needs no help.
      way('by rule', 'product', 'product'),
      // 8 and 16 filters: the rule sends them two ways, and one is right for both.
      way('one for both', 'windows', 'windows'),
      way('one for both', 'product', 'windows'),
      way('of two minds', 'product', 'direct'),
      way('of two minds', 'windows', 'windows'),
    ]);
    expect(ways).toEqual({ 'other than by rule': 'windows', 'one for both': 'windows' });
  });
});
