// What is computed again in place of being kept: the same bits in less memory, whatever was overwritten in between.
import { describe, expect, test } from 'vitest';
import { capture } from '../engine/capture.ts';
import { assign, readAll, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { backward } from '../engine/grad.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { softplus } from '../engine/ops/pointwise.ts';
import { keep } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import type { Recompute } from '../engine/trace.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { isnetObjective } from '../isnet/objective.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { Conv2d, Dropout, Flatten, Linear, ReLU } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { Adam } from '../nn/optim.ts';
import { randomTensor, valuesOf } from './captured.ts';
import { withGpu } from './gpu.ts';
import { initOn, stripedDataset } from './small-nets.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const modes: readonly Recompute[] = ['none', 'cheap', 'all'];

/** Bytes that a recording of the step holds, its slot for x included, and what it gives. */
async function recordingOf(recompute: Recompute, step: (given: { x: Tensor }) => Record<string, Tensor>) {
  const x = randomTensor(gpu, [64, 64], 'x');
  const captured = capture(gpu, step, { recompute });
  const before = gpu.memory().usedBytes;
  const values = await valuesOf(captured({ x }));
  const bytes = gpu.memory().usedBytes - before;
  captured.dispose();
  release(x);
  return { values, bytes };
}

test('gradients of a deep chain have the same bits, in less memory the more may be computed again', async () => {
  const weights = Array.from({ length: 10 }, (_, i) => randomTensor(gpu, [64, 64], `w${i}`));
  const step = ({ x }: { x: Tensor }) => {
    let y = x;
    for (const w of weights) y = softplus(mul(softplus(matmul(y, w)), 0.1));
    return { gradient: backward(sum(mul(y, y)), [weights[0]])[0] };
  };
  const [none, cheap, all] = await Promise.all(modes.map((mode) => recordingOf(mode, step)));
  expect(cheap.values).toEqual(none.values);
  expect(all.values).toEqual(none.values);
  // Tensors of 16 KiB: two or three a layer are kept, or one, or fewer.
  expect(cheap.bytes).toBeLessThan(0.75 * none.bytes);
  expect(all.bytes).toBeLessThan(cheap.bytes);
  for (const w of weights) release(w);
});

describe('what was made of numbers that are overwritten', () => {
  /** softplus(x + state) waits while much else is there; `changes` says whether the state changes before it is needed. */
  const stepWith =
    (state: Tensor, changes: boolean) =>
    ({ x }: { x: Tensor }) => {
      const early = softplus(add(x, state));
      if (changes) assign(state, mul(state, 2));
      let y = sum(matmul(early, x), [0]);
      for (let i = 0; i < 4; i++) y = sum(matmul(add(matmul(x, x), y), add(x, i)), [0]);
      return { late: sum(mul(early, y)), y };
    };

  test.each([false, true])('is kept, and only that: overwritten %s', async (changes) => {
    const results: unknown[] = [];
    const bytes: number[] = [];
    for (const mode of modes) {
      const state = keep(tensor(gpu, [0.5], []));
      const found = await recordingOf(mode, stepWith(state, changes));
      results.push(found.values);
      bytes.push(found.bytes);
      release(state);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    if (changes) expect(bytes[1]).toBe(bytes[0]);
    else expect(bytes[1]).toBeLessThan(bytes[0]);
  });
});

const size = 16;
const data = stripedDataset('recompute', size, [0, 1, 2, 0, 1, 2], ['a', 'b', 'c']);

test('an ISNet with BatchNorm, Dropout and Adam trains to the same bits, in less memory', {
  timeout: 120_000,
}, async () => {
  const results: unknown[] = [];
  const peaks: number[] = [];
  // Compiling is what takes long here, and 'all' does what 'cheap' does, too.
  for (const recompute of ['none', 'all'] as const) {
    const init = initOn(gpu);
    const dropout = new Dropout(init, 0.3);
    const net = new Sequential(
      new Conv2d(init, 1, 8, 3, { padding: 1, bias: false }),
      new BatchNorm2d(init, 8),
      new ReLU(),
      dropout,
      new Conv2d(init, 8, 8, 3, { padding: 1, bias: false }),
      new BatchNorm2d(init, 8),
      new ReLU(),
      new Conv2d(init, 8, 4, 3, { padding: 1, stride: 2 }),
      new ReLU(),
      new Flatten(),
      new Linear(init, 4 * 64, 3, { gain: 1 }),
    );
    const optimizer = new Adam(net.namedParameters());
    const losses = isnetObjective({ variant: 'stochastic' });
    const steps = new TrainStep(gpu, net, optimizer, { losses, seed: 5, recompute });
    const seen: unknown[] = [];
    const before = gpu.memory().usedBytes;
    await steps.prepare(() => uploadBatch(gpu, data, [0, 1, 2, 3]));
    for (let i = 0; i < 3; i++) {
      dropout.atStep(i);
      const upload = () => uploadBatch(gpu, data, [i, i + 1, i + 2, i + 3]);
      const found = steps.train(upload, { P: 0.5, counter: i }, 0.01);
      seen.push((await readAll([found]))[0]);
      release(found);
    }
    peaks.push(gpu.memory().usedBytes - before);
    results.push([seen, await readAll([...net.stateDict().values(), ...optimizer.state().values()])]);
    for (const owner of [steps, optimizer, net]) owner.dispose();
  }
  expect(results[1]).toEqual(results[0]);
  expect(peaks[1]).toBeLessThan(0.85 * peaks[0]);
});
