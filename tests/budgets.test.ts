// What may not grow unseen: programs, each of which lavapipe compiles for about a second, and launches.
import { describe, expect, test } from 'vitest';
import { cnnGradients, newCnn, uploadCnnBatch } from '../bench/cnn.ts';
import { cnn } from '../bench/shapes.ts';
import { capture } from '../engine/capture.ts';
import { tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { scope } from '../engine/scope.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Adam, type Optimizer, SGD } from '../nn/optim.ts';
import { dispatchesOf, randomTensor } from './captured.ts';
import { withGpu } from './gpu.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

const MOST_PIPELINES = 20;

test('a training step of a CNN of three convolutions needs few programs', { timeout: 120_000 }, async () => {
  const fresh = await openDevice();
  const model = newCnn(fresh);
  const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
  const rates = optimizer.nextScalars(0.1);
  const inputs = { ...uploadCnnBatch(fresh, cnn.N), scalars: tensor(fresh, rates, [rates.length]) };
  const step = capture(fresh, (batch: typeof inputs) => {
    const { loss, gradients } = cnnGradients(model, batch, false);
    optimizer.apply(gradients, batch.scalars);
    return { loss };
  });
  // Compiles and does not run: the batch is that of the benchmark, by whose size kernels are chosen.
  await step.prepare(inputs);
  expect(fresh.statistics.pipelineCount).toBeGreaterThan(0);
  expect(fresh.statistics.pipelineCount).toBeLessThanOrEqual(MOST_PIPELINES);
  expect(fresh.statistics.dispatchCount).toBe(0);
  await fresh.close();
});

describe.each<[string, (p: ReadonlyMap<string, Tensor>) => Optimizer]>([
  ['SGD', (p) => new SGD(p, { momentum: 0.9, weightDecay: 0.01 })],
  ['Adam', (p) => new Adam(p)],
])('%s', (_, make) => {
  /** Launches of one step on 360 numbers, once everything is made that is made once: as it is, and captured. */
  function launches(parameterCount: number): readonly [number, number] {
    const tensors = (kind: string) =>
      Array.from({ length: parameterCount }, (_, i) =>
        randomTensor(gpu, [120 / parameterCount, 3], `${kind}${i}`),
      );
    const optimizer = make(new Map(tensors('p').map((t, i) => [`p${i}`, t])));
    const gradients = tensors('g');
    const step = () => optimizer.step(gradients, 0.1, { clipNorm: 1 });
    step();
    const plain = dispatchesOf(gpu, step);
    const captured = capture(gpu, ({ scalars }: { scalars: Tensor }) => {
      optimizer.apply(gradients, scalars, { clipNorm: 1 });
      return {};
    });
    const replay = () =>
      scope(gpu, () => {
        const rates = optimizer.nextScalars(0.1);
        captured({ scalars: tensor(gpu, rates, [rates.length]) });
      });
    replay();
    const replayed = dispatchesOf(gpu, replay);
    captured.dispose();
    optimizer.dispose();
    return [plain, replayed];
  }

  test('launches as many kernels for 60 parameters as for 3, and fewer where it is captured', () => {
    const [plain, replayed] = launches(3);
    expect(launches(60)).toEqual([plain, replayed]);
    expect(replayed).toBeGreaterThan(0);
    expect(replayed).toBeLessThan(plain);
  });
});
