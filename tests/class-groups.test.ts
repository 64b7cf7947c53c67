// Maps of some classes at a time: the loss and the gradients of all at once, in less memory.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { readAll, tensor } from '../engine/create.ts';
import { UsageError } from '../engine/errors.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { backward } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { type Batch, type IsnetOptions, isnetLosses, isnetObjective } from '../isnet/objective.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { RunningRange } from '../isnet/running-range.ts';
import { TermGradients } from '../isnet/term-gradients.ts';
import { type TrainJob, train } from '../isnet/train.ts';
import { TrainStep } from '../isnet/train-step.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { SGD } from '../nn/optim.ts';
import { expectClose } from './close.ts';
import { withGpu } from './gpu.ts';
import { initOn, stripedDataset } from './small-nets.ts';

const cpu = new CpuDevice();
const [N, classCount, size] = [3, 10, 8];

function newNet(device: Device) {
  const init = initOn(device);
  return new Sequential(
    new Conv2d(init, 1, 4, 3, { padding: 1 }),
    new BatchNorm2d(init, 4),
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(init, 4, 4, 3, { padding: 1 }),
    new ReLU(),
    new Flatten(),
    new Linear(init, 4 * 16, classCount, { gain: 1 }),
  );
}

const classNames = Array.from({ length: classCount }, (_, i) => `class ${i}`);
const data = stripedDataset('class groups', size, [0, 9, 2, 3, 4, 5], classNames);

const common = (device: Device): Batch => ({
  images: tensor(device, data.images.slice(0, N * size ** 2), [N, 1, size, size]),
  targets: tensor(
    device,
    Array.from({ length: N * classCount }, (_, i) => (i % classCount === (3 * i) % 7 ? 1 : 0)),
    [N, classCount],
  ),
  masks: tensor(device, data.masks.slice(0, N * size ** 2), [N, 1, size, size]),
});

/** One mask per class, each another; those of some classes are empty, and all of the last image. */
function masksPerClass(device: Device): Tensor {
  const isEmpty = (n: number, c: number) => n === 2 || (n + c) % 3 === 0;
  const values = Array.from({ length: N * classCount * size ** 2 }, (_, i) => {
    const [c, n] = [Math.floor(i / size ** 2) % classCount, Math.floor(i / (classCount * size ** 2))];
    return !isEmpty(n, c) && (i + c) % 5 < 2 ? 1 : 0;
  });
  return tensor(device, values, [N, classCount, size, size]);
}

const cases: Record<string, { options?: Partial<IsnetOptions>; batch?: (device: Device) => Partial<Batch> }> =
  {
    'one mask for all classes': {},
    'images without a mask': { batch: (device) => ({ hasMask: tensor(device, [1, 0, 1], [3]) }) },
    'a mask for each class': { batch: (device) => ({ masks: masksPerClass(device) }) },
    'a mask for each class, all of which count': {
      options: { emptyMasks: 'all-background' },
      batch: (device) => ({ masks: masksPerClass(device) }),
    },
    'masks that do not count where they are empty': {
      options: { emptyMasks: 'skip' },
      batch: (device) => ({
        masks: tensor(
          device,
          Array.from({ length: N * size ** 2 }, (_, i) => (i < size ** 2 ? 0 : i % 2)),
          [N, 1, size, size],
        ),
      }),
    },
    'deep supervision': { options: { deepSupervision: ['3', '4'], C1: [0.5, 0.2, 0.1], C2: [1.5, 2, 1] } },
    'LRP-Flex': { options: { propagation: 'flex' } },
  };

/** Losses and gradients of one step on the batch, with or without terms that are taken at once. */
function stepOn(name: string, classesAtOnce: number | undefined, takesTerms: boolean) {
  const { options, batch } = cases[name];
  return scope(cpu, () => {
    const net = newNet(cpu);
    const parameters = net.parameters();
    const terms = new TermGradients(parameters);
    const all: IsnetOptions = { variant: 'original', C1: 0.5, C2: 1.5, ...options, classesAtOnce };
    const numbers = { P: tensor(cpu, [0.6], []), key: tensor(cpu, [1, 1], [2]) };
    let termCount = 0;
    const take = (term: Tensor) => {
      termCount++;
      terms.take(term);
    };
    const found = { ...common(cpu), ...batch?.(cpu) };
    const losses = isnetLosses(net, found, all, numbers, takesTerms ? take : undefined);
    const { total, classification, heatmap } = losses;
    const numbersOf = [total, classification, heatmap as Tensor].map((t) => dataOf(t)[0]);
    const gradients = terms.plus(backward(total, parameters)).flatMap((g) => [...dataOf(g)]);
    // Statistics of the one forward pass.
    const buffers = [...net.stateDict().values()].flatMap((t) => [...dataOf(t)]);
    return { numbersOf, gradients, buffers, termCount };
  });
}

describe('groups of classes add up to all classes', () => {
  test.each(Object.keys(cases))('%s', (name) => {
    const whole = stepOn(name, undefined, true);
    expect(whole.termCount).toBe(0);
    expect(Math.max(...whole.gradients.map(Math.abs))).toBeGreaterThan(1e-3);
    for (const [classesAtOnce, groupCount] of [
      [3, 4],
      [1, 10],
    ] as const) {
      for (const takesTerms of [true, false]) {
        const parts = stepOn(name, classesAtOnce, takesTerms);
        expect(parts.termCount).toBe(takesTerms ? groupCount : 0);
        // f64 sums in another order.
        expectClose(parts.numbersOf, whole.numbersOf, 10);
        expectClose(parts.gradients, whole.gradients, 10);
        expect(parts.buffers).toEqual(whole.buffers);
      }
    }
  });
});

test('they do so in batches in parts, too, through a whole training', async () => {
  const trained = async (classesAtOnce: number | undefined) => {
    const model = newNet(cpu);
    const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
    const isnet = { variant: 'original', C1: 0.5, C2: 1.5, P: 0.6, classesAtOnce } as const;
    const options = {
      epochs: 1,
      batchSize: 4,
      accumulate: 2,
      learningRate: 0.01,
      schedule: 'constant',
      seed: 1,
      isnet,
    } as const;
    const reports: number[] = [];
    const job: TrainJob = {
      device: cpu,
      model,
      optimizer,
      train: data,
      validation: data,
      options,
      onEpoch: ({ train, validation }) => void reports.push(train.total, validation?.total ?? 0),
    };
    await train(job);
    return [...reports, ...model.parameters().flatMap((p) => [...dataOf(p)])];
  };
  expectClose(await trained(4), await trained(undefined), 10);
});

describe('on the GPU', () => {
  let gpu: GpuDevice;
  withGpu((device) => {
    gpu = device;
  });

  // Compiles the kernels of a step and of one in groups on a software adapter.
  test('a captured step in groups gives the losses and weights of all at once, in less memory', {
    timeout: 120_000,
  }, async () => {
    const trained = async (classesAtOnce: number | undefined) => {
      const net = newNet(gpu);
      const optimizer = new SGD(net.namedParameters());
      const losses = isnetObjective({ variant: 'original', C1: 0.5, C2: 1.5, classesAtOnce });
      const steps = new TrainStep(gpu, net, optimizer, { losses, seed: 1 });
      const before = gpu.memory().usedBytes;
      const seen: number[] = [];
      const upload = () => uploadBatch(gpu, data, [0, 1, 2, 3]);
      await steps.prepare(upload);
      for (let i = 0; i < 2; i++) {
        const found = steps.train(upload, { P: 0.6, counter: i }, 0.01);
        seen.push(...(await readAll([found]))[0]);
        release(found);
      }
      const bytes = gpu.memory().usedBytes - before;
      const weights = (await readAll(net.parameters())).flatMap((values) => [...values]);
      for (const owner of [steps, optimizer, net]) owner.dispose();
      return { seen, weights, bytes };
    };
    const [whole, groups] = [await trained(undefined), await trained(3)];
    // f32 sums of some thousand terms.
    expectClose(groups.seen, whole.seen, 4);
    expectClose(groups.weights, whole.weights, 4);
    expect(groups.bytes).toBeLessThan(0.6 * whole.bytes);
  });
});

describe('groups are refused', () => {
  const refused = (options: IsnetOptions) =>
    expect(() =>
      isnetLosses(newNet(cpu), common(cpu), options, {
        P: tensor(cpu, [0.6], []),
        key: tensor(cpu, [1, 1], [2]),
      }),
    );
  test('where there is no map for each class', () => {
    refused({ variant: 'stochastic', classesAtOnce: 2 }).toThrow(
      /^isnet: classesAtOnce is 2, and variant stochastic has no map for each class; leave it out, or use variant original$/,
    );
    expect(() => completeConfig([{ isnet: { classesAtOnce: 2 } }])).toThrow(
      /^config: isnet.classesAtOnce is 2; use null, unless the variant is 'original'/,
    );
  });
  test('where the loss is no sum over them', () => {
    const options = { variant: 'original', classesAtOnce: 2 } as const;
    refused({ ...options, runningRange: new RunningRange(cpu, 1) }).toThrow(
      /running range looks at all maps/,
    );
    refused({ ...options, deepSupervision: ['4'], dLoss: 0.5 }).toThrow(/dLoss 0.5 ranks depths/);
    const running = () => completeConfig([{ isnet: { ...options, range: 'running' } }]);
    expect(running).toThrow(UsageError);
    expect(completeConfig([{ isnet: options }]).isnet.classesAtOnce).toBe(2);
  });
  test('of no class', () => {
    refused({ variant: 'original', classesAtOnce: 0 }).toThrow(/classesAtOnce is 0, which is no number/);
  });
});
