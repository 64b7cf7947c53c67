// Steps in parts: the same step as on the whole batch, other draws in every part, and resumable between two steps.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, readAll } from '../engine/create.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { type BatchSource, memorySource } from '../isnet/data/source.ts';
import { classifierLosses, isnetLosses, type Objective } from '../isnet/objective.ts';
import { type EpochReport, type TrainJob, train } from '../isnet/train.ts';
import type { TrainingOptions } from '../isnet/training-options.ts';
import { Dropout, Flatten, Linear } from '../nn/layers.ts';
import type { SmallCnn } from '../nn/models/small-cnn.ts';
import { Sequential } from '../nn/module.ts';
import { SGD } from '../nn/optim.ts';
import { expectClose } from './close.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';
import { initOn, tinyCnn } from './small-nets.ts';

const cpu = new CpuDevice();
const [count, size] = [14, 36];

/** Noise [1, 6, 6] of three classes; some have no mask, most of those among the last. */
const images: Dataset = {
  images: Float32Array.from(randomValues('accumulate', count * size, [0, 1])),
  masks: Float32Array.from({ length: count * size }, (_, i) => (i % 6 < 3 ? 1 : 0)),
  labels: Uint8Array.from({ length: count }, (_, n) => (n < 9 ? 0 : n % 3)),
  hasMask: Uint8Array.from({ length: count }, (_, n) => (n % 3 === 0 || n > 7 ? 0 : 1)),
  count,
  channels: 1,
  height: 6,
  width: 6,
  classNames: ['a', 'b', 'c'],
};
const { hasMask: _, ...allMasked } = images;

const options: TrainingOptions = {
  epochs: 1,
  batchSize: 8,
  learningRate: 0.1,
  schedule: 'constant',
  seed: 1,
};
const isnet = { variant: 'original', C1: 0.5, C2: 1.5, P: 0.6 } as const;

function newJob(device: Device, changes: Partial<TrainJob>) {
  const model = tinyCnn(device);
  const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
  return { device, train: allMasked as TrainJob['train'], options, ...changes, model, optimizer };
}

/** Weights behind a training, and its reports. */
async function trained(device: Device, changes: Partial<TrainJob>) {
  const reports: EpochReport[] = [];
  const job = newJob(device, { ...changes, onEpoch: (report) => void reports.push(report) });
  await train(job);
  const weights = (await readAll(job.model.parameters())).flatMap((values) => [...values]);
  const losses = reports.flatMap(({ train: { total, classification, heatmap } }) => [
    total,
    classification,
    heatmap ?? 0,
  ]);
  return { weights, losses };
}

/** Several labels per image, some of them uncertain. */
function multiLabel(): BatchSource {
  const inner = memorySource(images);
  const isKnown = (n: number, c: number) => (n + c) % 3 !== 0 || n > 8;
  return {
    ...inner,
    isMultiLabel: true,
    async *epoch(given) {
      for await (const batch of inner.epoch(given)) {
        const known = batch.known.map((_, i) => (isKnown(batch.indices[Math.floor(i / 3)], i % 3) ? 1 : 0));
        yield { ...batch, known };
      }
    },
  };
}

const cases: Record<string, { train?: TrainJob['train']; options?: Partial<TrainingOptions> }> = {
  'of an ISNet': { options: { isnet } },
  'with clipped gradients': { options: { isnet, clipNorm: 0.05 } },
  'with masks for some images': { train: images, options: { isnet } },
  'with weights of classes': { options: { classWeights: 'balanced' } },
  'with uncertain labels, weights of what is shown and missing masks': {
    train: multiLabel(),
    options: { isnet, posWeight: [2, 0.5, 1] },
  },
};

describe('a step in parts is the step on the whole batch', () => {
  // Batches of 8 and 6: parts of 4 and 4, 4 and 2; or of 2.
  test.each(Object.entries(cases))('%s', async (_, changes) => {
    const with_ = (accumulate: number) =>
      trained(cpu, { ...changes, options: { ...options, ...changes.options, accumulate } });
    const whole = await with_(1);
    const before = newJob(cpu, {})
      .model.parameters()
      .flatMap((p) => [...dataOf(p)]);
    expect(Math.max(...whole.weights.map((w, i) => Math.abs(w - before[i])))).toBeGreaterThan(1e-3);
    for (const accumulate of [2, 4]) {
      const parts = await with_(accumulate);
      // f64 sums in another order.
      expectClose(parts.weights, whole.weights, 12);
      expectClose(parts.losses, whole.losses, 12);
    }
  });
});

/** Numbers of every call of an objective, which on the CPU is every part. */
function recorder(numbers: (inputs: Parameters<Objective>[1], logits: Tensor) => number[]) {
  const seen: number[][] = [];
  const objective: Objective = (model, inputs) => {
    const losses = classifierLosses(model, inputs);
    seen.push(numbers(inputs, losses.logits));
    return losses;
  };
  return { seen, objective };
}

test('every part of every step draws anew, and a step that is not in parts draws as ever', async () => {
  const keysWith = async (accumulate: number) => {
    const { seen, objective } = recorder(({ key }) => [...dataOf(key)]);
    await train(newJob(cpu, { options: { ...options, epochs: 2, accumulate, objective } }));
    return seen;
  };
  expect(await keysWith(1)).toEqual([0, 1, 2, 3].map((step) => [1, step]));
  const keys = await keysWith(4);
  expect(keys).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14].map((counter) => [1, counter]));
});

test('Dropout drops other units in every part', async () => {
  const init = initOn(cpu);
  const model = new Sequential(new Flatten(), new Dropout(init, 0.5), new Linear(init, size, 3));
  const { seen, objective } = recorder((_, logits) => [...dataOf(logits)]);
  const same = { ...allMasked, images: images.images.map((_, i) => images.images[i % size]) };
  const still = { ...options, learningRate: 1e-30, epochs: 1, batchSize: 14, accumulate: 14, objective };
  const job = { device: cpu, train: same, options: still, optimizer: new SGD(model.namedParameters()) };
  await train({ ...job, model });
  expect(seen).toHaveLength(14);
  expect(new Set(seen.map((logits) => logits.join())).size).toBe(14);
});

test('a run in parts that was interrupted goes on to the same weights', async () => {
  const inParts = {
    ...options,
    epochs: 2,
    accumulate: 4,
    isnet: { ...isnet, variant: 'stochastic' as const },
  };
  const whole = newJob(cpu, { options: inParts });
  await train(whole);
  const cut = newJob(cpu, { options: inParts });
  const controller = new AbortController();
  const nextScalars = cut.optimizer.nextScalars.bind(cut.optimizer);
  cut.optimizer.nextScalars = (rate) => {
    controller.abort();
    return nextScalars(rate);
  };
  const { position } = await train({ ...cut, signal: controller.signal });
  expect(position.step).toBe(1);
  const next = newJob(cpu, { options: inParts });
  const saved = cut.model.namedParameters();
  for (const [name, t] of next.model.namedParameters()) assign(t, saved.get(name) as Tensor);
  next.optimizer.loadState(cut.optimizer.state(), cut.optimizer.stepCount);
  await train({ ...next, position: JSON.parse(JSON.stringify(position)) });
  const weights = ({ model }: { model: SmallCnn }) => model.parameters().map((p) => [...dataOf(p)]);
  expect(weights(next)).toEqual(weights(whole));
});

test('parts that do not divide the batch are refused', async () => {
  const refused = train(newJob(cpu, { options: { ...options, accumulate: 3 } }));
  await expect(refused).rejects.toThrow(
    'train: 3 parts of a batch of 8; take a whole number of parts that divides it',
  );
});

test('a total that an objective makes itself is reported as it is', async () => {
  const objective: Objective = (model, inputs) => isnetLosses(model, inputs, isnet, inputs);
  const own = await trained(cpu, { options: { ...options, accumulate: 2, objective, P: 0.6 } });
  const usual = await trained(cpu, { options: { ...options, accumulate: 2, isnet } });
  expect(own).toEqual(usual);
});

describe('on the GPU', () => {
  let gpu: Device;
  withGpu((device) => {
    gpu = device;
  });

  // Compiles the kernels of a step in parts of two sizes on a software adapter.
  test('captured parts give the numbers of the reference, and hold no more bytes from step to step', {
    timeout: 120_000,
  }, async () => {
    const changes = { train: images, options: { ...options, epochs: 3, accumulate: 2, isnet } };
    const held: number[] = [];
    const job = newJob(gpu, { ...changes, onEpoch: () => void held.push(gpu.memory().heldBytes) });
    await train(job);
    const found = (await readAll(job.model.parameters())).flatMap((values) => [...values]);
    const expected = await trained(cpu, changes);
    // f32 sums of some hundred terms through six steps.
    expectClose(found, expected.weights, 4);
    expect(held[2]).toBe(held[1]);
  });
});
