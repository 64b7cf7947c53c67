// Who frees what: scopes, backward, and a training loop that holds the same bytes after many steps as after few.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, read, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { backward } from '../engine/grad.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { exp } from '../engine/ops/pointwise.ts';
import { keep, scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { train } from '../isnet/train.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { SGD } from '../nn/optim.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';
import { initOn } from './small-nets.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const vector = (device: Device) => tensor(device, [1, 2, 3], [3]);

describe('a scope', () => {
  test('releases what it made and did not return', () => {
    const device = new CpuDevice();
    let inner: Tensor | undefined;
    const result = scope(device, () => {
      inner = exp(vector(device));
      return add(inner, 1);
    });
    expect(inner?.isReleased).toBe(true);
    expect(result.isReleased).toBe(false);
  });
  test('leaves what it kept to the caller', () => {
    const device = new CpuDevice();
    const kept = scope(device, () => scope(device, () => keep(vector(device))));
    expect(kept.isReleased).toBe(false);
    expect(device.recorder.frames).toEqual([]);
  });
  test('releases everything when the function throws', () => {
    const device = new CpuDevice();
    const fail = () =>
      scope(device, () => {
        vector(device);
        throw new Error('stop');
      });
    expect(fail).toThrow('stop');
    expect(device.memory().usedBytes).toBe(0);
  });
  test('refuses a promise', () => {
    const device = new CpuDevice();
    expect(() => scope(device, async () => vector(device))).toThrow(/returned a promise/);
  });
});

test('using a released tensor says so and says what to do', () => {
  const device = new CpuDevice();
  let lost: Tensor | undefined;
  scope(device, () => {
    lost = exp(vector(device));
  });
  expect(() => add(lost as Tensor, 1)).toThrow(
    /add: the tensor \[3\].* was released; return it from its scope/,
  );
});

test('backward releases the forward pass except the loss and what is retained', () => {
  const device = new CpuDevice();
  scope(device, () => {
    const x = keep(vector(device));
    const [a, b] = [exp(x), mul(x, 2)];
    const loss = sum(mul(a, b));
    const [g] = backward(loss, [x], { retain: [b] });
    expect([a, b, loss, g, x].map((t) => t.isReleased)).toEqual([true, false, false, false, false]);
  });
});

/** Noise images with a label each: enough to train on, too little to learn. */
function noiseDataset(count: number): Dataset {
  const classNames = ['a', 'b', 'c'];
  const pixels = count * 64;
  const images = Float32Array.from(randomValues('images', pixels, [0, 1]));
  const masks = Float32Array.from({ length: pixels }, (_, i) => (i % 8 < 4 ? 1 : 0));
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 3);
  return { images, masks, labels, count, channels: 1, height: 8, width: 8, classNames };
}

test('training holds the same bytes after step 3 as after step 300', { timeout: 120_000 }, async () => {
  const model = new SmallCnn(initOn(gpu), {
    inChannels: 1,
    imageSize: [8, 8],
    classCount: 3,
    blocks: [{ channels: 2, kernel: 3, stride: 2 }],
  });
  const dataset = noiseDataset(12);
  const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
  const isnet = { variant: 'stochastic' as const, P: 0.5 };
  const held: number[] = [];
  const job = {
    device: gpu,
    model,
    optimizer,
    train: dataset,
    onEpoch: () => void held.push(gpu.memory().heldBytes),
  };
  const options = {
    epochs: 100,
    batchSize: 4,
    learningRate: 1e-3,
    schedule: 'constant' as const,
    seed: 1,
    isnet,
  };
  await train({ ...job, options });
  // Three steps an epoch: the first entry is after step 3, the last after step 300.
  expect(held).toHaveLength(100);
  expect(held.at(-1)).toBe(held[0]);
});

test('numbers uploaded between two kernels do not overtake the first', async () => {
  const target = keep(tensor(gpu, [1, 1, 1], [3]));
  const doubled = mul(target, 2);
  assign(target, vector(gpu));
  expect([...(await read(doubled))]).toEqual([2, 2, 2]);
  expect([...(await read(target))]).toEqual([1, 2, 3]);
});
