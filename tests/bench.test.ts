// The benchmark harness can be believed: it refuses wrong results, keeps nothing, and counts right.
import { afterAll, describe, expect, test } from 'vitest';
import { opCase } from '../bench/case.ts';
import { dispatchCases } from '../bench/dispatch.ts';
import { measure, quantile } from '../bench/measure.ts';
import { tableRow } from '../bench/report.ts';
import { stepCases } from '../bench/step.ts';
import { DeviceError } from '../engine/errors.ts';
import { openDevice } from '../engine/node-device.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';

const device = await openDevice().catch((error) => {
  if (process.env.CI === 'true') throw error;
  console.warn(`bench.test: GPU tests are SKIPPED, ${error.message}`);
  return undefined;
});
afterAll(() => device?.close());

test('quantiles lie between neighbours', () => {
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3], 0.5)).toBe(2);
  expect(quantile([0, 10], 0.9)).toBe(9);
  expect(quantile([7], 0.9)).toBe(7);
});

describe.skipIf(!device)('measure', () => {
  // biome-ignore lint/style/noNonNullAssertion: skipped without a device
  const gpu = device!;

  // Measures twice, slow as measuring is: the smallest case, and the one with the most to leave behind.
  test.each([...dispatchCases, ...stepCases.slice(-1)])(
    '$name is right, and leaves no memory behind',
    async (bench) => {
      await measure(gpu, bench, { isQuick: true });
      const before = gpu.memory().usedBytes;
      const result = await measure(gpu, bench, { isQuick: true });
      expect(gpu.memory().usedBytes).toBe(before);
      expect(result.checkedError).toBeLessThanOrEqual(bench.tolerance);
      expect(result.sampleCount).toBeGreaterThanOrEqual(5);
      expect(result.minMs).toBeLessThanOrEqual(result.medianMs);
      expect(result.rate).toBeCloseTo((1000 * bench.workPerCall) / result.medianMs, 6);
      expect(tableRow(result)).toContain(bench.name);
    },
  );

  test('a result that is not the reference is refused', async () => {
    const wrong = opCase({
      family: 'test',
      name: 'wrong',
      unit: 'GB/s',
      workPerCall: 1,
      shapes: [[64], [64]],
      run: ([a, b]) => (a.device.kind === 'cpu' ? add(a, b) : add(a, mul(b, 1.001))),
    });
    await expect(measure(gpu, wrong, { isQuick: true })).rejects.toThrow(DeviceError);
    await expect(measure(gpu, wrong, { isQuick: true })).rejects.toThrow(
      /^bench: wrong is off the CPU reference/,
    );
  });

  test('an error in a timed call ends the measurement', async () => {
    let callCount = 0;
    const failing = opCase({
      family: 'test',
      name: 'failing',
      unit: 'GB/s',
      workPerCall: 1,
      shapes: [[64]],
      run: ([a]) => {
        // Longer than a quick sample, so that each has one call: two calls check, four warm up and calibrate.
        const startMs = performance.now();
        while (performance.now() - startMs < 6);
        if (++callCount > 7) throw new RangeError('call 8');
        return add(a, 1);
      },
    });
    await expect(measure(gpu, failing, { isQuick: true })).rejects.toThrow('call 8');
  });
});
