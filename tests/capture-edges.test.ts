// Captured steps at their edges: outputs that nobody computed, contexts they are called from, attempts that fail.
import { describe, expect, test, vi } from 'vitest';
import { capture } from '../engine/capture.ts';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, full, literal, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { BUFFER_USAGE } from '../engine/gpu-flags.ts';
import { adjoint } from '../engine/grad.ts';
import { openDevice } from '../engine/node-device.ts';
import { apply, defineOp } from '../engine/op.ts';
import { add, div, mul, sqrt, square, squareOp, sub } from '../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../engine/ops/broadcast.ts';
import { slice } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { relu } from '../engine/ops/pointwise.ts';
import { summarize } from '../engine/profiler.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { valuesOf } from './captured.ts';
import { withGpu } from './gpu.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const vector = (...values: number[]): Tensor => keep(tensor(gpu, values, [values.length]));

describe('what cannot be a step', () => {
  test('is said at the door', () => {
    const step = capture(gpu, ({ x, y }: { x: Tensor; y: Tensor }) => ({ sum: add(x, y) }));
    const inputs = { x: vector(1) } as { x: Tensor; y: Tensor };
    expect(() => step(inputs)).toThrow(/^add: undefined is no tensor/);
    expect(() => step(undefined as unknown as typeof inputs)).toThrow(
      /^capture: the step was called with undefined/,
    );
    const recompute = 'some' as 'none';
    expect(() => capture(gpu, () => ({}), { recompute })).toThrow(
      /^capture: recompute is 'some'; use none, cheap, all/,
    );
  });

  test('are inputs whose names and shapes read alike in a row', async () => {
    const total = capture(gpu, (inputs: Record<string, Tensor>) => ({
      sum: Object.values(inputs).reduce((a, b) => add(a, b)),
    }));
    const [a, b] = [vector(1, 2), vector(3, 4)];
    expect((await valuesOf(total({ a, b }))).sum).toEqual([4, 6]);
    expect((await valuesOf(total({ 'a[2],b': b }))).sum).toEqual([3, 4]);
    total.dispose();
  });
});

describe('an output', () => {
  test('may be numbers that the step only hands on', async () => {
    const captured = capture(gpu, () => ({ numbers: literal(gpu, [1, 2, 3], [3]) }));
    const found = [];
    for (let i = 0; i < 3; i++) {
      found.push((await valuesOf(captured({}))).numbers);
      // Would take the buffer of the numbers if it were free.
      vector(7, 8, 9);
    }
    expect(found).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ]);
    captured.dispose();
  });

  test('may be a tensor from outside, and is asked for anew once that is released', async () => {
    let w = vector(1, 2);
    const captured = capture(gpu, () => ({ w: reshape(w, [2, 1]), again: w }));
    expect((await valuesOf(captured({}))).w).toEqual([1, 2]);
    release(w);
    w = vector(3, 4);
    vector(5, 6);
    expect((await valuesOf(captured({}))).w).toEqual([3, 4]);
    captured.dispose();
  });

  test('of no elements is one', async () => {
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ y: relu(add(mul(x, 2), 1)), total: sum(x) }));
    const x = keep(tensor(gpu, [], [0, 3]));
    expect(await valuesOf(captured({ x }))).toEqual({ y: [], total: [0] });
    captured.dispose();
  });

  test('is a new tensor on the CPU device, too', async () => {
    const cpu = new CpuDevice();
    const w = tensor(cpu, [1, 2], [2]);
    const captured = capture(cpu, ({ x }: { x: Tensor }) => ({ x, w, view: reshape(w, [2, 1]) }));
    const x = tensor(cpu, [3, 4], [2]);
    const outputs = captured({ x });
    assign(w, tensor(cpu, [5, 6], [2]));
    expect(await valuesOf(outputs)).toEqual({ x: [3, 4], w: [1, 2], view: [1, 2] });
    expect([w.isReleased, x.isReleased]).toEqual([false, false]);
  });

  test('of another device is refused', () => {
    const foreign = tensor(new CpuDevice(), [1], [1]);
    const captured = capture(gpu, () => ({ foreign }));
    expect(() => captured({})).toThrow(/^capture: output 'foreign' is the tensor \[1\] on CPU/);
  });
});

describe('a step', () => {
  test('has its gradients also where nothing is recorded', async () => {
    const step = ({ x }: { x: Tensor }) => {
      const y = square(x);
      return { slope: adjoint(y, [x], expand(literal(gpu, [1], []), x.shape))[0] };
    };
    const x = vector(1, 2);
    const captured = capture(gpu, step);
    const first = withoutRecording(gpu, () => captured({ x }));
    expect((await valuesOf(first)).slope).toEqual([2, 4]);
    captured.dispose();
  });

  test('has gradients through another that it captures, and may release what that returns', async () => {
    const inner = capture(gpu, ({ x }: { x: Tensor }) => ({ x, y: square(relu(x)) }));
    const outer = capture(gpu, ({ x }: { x: Tensor }) => {
      const found = inner({ x });
      release(found.x);
      return { slope: adjoint(found.y, [x], expand(literal(gpu, [1], []), x.shape))[0], x };
    });
    expect(await valuesOf(outer({ x: vector(1, -2, 3) }))).toEqual({ slope: [2, 0, 6], x: [1, -2, 3] });
    outer.dispose();
  });

  test('that overwrites an input is refused, on every device', () => {
    for (const device of [gpu, new CpuDevice()]) {
      const p = tensor(device, [1, 2], [2]);
      const inner = capture(device, ({ p }: { p: Tensor }) => {
        assign(reshape(p, [1, 2]), reshape(mul(p, 2), [1, 2]));
        return {};
      });
      const outer = capture(device, ({ p }: { p: Tensor }) => inner({ p }));
      for (const step of [inner, outer])
        expect(() => step({ p })).toThrow(/overwrites its input 'p'; return/);
    }
  });

  test('may prepare another that it captures', async () => {
    const inner = capture(gpu, ({ x }: { x: Tensor }) => ({ y: mul(x, 3) }));
    const outer = capture(gpu, ({ x }: { x: Tensor }) => {
      void inner.prepare({ x });
      return { z: add(inner({ x }).y, 1) };
    });
    const x = vector(1, 2);
    expect((await valuesOf(outer({ x }))).z).toEqual([4, 7]);
    outer.dispose();
    inner.dispose();
  });

  test('does not read what another step has kept from it', () => {
    let escaped: Tensor | undefined;
    const first = capture(gpu, ({ x }: { x: Tensor }) => {
      escaped = keep(mul(x, 2));
      return {};
    });
    const x = vector(1, 2);
    expect(() => first({ x })).toThrow(/keeps the result/);
    const second = capture(gpu, ({ x }: { x: Tensor }) => ({ y: add(x, escaped as Tensor) }));
    expect(() => second({ x })).toThrow(/belongs to a captured step/);
    const third = capture(gpu, () => ({ y: escaped as Tensor }));
    expect(() => third({})).toThrow(/belongs to a captured step/);
    expect(gpu.recorder.trace).toBeNull();
  });

  test('lets NaN through whatever was fused', async () => {
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      const [a, b] = [mul(x, 2), mul(x, 2)];
      return {
        difference: sub(a, b),
        ratio: div(a, b),
        same: sub(add(x, a), a),
        back: div(mul(a, x), x),
        root: square(sqrt(sub(x, 3))),
      };
    });
    const x = vector(Number.NaN, 1, Number.POSITIVE_INFINITY, 0);
    expect(await valuesOf(captured({ x }))).toEqual({
      difference: [Number.NaN, 0, Number.NaN, 0],
      ratio: [Number.NaN, 1, Number.NaN, Number.NaN],
      same: [Number.NaN, 1, Number.NaN, 0],
      back: [Number.NaN, 2, Number.NaN, Number.NaN],
      root: [Number.NaN, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN],
    });
    captured.dispose();
  });
});

describe('a recording', () => {
  test('outlives trimming, and plans that are forgotten', async () => {
    const w = vector(1, 2, 3);
    const step = ({ x }: { x: Tensor }) => ({ y: relu(sub(mul(x, w), sum(x))), z: matmul(x, x) });
    const captured = capture(gpu, step);
    const x = keep(tensor(gpu, [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3]));
    const first = await valuesOf(captured({ x }));
    gpu.trim();
    expect(await valuesOf(captured({ x }))).toEqual(first);
    const long = keep(tensor(gpu, new Float32Array(5000), [5000]));
    const { planCount } = gpu.statistics;
    withoutRecording(gpu, () => {
      for (let i = 0; i < 4200; i++) release(slice(long, [i], [1]));
    });
    expect(gpu.statistics.planCount).toBeLessThan(planCount + 4200);
    expect(await valuesOf(captured({ x }))).toEqual(first);
    captured.dispose();
  });

  test('that cannot be made ready gives back what it had, at every attempt', () => {
    const greedy = defineOp<Record<string, never>>({
      name: 'greedy',
      shape: ([x]) => x,
      reference: () => {},
      kernel: (request) => ({
        steps: squareOp.kernel(request).steps.map((step) => ({ ...step, workgroups: [2 ** 31, 1, 1] })),
      }),
      vjp: [null],
      examples: [],
    });
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      const y = matmul(x, x);
      return { y, z: apply(greedy, [y], {}) };
    });
    const x = keep(tensor(gpu, [1, 2, 3, 4], [2, 2]));
    expect(() => captured({ x })).toThrow(/^greedy .* workgroups exceed the adapter's limit/);
    const { usedBytes } = gpu.memory();
    for (let i = 0; i < 3; i++) expect(() => captured({ x })).toThrow(/^greedy/);
    expect(gpu.memory().usedBytes).toBe(usedBytes);
    captured.dispose();
  });

  test('that is still called outlives any number of others, one that is not does not', async () => {
    const sizes: number[] = [];
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      sizes.push(x.shape[0]);
      return { y: mul(x, 2) };
    });
    const call = (size: number) => scope(gpu, () => void captured({ x: full(gpu, [size], 1) }));
    for (let size = 2; size < 30; size++) {
      call(size);
      call(1);
    }
    expect(sizes.filter((size) => size === 1)).toHaveLength(1);
    call(29);
    call(2);
    expect(sizes).toHaveLength(30);
    expect(sizes.at(-1)).toBe(2);
    captured.dispose();
  });

  test('of a closed device refuses to run, and can be disposed of, also twice', async () => {
    const other = await openDevice();
    const captured = capture(other, ({ x }: { x: Tensor }) => ({ y: mul(x, 2) }));
    const x = keep(tensor(other, [1, 2], [2]));
    expect((await valuesOf(captured({ x }))).y).toEqual([2, 4]);
    await other.close();
    expect(() => captured({ x })).toThrow(/the device is closed/);
    captured.dispose();
    captured.dispose();
  });
});

describe('a profile', () => {
  test('has every launch, more than fit into one set of queries', async () => {
    const x = vector(1, 2, 3);
    const launches = await gpu.profileDispatches(() => {
      for (let i = 0; i < 2100; i++) release(withoutRecording(gpu, () => mul(x, 2)));
    });
    expect(launches.length).toBe(2100);
    expect(launches.every(({ ms }) => ms >= 0 && ms < 1000)).toBe(true);
  });

  test('of copies alone is empty', async () => {
    const x = vector(1, 2, 3);
    const launches = await gpu.profileDispatches(() => assign(x, vector(4, 5, 6)));
    expect(summarize(launches)).toEqual([]);
  });

  test('of launches too short to be timed has shares of 0', () => {
    const launch = { name: 'add', ms: 0, byteCount: 256 };
    expect(summarize([launch, launch])).toEqual([
      { name: 'add', ms: 0, byteCount: 512, count: 2, timeShare: 0, byteShare: 1 },
    ]);
  });

  test('that fails gives back its queries', async () => {
    const { raw } = gpu;
    const created = vi.spyOn(raw, 'createQuerySet');
    const x = vector(1, 2);
    const failing = gpu.profileDispatches(() => {
      release(mul(x, 2));
      throw new Error('stop');
    });
    await expect(failing).rejects.toThrow('stop');
    const queries = created.mock.results.map(({ value }) => value as GPUQuerySet);
    created.mockRestore();
    expect(queries).toHaveLength(1);
    const { copySource, queryResolve } = BUFFER_USAGE;
    const resolved = raw.createBuffer({ size: 16, usage: queryResolve | copySource });
    raw.pushErrorScope('validation');
    const encoder = raw.createCommandEncoder();
    encoder.resolveQuerySet(queries[0], 0, 2, resolved, 0);
    raw.queue.submit([encoder.finish()]);
    expect((await raw.popErrorScope())?.message).toMatch(/destroyed/);
    resolved.destroy();
  });

  test('is the only one of its device at a time', async () => {
    const x = vector(1, 2);
    const launches = await gpu.profileDispatches(async () => {
      await expect(gpu.profileDispatches(() => release(mul(x, 3)))).rejects.toThrow(/^profile: .* already/);
      release(mul(x, 2));
    });
    expect(launches).toHaveLength(1);
  });

  test('that fails times nothing of what comes after', async () => {
    const x = vector(1, 2);
    const failing = gpu.profileDispatches(() => {
      release(mul(x, 2));
      throw new Error('stop');
    });
    await expect(failing).rejects.toThrow('stop');
    const before = gpu.statistics.submitCount;
    gpu.flush();
    expect(gpu.statistics.submitCount).toBe(before);
  });
});
