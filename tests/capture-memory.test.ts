// Captured steps that do not fit on a device: refused when they are prepared, by name, with nothing submitted or kept.
import { afterEach, describe, expect, test } from 'vitest';
import { capture } from '../engine/capture.ts';
import { full } from '../engine/create.ts';
import { OutOfMemoryError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { add, mul, square } from '../engine/ops/arithmetic.ts';
import { expand, sum } from '../engine/ops/broadcast.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { keep } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { valuesOf } from './captured.ts';
import { hasGpu } from './gpu.ts';
import { openShortDevice, type Shortage } from './short-device.ts';

const MIB = 2 ** 20;

let gpu: GpuDevice | undefined;
afterEach(() => gpu?.close());

const hasAdapter = await hasGpu();

async function openShortOf(shortage: Shortage): Promise<GpuDevice> {
  gpu = await openShortDevice(shortage);
  return gpu;
}

/** x [n, 1] -> the sum of (x x^T)^2 + 1: a product of n^2 numbers, and a fused kernel that makes as many. */
const step = ({ x }: { x: Tensor }) => {
  const outer = matmul(x, x, { transposeB: true });
  return { total: sum(add(square(outer), 1)) };
};

describe.skipIf(!hasAdapter)('a step that does not fit', () => {
  test('into one buffer is refused as it is prepared, with nothing compiled, submitted or kept', async () => {
    const device = await openShortOf({ bindingSize: MIB });
    const captured = capture(device, step);
    const x = keep(full(device, [600, 1], 1));
    const before = device.statistics;
    const refused = await captured.prepare({ x }).catch((error) => error);
    expect(refused).toBeInstanceOf(OutOfMemoryError);
    expect(refused.message).toMatch(
      /^matmul \[600, 1\] \[600, 1\] -> \[600, 600\] of a step that needs \d+ bytes: a buffer of 360000 elements needs 1440000 bytes and this adapter binds at most 1048576; use a smaller batch$/,
    );
    const { usedBytes } = device.memory();
    await expect(captured.prepare({ x })).rejects.toThrow(refused.message);
    expect(() => captured({ x })).toThrow(refused.message);
    expect(device.memory().usedBytes).toBe(usedBytes);
    const { submitCount, pipelineCount } = device.statistics;
    expect({ submitCount, pipelineCount }).toEqual({
      submitCount: before.submitCount,
      pipelineCount: before.pipelineCount,
    });
    // The device goes on, and so does the step with less.
    const few = keep(full(device, [2, 1], 1));
    await captured.prepare({ x: few });
    expect(await valuesOf(captured({ x: few }))).toEqual({ total: [8] });
    captured.dispose();
  });

  test('names the result that is too large, not one that would share its buffer', async () => {
    const device = await openShortOf({ bindingSize: MIB });
    // The small results come first, and lie in the large buffer until it is needed.
    const captured = capture(device, ({ x }: { x: Tensor }) => {
      const small = sum(matmul(x, x, { transposeA: true }));
      const large = add(square(expand(mul(x, small), [600, 600])), 1);
      return { rows: sum(large, [1]), columns: sum(large, [0]) };
    });
    const x = keep(full(device, [600, 1], 1));
    await expect(captured.prepare({ x })).rejects.toThrow(
      /^(mul )?(expand )?square add -> \[600, 600\] of a step that needs \d+ bytes: a buffer of 360000 elements/,
    );
    captured.dispose();
  });

  test('into the memory of the driver is refused as it is prepared, with nothing submitted', async () => {
    const device = await openShortOf({ memory: 4 * MIB });
    const captured = capture(device, step);
    const x = keep(full(device, [2000, 1], 1));
    const { submitCount } = device.statistics;
    const refused = await captured.prepare({ x }).catch((error) => error);
    expect(refused).toBeInstanceOf(OutOfMemoryError);
    expect(refused.message).toMatch(
      /-> \[2000, 2000\] of a step that needs \d+ bytes: no memory for 16000000 bytes beside the \d+ in use and \d+ kept for reuse; open a new device and use a smaller batch/,
    );
    expect(device.statistics.submitCount).toBe(submitCount);
    captured.dispose();
  });
});

test.skipIf(!hasAdapter)('a step is given the room of what lies free', async () => {
  const device = await openShortOf({ memory: 3 * MIB });
  const x = keep(full(device, [500, 1], 1));
  // In other sizes than those of the step, as buffers of other steps are.
  release(expand(x, [500, 1000]));
  expect(device.memory().heldBytes).toBeGreaterThan(2e6);
  const captured = capture(device, step);
  await captured.prepare({ x });
  expect(await valuesOf(captured({ x }))).toEqual({ total: [500_000] });
  captured.dispose();
  // Disposed of, it leaves its room to the next.
  const next = capture(device, ({ x }: { x: Tensor }) => ({ y: sum(square(expand(x, [500, 600])), [1]) }));
  const large = keep(full(device, [500, 1], 2));
  await next.prepare({ x: large });
  expect((await valuesOf(next({ x: large }))).y[0]).toBe(2400);
  next.dispose();
});

test.skipIf(!hasAdapter)(
  'a step with no room for one of its inputs gives back the room of the others',
  async () => {
    const device = await openShortOf({ memory: MIB });
    const x = keep(full(device, [16, 1], 1));
    const captured = capture(device, ({ x, y }: { x: Tensor; y: Tensor }) => ({ z: add(x, sum(y)) }));
    const y = keep(full(device, [95_000], 1));
    device.flush();
    const before = device.memory();
    // A second buffer as large as y fits, the numbers on their way to it do not.
    expect(() => captured({ x, y })).toThrow(/^tensor \[95000\]: no memory for 380000 bytes on their way/);
    expect(device.memory()).toMatchObject({ usedBytes: before.usedBytes, blockCount: before.blockCount });
  },
);

test.skipIf(!hasAdapter)('a step that is disposed of while it is prepared keeps no buffers', async () => {
  const device = await openShortOf({});
  const x = keep(full(device, [300, 1], 1));
  const captured = capture(device, step);
  // The device keeps constants of the step, and its kernels.
  await captured.prepare({ x });
  captured.dispose();
  const { usedBytes } = device.memory();
  const prepared = captured.prepare({ x });
  expect(device.memory().usedBytes).toBeGreaterThan(usedBytes);
  captured.dispose();
  await prepared;
  expect(device.memory().usedBytes).toBe(usedBytes);
});

test.skipIf(!hasAdapter)(
  'a step that is prepared takes all its buffers then, and none when it runs but for its outputs',
  async () => {
    const device = await openShortOf({});
    const x = keep(full(device, [300, 1], 1));
    const captured = capture(device, step);
    await captured.prepare({ x });
    const { usedBytes } = device.memory();
    const { total } = captured({ x });
    expect(device.memory().usedBytes).toBe(usedBytes + 256);
    release(total);
    captured.dispose();
  },
);
