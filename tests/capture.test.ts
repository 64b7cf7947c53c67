// Captured steps: what is replayed is what would have been run, with fewer kernels and nothing held for long.
import { describe, expect, test } from 'vitest';
import { capture, type NamedTensors } from '../engine/capture.ts';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, literal, read, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { adjoint, backward } from '../engine/grad.ts';
import { add, mul, square, sub } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { exp, log1p, softplus } from '../engine/ops/pointwise.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { keep, scope } from '../engine/scope.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { Dropout } from '../nn/layers.ts';
import { dispatchesOf as dispatchesOn, randomTensor, valuesOf } from './captured.ts';
import { withGpu } from './gpu.ts';
import { initOn } from './small-nets.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const random = (shape: Shape): Tensor => randomTensor(gpu, shape);
const dispatchesOf = (work: () => unknown): number => dispatchesOn(gpu, work);

describe('a captured step', () => {
  test('gives the bits of the same step uncaptured', async () => {
    const [w, kernel] = [random([12, 5]), random([4, 3, 3, 3])];
    const step = ({ x }: { x: Tensor }) => {
      const features = reshape(conv2d(x, kernel, { padding: 1 }), [-1, 12]);
      const logits = matmul(features, w);
      return { logits, shares: softmax(logits), total: sum(logits, [0]) };
    };
    const captured = capture(gpu, step);
    for (const x of [random([2, 3, 6, 6]), random([2, 3, 6, 6])]) {
      expect(await valuesOf(captured({ x }))).toEqual(await valuesOf(step({ x })));
    }
    captured.dispose();
  });

  test('sees new inputs, and what assign() has changed outside of it', async () => {
    const scale = keep(tensor(gpu, [2], []));
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ y: add(mul(x, scale), 1) }));
    const x = random([5]);
    const numbers = await read(x);
    expect((await valuesOf(captured({ x }))).y).toEqual([...numbers].map((n) => Math.fround(2 * n + 1)));
    assign(scale, tensor(gpu, [3], []));
    assign(x, tensor(gpu, [1, 2, 3, 4, 5], [5]));
    expect((await valuesOf(captured({ x }))).y).toEqual([4, 7, 10, 13, 16]);
    captured.dispose();
  });

  test('overwrites parameters at every call, in order with what reads them', async () => {
    const p = keep(tensor(gpu, [1, 2, 3], [3]));
    const captured = capture(gpu, ({ g }: { g: Tensor }) => {
      const before = mul(p, 10);
      assign(p, sub(p, g));
      const after = mul(p, 10);
      assign(p, mul(p, 2));
      return { before, after };
    });
    const g = keep(tensor(gpu, [1, 1, 1], [3]));
    expect(await valuesOf(captured({ g }))).toEqual({ before: [10, 20, 30], after: [0, 10, 20] });
    expect(await valuesOf(captured({ g }))).toEqual({ before: [0, 20, 40], after: [-10, 10, 30] });
    expect([...(await read(p))]).toEqual([-2, 2, 6]);
    captured.dispose();
  });

  test('computes again what was remembered outside of it', async () => {
    const [a, b] = [random([3, 3]), random([3, 3])];
    const outside = matmul(a, b);
    const captured = capture(gpu, () => ({ product: matmul(a, b) }));
    await valuesOf(captured({}));
    assign(a, tensor(gpu, new Float32Array(9), [3, 3]));
    expect((await valuesOf(captured({}))).product).toEqual(new Array(9).fill(0));
    // And the other way round: the recording changed `c`, so an eager product of it is a new one.
    const c = keep(tensor(gpu, [1, 0, 0, 1], [2, 2]));
    const before = matmul(c, c);
    const twice = capture(gpu, () => {
      assign(c, mul(c, 2));
      return {};
    });
    twice({});
    twice({});
    expect([...(await read(matmul(c, c)))]).toEqual([16, 0, 0, 16]);
    for (const t of [outside, before]) release(t);
    captured.dispose();
    twice.dispose();
  });

  test('is recorded anew for inputs of another shape, and only then', async () => {
    let calls = 0;
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      calls++;
      return { total: sum(mul(x, x)) };
    });
    for (const [shape, total] of [
      [[2, 3], 6],
      [[4], 4],
      [[2, 3], 6],
      [[6], 6],
    ] as const) {
      const x = tensor(gpu, new Float32Array(sizeOf(shape)).fill(1), shape);
      expect((await valuesOf(captured({ x }))).total).toEqual([total]);
      release(x);
    }
    expect(calls).toBe(3);
    captured.dispose();
  });

  test('is recorded anew when a tensor it uses was released and replaced', async () => {
    let w = keep(tensor(gpu, [2], [1]));
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ y: mul(x, w) }));
    const x = keep(tensor(gpu, [5], [1]));
    expect((await valuesOf(captured({ x }))).y).toEqual([10]);
    release(w);
    expect(() => captured({ x })).toThrow(/was released/);
    w = keep(tensor(gpu, [3], [1]));
    expect((await valuesOf(captured({ x }))).y).toEqual([15]);
    captured.dispose();
  });

  test('may return an input, a tensor from outside or a view, as tensors of their own', async () => {
    const w = keep(tensor(gpu, [7, 8], [2]));
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ x, w, view: reshape(mul(x, 2), [2, 1]) }));
    const x = keep(tensor(gpu, [1, 2], [2]));
    const outputs = captured({ x });
    expect(outputs.view.shape).toEqual([2, 1]);
    expect(await valuesOf(outputs)).toEqual({ x: [1, 2], w: [7, 8], view: [2, 4] });
    expect([...(await read(w)), ...(await read(x))]).toEqual([7, 8, 1, 2]);
    captured.dispose();
  });

  test('does what no output needs only if it overwrites something', () => {
    const seen = keep(tensor(gpu, [0], []));
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      softmax(matmul(x, x));
      assign(seen, sum(x));
      return { y: exp(x) };
    });
    const x = random([4, 4]);
    scope(gpu, () => void captured({ x }));
    expect(dispatchesOf(() => scope(gpu, () => void captured({ x })))).toBe(2);
    captured.dispose();
  });

  test('can be captured inside another', async () => {
    const inner = capture(gpu, ({ x }: { x: Tensor }) => ({ y: mul(x, 3) }));
    const outer = capture(gpu, ({ x }: { x: Tensor }) => ({ z: add(inner({ x }).y, 1) }));
    const x = keep(tensor(gpu, [1, 2], [2]));
    expect((await valuesOf(outer({ x }))).z).toEqual([4, 7]);
    expect((await valuesOf(outer({ x }))).z).toEqual([4, 7]);
    outer.dispose();
  });

  test('draws anew at every call', async () => {
    const layer = new Dropout(initOn(gpu), 0.5);
    const step = ({ x }: { x: Tensor }) => ({ y: layer.forward(x), again: layer.forward(x) });
    const captured = capture(gpu, step);
    const x = keep(tensor(gpu, new Float32Array(64).fill(1), [64]));
    layer.atStep(3);
    const found = [await valuesOf(captured({ x })), await valuesOf(captured({ x }))];
    layer.atStep(3);
    expect([
      await valuesOf(scope(gpu, () => step({ x }))),
      await valuesOf(scope(gpu, () => step({ x }))),
    ]).toEqual(found);
    expect(new Set([...found.flatMap(({ y, again }) => [y.join(), again.join()])]).size).toBe(4);
    captured.dispose();
    layer.dispose();
  });

  test('compiles ahead without running', async () => {
    const total = keep(tensor(gpu, [0], []));
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      assign(total, add(total, sum(square(x))));
      return { y: log1p(exp(x)) };
    });
    const x = keep(tensor(gpu, [1, 1], [2]));
    await captured.prepare({ x });
    const { pipelineCount } = gpu.statistics;
    expect([...(await read(total))]).toEqual([0]);
    await valuesOf(captured({ x }));
    expect(gpu.statistics.pipelineCount).toBe(pipelineCount);
    expect([...(await read(total))]).toEqual([2]);
    captured.dispose();
  });

  test('runs on the CPU device as it is', async () => {
    const cpu = new CpuDevice();
    const captured = capture(cpu, ({ x }: { x: Tensor }) => ({ y: mul(x, 2) }));
    expect((await valuesOf(captured({ x: tensor(cpu, [1, 2], [2]) }))).y).toEqual([2, 4]);
  });

  test('keeps its gradients inside: backward and adjoint work in it', async () => {
    const w = random([3, 4]);
    const step = ({ x }: { x: Tensor }) => {
      const y = softplus(matmul(x, w));
      const [slope] = adjoint(y, [x], literal(gpu, new Float32Array(8).fill(1), [2, 4]));
      const loss = add(sum(square(y)), sum(square(slope)));
      const [gradient] = backward(loss, [w], { retain: [loss] });
      return { loss, gradient };
    };
    const captured = capture(gpu, step);
    const x = random([2, 3]);
    const [found, expected] = [
      await valuesOf(captured({ x })),
      await valuesOf(scope(gpu, () => step({ x }))),
    ];
    expect(found).toEqual(expected);
    captured.dispose();
  });
});

describe('a step that cannot be captured is refused', () => {
  const x = () => tensor(gpu, [1, 2], [2]);
  const refused = (step: (inputs: { x: Tensor }) => NamedTensors) =>
    expect(() => scope(gpu, () => capture(gpu, step)({ x: x() })));

  test('when it makes tensors of new numbers', () => {
    refused(({ x }) => ({ y: mul(x, tensor(gpu, [Math.PI], [])) })).toThrow(
      /^tensor: the new numbers \[\] would be the same in every run of the captured step; pass them as an input/,
    );
  });

  test('when it reads back', async () => {
    let reading: Promise<unknown> | undefined;
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      reading = read(mul(x, 2));
      return {};
    });
    scope(gpu, () => captured({ x: x() }));
    await expect(reading).rejects.toThrow(/^read: a captured step has no numbers while it is recorded/);
  });

  test('when a tensor escapes from it', () => {
    let escaped: Tensor | undefined;
    refused(({ x }) => {
      escaped = keep(mul(x, 2));
      return {};
    }).toThrow(/^capture: the step keeps the result \[2\] of op 'mul'; return it/);
    expect(() => add(escaped as Tensor, 1)).toThrow(/belongs to a captured step and has no numbers outside/);
  });

  test('when it returns something else than tensors', () => {
    refused(() => ({ y: 3 }) as unknown as NamedTensors).toThrow(/output 'y' is no tensor/);
    refused(() => null as unknown as NamedTensors).toThrow(/the step returned null; return an object/);
  });

  test('when it is async, and what becomes of its promise ends no process', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    for (const device of [gpu, new CpuDevice()]) {
      const step = async ({ x }: { x: Tensor }) => ((await read(x))[0] > 0 ? { y: mul(x, 2) } : { y: x });
      const captured = capture(device, step as unknown as (inputs: { x: Tensor }) => NamedTensors);
      const x = tensor(device, [1, 2], [2]);
      const refusal = /^capture: the step returned a promise, .* reads back or branches on values; return/;
      expect(() => captured({ x })).toThrow(refusal);
      const inScope = () => scope(device, async () => Promise.reject(new Error('too late')));
      expect(inScope).toThrow(/^scope: the function returned a promise, .* branches on values; return/);
    }
    // A rejection without a handler is told of at the end of a turn of the event loop; reading back takes some.
    await read(tensor(gpu, [1], [1]));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  test('when an input is none', () => {
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ y: mul(x, 2) }));
    const gone = x();
    release(gone);
    expect(() => captured({ x: gone })).toThrow(/^capture: input 'x' is the tensor \[2\]/);
    const foreign = tensor(new CpuDevice(), [1], [1]);
    expect(() => captured({ x: foreign })).toThrow(/^capture: input 'x' is the tensor \[1\] on CPU/);
    expect(() => captured({ x: 3 as unknown as Tensor })).toThrow(UsageError);
  });

  test('and leaves the device as it was', async () => {
    const before = gpu.memory().usedBytes;
    refused(({ x }) => {
      mul(x, 2);
      throw new Error('stop');
    }).toThrow('stop');
    expect(gpu.memory().usedBytes).toBe(before);
    expect(gpu.recorder.trace).toBeNull();
    expect([...(await read(scope(gpu, () => mul(x(), 2))))]).toEqual([2, 4]);
  });
});

describe('memory', () => {
  test('is the same after many calls as after one, and all given back in the end', () => {
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ total: sum(exp(matmul(x, x))) }));
    const x = random([16, 16]);
    const before = gpu.memory();
    const call = () => scope(gpu, () => void captured({ x }));
    call();
    const { usedBytes, heldBytes } = gpu.memory();
    for (let i = 0; i < 100; i++) call();
    expect(gpu.memory()).toMatchObject({ usedBytes, heldBytes });
    captured.dispose();
    expect(gpu.memory().usedBytes).toBe(before.usedBytes);
  });

  test('is shared by results that are not needed at the same time', () => {
    const captured = capture(gpu, ({ x }: { x: Tensor }) => {
      let y = x;
      for (let i = 0; i < 20; i++) y = matmul(y, x);
      return { y };
    });
    const x = random([32, 32]);
    const before = gpu.memory().usedBytes;
    scope(gpu, () => void captured({ x }));
    // The slot of x and two buffers that alternate, whatever else the matmul needs.
    expect(gpu.memory().usedBytes - before).toBeLessThanOrEqual(5 * 32 * 32 * 4);
    captured.dispose();
  });

  test('of a tensor that the step uses lasts as long as the recording', async () => {
    const w = tensor(gpu, [2], [1]);
    const captured = capture(gpu, ({ x }: { x: Tensor }) => ({ y: mul(x, w) }));
    const x = keep(tensor(gpu, [5], [1]));
    await valuesOf(captured({ x }));
    const before = gpu.memory().blockCount;
    release(w);
    expect(gpu.memory().blockCount).toBe(before);
    captured.dispose();
    expect(gpu.memory().blockCount).toBeLessThan(before);
  });
});
