// The WebGPU device when things go wrong, and what it keeps: buffers, plans, bind groups.
import { describe, expect, test } from 'vitest';
import type { BufferBlock } from '../engine/buffer-pool.ts';
import { capture } from '../engine/capture.ts';
import { CommandQueue } from '../engine/command-queue.ts';
import { assign, constant, detach, full, read, tensor } from '../engine/create.ts';
import { DeviceError, OutOfMemoryError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { apply, defineOp } from '../engine/op.ts';
import { add, mul, sqrt } from '../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../engine/ops/broadcast.ts';
import { unaryOp } from '../engine/ops/elementwise.ts';
import { slice } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { exp } from '../engine/ops/pointwise.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { ProgramCache } from '../engine/program.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { withGpu } from './gpu.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

describe('what is held', () => {
  test('a failed op gives back the buffers it had', () => {
    const tooMuch = gpu.raw.limits.maxStorageBufferBindingSize / 4 + 64;
    const failing = defineOp<Record<string, never>>({
      name: 'failing',
      shape: ([x]) => x,
      reference: () => {},
      kernel: () => ({ steps: [], temps: [16, tooMuch] }),
      vjp: [null],
      examples: [],
    });
    const x = tensor(gpu, [1, 2], [2]);
    const before = gpu.memory();
    expect(() => apply(failing, [x], {})).toThrow(DeviceError);
    expect(gpu.memory().usedBytes).toBe(before.usedBytes);
    expect(gpu.memory().blockCount).toBe(before.blockCount);
  });

  test('a step that runs again gets the same buffers, in whatever order they came back', () => {
    const blocksOf = () =>
      scope(gpu, () => {
        const made = [1, 2, 3, 4].map((n) => full(gpu, [300], n));
        const blocks = made.map((t) => t.storage);
        // Not in the order of making, as backward does it.
        for (const i of [2, 0, 3, 1]) release(made[i]);
        return blocks;
      });
    const first = blocksOf();
    expect(blocksOf()).toEqual(first);
    expect(blocksOf().every((block, i) => block === first[i])).toBe(true);
  });

  test('tensors are counted until they are released, whoever shares their numbers', () => {
    const before = gpu.memory();
    const x = full(gpu, [4], 1);
    const y = reshape(x, [2, 2]);
    expect(gpu.memory().tensorCount).toBe(before.tensorCount + 2);
    release(x);
    release(x);
    expect(gpu.memory().tensorCount).toBe(before.tensorCount + 1);
    expect(gpu.memory().blockCount).toBe(before.blockCount + 1);
    release(y);
    expect(gpu.memory()).toMatchObject({ tensorCount: before.tensorCount, blockCount: before.blockCount });
  });

  test('pipelines are forgotten before they fill the memory', () => {
    const made: object[] = [];
    const layout = {};
    const fake = {
      limits: { maxComputeWorkgroupsPerDimension: 65_535 },
      createShaderModule: () => ({}),
      createComputePipeline: () => made[made.push({ getBindGroupLayout: () => layout }) - 1],
      createBuffer: () => ({ getMappedRange: () => new ArrayBuffer(256), unmap: () => {} }),
    };
    const programs = new ProgramCache(fake as unknown as GPUDevice, gpu.texts, gpu.profile);
    const prepare = (i: number) =>
      programs.prepare('test', {
        steps: [{ shader: 'gather', prelude: `// ${i}`, params, operands: [], workgroups: [1, 1, 1] }],
      });
    const params = new Proxy({}, { has: () => true, get: () => 0 });
    const first = prepare(0).steps[0];
    expect(prepare(0).steps[0]).toEqual(first);
    for (let i = 1; i <= 1024; i++) prepare(i);
    expect(made).toHaveLength(1025);
    expect(programs.pipelineCount).toBe(1);
    // Made again, while who had the first one still has it.
    prepare(0);
    expect(made).toHaveLength(1026);
    expect(first).toMatchObject({ pipeline: made[0] });
  });

  test('plans are forgotten before they fill the memory, and made again', async () => {
    const x = tensor(
      gpu,
      Float32Array.from({ length: 5000 }, (_, i) => i),
      [5000],
    );
    withoutRecording(gpu, () => {
      for (let i = 0; i < 4200; i++) release(slice(x, [i], [1]));
    });
    expect(gpu.statistics.planCount).toBeLessThan(4200);
    expect([...(await read(slice(x, [7], [3])))]).toEqual([7, 8, 9]);
  });

  test('uploads alone are submitted too, or their staging buffers would pile up', () => {
    const before = gpu.statistics.submitCount;
    for (let i = 0; i < 100; i++) release(tensor(gpu, [i], [1]));
    expect(gpu.statistics.submitCount).toBeGreaterThan(before);
  });
});

test('two ops of one name are two ops', async () => {
  const scaled = (factor: number) =>
    unaryOp({
      name: 'scaled',
      reference: (x) => factor * x,
      wgsl: `return x * ${factor}.0;`,
      vjp: (g) => mul(g, factor),
    });
  const x = tensor(gpu, [1, 2], [2]);
  expect([...(await read(apply(scaled(2), [x], {})))]).toEqual([2, 4]);
  expect([...(await read(apply(scaled(3), [x], {})))]).toEqual([3, 6]);
});

test('a tensor assigned to a view of itself stays as it is', async () => {
  const x = tensor(gpu, [1, 2, 3, 4], [4]);
  assign(x, detach(x));
  assign(reshape(x, [2, 2]), reshape(x, [2, 2]));
  expect([...(await read(x))]).toEqual([1, 2, 3, 4]);
});

test('a sum over nothing is zero', async () => {
  expect([...(await read(sum(full(gpu, [2, 0, 3], 1), [1])))]).toEqual([0, 0, 0, 0, 0, 0]);
});

describe('a device of its own', () => {
  test.each([
    ['a profile', (x: Tensor) => void exp(x)],
    ['a profile that reads', async (x: Tensor) => void (await read(exp(x)))],
  ])(
    'that is lost rejects all that is under way, %s too, and all later work, with one error',
    async (_, profiled) => {
      const lost = await openDevice();
      const x = full(lost, [64, 64], 1);
      const step = capture(lost, ({ x }: { x: Tensor }) => ({ y: softmax(matmul(sqrt(x), x)) }));
      const works = {
        read: read(matmul(x, x)),
        'read of what is there': read(x),
        profile: lost.profileDispatches(() => profiled(x)),
        prepare: step.prepare({ x }),
      };
      lost.raw.destroy();
      const later = await Promise.allSettled([read(x), step.prepare({ x }), ...Object.values(works)]);
      const errors = later.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : 'a result'));
      expect(errors[0]).toBeInstanceOf(DeviceError);
      expect(errors[0].message).toMatch(/^webgpu: the device was lost \(.*\); open a new device/);
      expect(errors.map((error) => error === errors[0])).toEqual(errors.map(() => true));
      expect(() => add(x, x)).toThrow(errors[0]);
      expect(() => step({ x })).toThrow(errors[0]);
      await expect(lost.profileDispatches(() => {})).rejects.toBe(errors[0]);
      await lost.close();
      const next = await openDevice();
      expect([...(await read(mul(full(next, [2], 3), 2)))]).toEqual([6, 6]);
      await next.close();
    },
  );

  test('that is closed finishes its reads and refuses the rest', async () => {
    const closing = await openDevice();
    const x = full(closing, [2], 3);
    const pending = read(mul(x, x));
    await closing.close();
    expect([...(await pending)]).toEqual([9, 9]);
    expect(() => add(x, x)).toThrow(/^add: the device is closed; open a new one$/);
  });

  test('that breaks a rule of WebGPU says which at the next read', async () => {
    const broken = await openDevice();
    const x = tensor(broken, [1], [1]);
    // Larger than any buffer may be: a validation error, which WebGPU reports later and to nobody in particular.
    broken.raw.createBuffer({ size: broken.raw.limits.maxBufferSize + 4, usage: 128 });
    await expect(read(x)).rejects.toThrow(/^webgpu: [\s\S]*; this is a bug in a kernel or its plan$/);
    await broken.close();
  });

  test('without memory for a tensor says which', async () => {
    const small = await openDevice();
    const { maxStorageBufferBindingSize, maxBufferSize } = small.raw.limits;
    const count = Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4;
    const huge = expand(constant(small, 1), [2, count / 2]);
    const outcome = await read(slice(huge, [1, 0], [1, 1])).catch((error: Error) => error.message);
    // SwiftShader refuses its largest buffer; others have room for it.
    if (typeof outcome !== 'string') expect([...outcome]).toEqual([1]);
    else
      expect(outcome).toMatch(
        /^expand \[\] -> \[2, \d+\]: no memory for \d+ bytes beside the \d+ in use and \d+ kept for reuse; open a new device and use a smaller batch/,
      );
    await small.close();
  });

  test('without memory for numbers on their way to it says whose they are', () => {
    const queue = new CommandQueue(gpu.raw);
    const [{ buffer }, where] = [full(gpu, [1], 0).storage as BufferBlock, () => 'tensor [274877906944]'];
    // A terabyte, which is asked for before any number is looked at.
    const outcome = () => queue.upload(where, { length: 2 ** 38 }, buffer);
    expect(outcome).toThrow(OutOfMemoryError);
    expect(outcome).toThrow(
      /^tensor \[274877906944\]: no memory for 1099511627776 bytes on their way to the device; use a smaller batch/,
    );
  });

  test('without memory says so, and does not blame a kernel', async () => {
    const small = await openDevice();
    const x = tensor(small, [1], [1]);
    // Software adapters refuse their largest buffer; a GPU may have room for it, and then there is nothing to see.
    const [refused, size] = [{ current: '' }, small.raw.limits.maxBufferSize];
    small.raw.addEventListener('uncapturederror', ({ error }) => {
      refused.current = error.constructor.name;
    });
    const buffer = small.raw.createBuffer({ size, usage: 128 });
    const outcome = await read(x).catch((error: Error) => error.message);
    if (refused.current === '') expect([...outcome]).toEqual([1]);
    else
      expect(outcome).toMatch(
        /^webgpu: the device has no memory left \(.*\); open a new device and use a smaller batch or model$/,
      );
    buffer.destroy();
    await small.close();
  });
});
