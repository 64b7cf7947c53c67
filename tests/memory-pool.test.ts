// The pool of buffers: what it counts, what it keeps for reuse, and when it gives that up.
import { afterEach, describe, expect, test } from 'vitest';
import { type BufferBlock, BufferPool } from '../engine/buffer-pool.ts';
import { constant, full, read } from '../engine/create.ts';
import { OutOfMemoryError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { apply, defineOp } from '../engine/op.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { expand } from '../engine/ops/broadcast.ts';
import { exp } from '../engine/ops/pointwise.ts';
import { keep, scope } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { withGpu } from './gpu.ts';
import { openShortDevice } from './short-device.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const MIB = 2 ** 20;
const where = () => 'test';
const ignored = { onFailure: () => {}, flush: () => {} };

/** A tensor [count] whose numbers nobody made: takes a buffer, and no time. */
const nothing = (device: GpuDevice, count: number): Tensor =>
  apply(
    defineOp<Record<string, never>>({
      name: 'nothing',
      shape: () => [count],
      reference: () => {},
      kernel: () => ({ steps: [] }),
      vjp: [null],
      examples: [],
    }),
    [constant(device, 0)],
    {},
  );

describe('a pool', () => {
  test('counts no buffer that it could not make', () => {
    const pool = new BufferPool(gpu.raw, ignored);
    const before = pool.report();
    for (const count of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 50]) {
      expect(() => pool.acquire(where, count)).toThrow(OutOfMemoryError);
    }
    const { limits } = gpu.raw;
    let openScopes = 0;
    const refusing = {
      limits,
      createBuffer: () => {
        throw new Error('no buffer');
      },
      pushErrorScope: () => void openScopes++,
      popErrorScope: async () => void openScopes--,
    } as unknown as GPUDevice;
    const other = new BufferPool(refusing, ignored);
    for (const count of [1, MIB]) expect(() => other.acquire(where, count)).toThrow('no buffer');
    expect([pool.report(), other.report()]).toEqual([before, before]);
    expect(openScopes).toBe(0);
  });

  test('keeps what varies in size within a bound, however long it goes on', () => {
    const pool = new BufferPool(gpu.raw, { ...ignored, freeFloorBytes: MIB });
    const bytes = (i: number) => MIB / 4 + 256 * i;
    for (let i = 0; i < 100; i++) pool.release(pool.acquire(where, bytes(i) / 4));
    const { heldBytes, usedBytes, peakBytes } = pool.report();
    expect([usedBytes, peakBytes]).toEqual([0, bytes(99)]);
    // Without a bound 26 MiB. The last buffer is made when as much lies free as may.
    expect(heldBytes).toBeLessThanOrEqual(MIB + 3 * peakBytes);
    pool.trim();
    expect(pool.report().heldBytes).toBe(0);
  });

  test('makes no buffer anew for a program that goes round the same sizes', () => {
    const pool = new BufferPool(gpu.raw, { ...ignored, freeFloorBytes: 0 });
    const sizes = [40, 30, 20].map((kib) => 256 * kib);
    // Each size alone, as layer after layer without a history: in the end 2.25 times the peak lies free.
    const round = () =>
      sizes.map((size) => {
        const block = pool.acquire(where, size);
        pool.release(block);
        return block;
      });
    const first = round();
    for (let i = 0; i < 3; i++) expect(round().every((block, n) => block === first[n])).toBe(true);
    pool.trim();
  });

  test('destroys no buffer that commands not yet submitted use', async () => {
    // Of a size of its own, so that no other tensor takes the buffer.
    const x = full(gpu, [1000], 0);
    gpu.flush();
    const before = gpu.memory();
    // The exponentials are free, and used by what is only encoded.
    const y = scope(gpu, () => keep(add(exp(x), 1)));
    const step = 24 * MIB;
    let heldBytes = 0;
    for (let i = 0; i < 24; i++) {
      release(nothing(gpu, (step + 256 * i) / 4));
      heldBytes = Math.max(heldBytes, gpu.memory().heldBytes);
    }
    // All of them would be 576 MiB.
    expect(heldBytes).toBeGreaterThan(256 * MIB);
    expect(heldBytes).toBeLessThan(before.heldBytes + 400 * MIB);
    for (const t of [y, add(exp(x), 1)]) expect(new Set(await read(t))).toEqual(new Set([2]));
    gpu.trim();
  });
});

describe('a device that is short of memory', () => {
  let short: GpuDevice | undefined;
  afterEach(() => short?.close());

  test('gives up what lies free before it refuses an upload', async () => {
    short = await openShortDevice({ memory: 4 * MIB });
    release(nothing(short, (2 * MIB) / 4));
    const count = (1.2 * MIB) / 4;
    // The tensor fits beside the free buffer, the numbers on their way to it do not.
    const x = full(short, [Math.floor(count)], 3);
    expect(short.memory().heldBytes).toBeLessThan(2 * MIB);
    expect((await read(x))[7]).toBe(3);
    // Of more than there is, nothing stays.
    const { usedBytes } = short.memory();
    expect(() => full(short as GpuDevice, [460_000], 3)).toThrow(/^tensor \[\d+\]: no memory for \d+ bytes/);
    expect(short.memory().usedBytes).toBe(usedBytes);
  });

  test('tells what is in use from what is kept for reuse, and that it is over', async () => {
    short = await openShortDevice({ memory: 4 * MIB });
    release(nothing(short, (1.5 * MIB) / 4));
    const held = expand(constant(short, 1), [MIB / 4]);
    const { usedBytes, heldBytes } = short.memory();
    const huge = expand(constant(short, 1), [MIB / 2]);
    const refused = await read(huge).catch((error) => error);
    expect(refused).toBeInstanceOf(OutOfMemoryError);
    expect(refused.message).toBe(
      `expand [] -> [${MIB / 2}]: no memory for ${2 * MIB} bytes beside the ${usedBytes} in use and ${heldBytes - usedBytes} kept for reuse; open a new device and use a smaller batch, or close other programs`,
    );
    expect((held.storage as BufferBlock).bytes).toBe(MIB);
    expect(() => add(held, 1)).toThrow(refused);
  });
});
