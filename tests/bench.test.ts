// The benchmark harness can be believed: it refuses wrong results, keeps nothing, and counts right.
import { afterAll, describe, expect, test } from 'vitest';
import { allCases, casesFor, pathOf, selectCases } from '../bench/all-cases.ts';
import { opCase } from '../bench/case.ts';
import { ceilingShare } from '../bench/ceiling.ts';
import { deviceMs } from '../bench/device-time.ts';
import { dispatchCases } from '../bench/dispatch.ts';
import { measure, summaryOf } from '../bench/measure.ts';
import { tableRow } from '../bench/report.ts';
import { chain } from '../bench/shapes.ts';
import { startupCases } from '../bench/startup.ts';
import { stepCases } from '../bench/step.ts';
import { tensor } from '../engine/create.ts';
import { DeviceError, UsageError } from '../engine/errors.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { waitPolitely } from '../engine/patience.ts';
import { scope } from '../engine/scope.ts';
import { release } from '../engine/tensor.ts';
import { openGpu } from './gpu.ts';

const device = await openGpu();
afterAll(() => device?.close());

test('a summary is of the median call, and its share that of the ceiling in its unit', () => {
  const bench = { family: 'f', name: 'n', size: '', unit: 'GB/s', workPerCall: 2 };
  const ceilings = { 'GB/s': { rate: 4000, what: '' }, 'GFLOP/s': { rate: 1, what: '' } };
  const summary = summaryOf(bench, [3, 1, 2], ceilings);
  expect(summary).toMatchObject({ rate: 1000, medianMs: 2, minMs: 1, ceilingShare: 0.25, isNoisy: false });
  expect(summary.p10Ms).toBeCloseTo(1.2, 12);
  expect(summary.p90Ms).toBeCloseTo(2.8, 12);
  expect(ceilingShare(5, 'images/s', ceilings)).toBeNull();
  expect(ceilingShare(5, 'GB/s', undefined)).toBeNull();
});

test('no two cases share a name', () => {
  const names = [...allCases, ...startupCases].map(pathOf);
  expect(new Set(names).size).toBe(names.length);
});

test('cases are found by a part of their path; an unknown part is refused with the known ones', () => {
  const { cases, startups } = selectCases('step/cnn');
  expect(cases.map(({ name }) => name)).toEqual(['cnn-step', 'cnn-penalty-step']);
  expect(startups).toEqual([]);
  expect(selectCases('cold').startups).toHaveLength(2);
  expect(() => selectCases('warp drive')).toThrow(UsageError);
  expect(() => selectCases('warp drive')).toThrow(/^bench: no case has 'warp drive'.*matmul\/matmul-128/);
});

test('large products are for GPUs; software adapters get all other cases', () => {
  expect(casesFor('gpu', allCases)).toEqual(allCases);
  const onSoftware = casesFor('software', allCases);
  const left = allCases.filter((bench) => !onSoftware.includes(bench)).map(({ name }) => name);
  expect(left).toEqual(['matmul-2048', 'matmul-4096']);
});

test('every kind of ISNet has a case of its step', () => {
  const kinds = ['', '-selective', '-original', '-dual', '-flex', '-gradient-input', '-deep-supervision'];
  const names = stepCases.map(({ name }) => name).filter((name) => name.startsWith('isnet'));
  expect(names).toEqual(kinds.map((kind) => `isnet${kind}-step`));
});

describe.skipIf(!device)('device time', () => {
  // biome-ignore lint/style/noNonNullAssertion: skipped without a device
  const gpu = device!;
  const idle = async () => {
    gpu.flush();
    await waitPolitely(gpu.raw.queue.onSubmittedWorkDone());
  };

  test.skipIf(!device?.raw.features.has('timestamp-query'))(
    'is most of the wall clock of a long chain, and not more',
    async () => {
      const x = tensor(gpu, new Float32Array(2 ** 18).fill(1), [2 ** 18]);
      const work = async () => {
        scope(gpu, () => {
          let total = x;
          for (let i = 0; i < 40; i++) total = add(total, x);
        });
        await idle();
      };
      await work();
      const startMs = performance.now();
      const ms = await deviceMs(gpu, work);
      const wallMs = performance.now() - startMs;
      release(x);
      expect(ms).toBeGreaterThan(0.05 * wallMs);
      // Timestamps are rounded to 2^16 ns at either end of the two passes.
      expect(ms).toBeLessThan(wallMs + 0.3);
    },
  );

  test('is null when nothing is computed', async () => {
    expect(await deviceMs(gpu, idle)).toBeNull();
  });

  test('fails with the work, and works again', async () => {
    await expect(deviceMs(gpu, () => Promise.reject(new RangeError('stop')))).rejects.toThrow('stop');
    expect(await deviceMs(gpu, idle)).toBeNull();
  });
});

describe.skipIf(!device)('measure', () => {
  // biome-ignore lint/style/noNonNullAssertion: skipped without a device
  const gpu = device!;

  // Measures twice, slow as measuring is: the smallest cases, and the one with the most to leave behind.
  test.each([
    ...dispatchCases.filter(({ name }) => name === 'chain-of-200x256' || name.startsWith('captured')),
    ...stepCases.filter(({ name }) => name === 'isnet-step'),
  ])('$name is right, and leaves no memory behind', async (bench) => {
    await measure(gpu, bench, { isQuick: true });
    const before = gpu.memory().usedBytes;
    const result = await measure(gpu, bench, { isQuick: true });
    expect(gpu.memory().usedBytes).toBe(before);
    expect(result.checkedError).toBeLessThanOrEqual(bench.tolerance);
    expect(result.sampleCount).toBeGreaterThanOrEqual(2);
    expect(result.minMs).toBeLessThanOrEqual(result.medianMs);
    expect(result.rate).toBeCloseTo((1000 * bench.workPerCall) / result.medianMs, 6);
    expect(tableRow(result)).toContain(bench.name);
  });

  test('a replay of the captured chain launches each of its ops', () => {
    const [bench] = dispatchCases.filter(({ name }) => name.startsWith('captured'));
    const { call, close } = bench.prepare(gpu, false);
    const launches = () => {
      const before = gpu.statistics.dispatchCount;
      scope(gpu, () => void call());
      return gpu.statistics.dispatchCount - before;
    };
    expect([launches(), launches()]).toEqual([chain.length, chain.length]);
    close();
  });

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
