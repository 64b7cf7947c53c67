// What happens in a training that nobody watches: it stops when it gets no better, slows down, and says what went wrong.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { literal } from '../engine/create.ts';
import { OutOfMemoryError, TrainingError, UsageError } from '../engine/errors.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { classWeightsOf, posWeightOf } from '../isnet/class-weights.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { type BatchSource, memorySource } from '../isnet/data/source.ts';
import { LossMeter } from '../isnet/loss-meter.ts';
import { classifierLosses, type Objective } from '../isnet/objective.ts';
import { type EpochReport, type StepReport, type TrainJob, train } from '../isnet/train.ts';
import type { TrainingOptions } from '../isnet/training-options.ts';
import { Flatten, Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { SGD } from '../nn/optim.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { initOn } from './small-nets.ts';

const device = new CpuDevice();

const images: Dataset = {
  images: Float32Array.from(randomValues('control', 6 * 9, [0, 1])),
  masks: Float32Array.from({ length: 6 * 9 }, (_, i) => (i % 3 === 0 ? 1 : 0)),
  labels: Uint8Array.of(0, 1, 0, 0, 1, 0),
  count: 6,
  channels: 1,
  height: 3,
  width: 3,
  classNames: ['a', 'b'],
};

const options: TrainingOptions = {
  epochs: 8,
  batchSize: 2,
  learningRate: 0.1,
  schedule: 'constant',
  seed: 1,
};

function newJob(changes: Partial<TrainJob> = {}): TrainJob {
  const model = new Sequential(new Flatten(), new Linear(initOn(device), 9, 2));
  const optimizer = new SGD(model.namedParameters());
  return { device, model, optimizer, train: images, validation: images, options, ...changes };
}

/** Validation losses that are these, one per epoch, whatever the model does; training is as ever. */
function scripted(losses: readonly number[]): Objective {
  let epoch = 0;
  return (model, inputs) => {
    const real = classifierLosses(model, inputs);
    if (model.isTraining) return real;
    // All six validation images are one batch.
    const loss = add(mul(real.total, 0), literal(device, [losses[epoch++]], []));
    return { ...real, total: loss, classification: loss };
  };
}

async function run(
  losses: readonly number[],
  changes: Partial<TrainingOptions>,
  others: Partial<TrainJob> = {},
) {
  const reports: EpochReport[] = [];
  const objective = scripted(losses);
  const job = newJob({ options: { ...options, ...changes, objective }, ...others });
  const outcome = await train({ ...job, onEpoch: (report) => void reports.push(report) });
  return { job, outcome, reports };
}

describe('early stopping', () => {
  const losses = [1, 0.9, 0.95, 0.92, 0.5, 0.4, 0.3, 0.2];
  test('ends training after so many epochs without a lower validation loss', async () => {
    const { outcome, reports } = await run(losses, { earlyStopping: { patience: 2 } });
    expect(reports.map(({ isLast }) => isLast)).toEqual([false, false, false, true]);
    expect(outcome).toMatchObject({ isInterrupted: false, isDone: true, position: { epoch: 4, step: 12 } });
    // The best epoch is not the last one.
    expect(reports.map(({ isBest }) => isBest)).toEqual([true, true, false, false]);
  });
  test('wants the loss lower by minDelta', async () => {
    const { reports } = await run([1, 0.9, 0.8, 0.7], { earlyStopping: { patience: 3, minDelta: 0.4 } });
    expect(reports).toHaveLength(4);
  });
  test('that a resume finds exhausted takes no more steps', async () => {
    const changes = { earlyStopping: { patience: 2 } };
    const { outcome } = await run(losses, changes);
    const position = JSON.parse(JSON.stringify(outcome.position));
    const again = await run(losses, changes, { position });
    expect(again.reports).toEqual([]);
    expect(again.outcome).toEqual(outcome);
  });
  test('goes on counting where a resumed run left off', async () => {
    const changes = { earlyStopping: { patience: 2 } };
    const first = await run(losses.slice(0, 3), { ...changes, epochs: 3 });
    expect(first.outcome.position.earlyStopping).toEqual({ best: 0.9, badEpochs: 1 });
    const position = JSON.parse(JSON.stringify(first.outcome.position));
    const { reports } = await run(losses.slice(3), changes, { position });
    expect(reports.map(({ epoch, isLast }) => [epoch, isLast])).toEqual([[3, true]]);
  });
  test('and schedule plateau are refused without validation images', async () => {
    const refusal = (changes: Partial<TrainingOptions>) =>
      train(newJob({ validation: undefined, options: { ...options, ...changes } }));
    await expect(refusal({ earlyStopping: { patience: 1 } })).rejects.toThrow(
      'train: early stopping watches the validation loss, and there are no validation images; give some, or leave it out',
    );
    await expect(refusal({ schedule: 'plateau' })).rejects.toThrow(UsageError);
  });
});

describe('schedule plateau', () => {
  const changes = {
    schedule: 'plateau',
    plateau: { factor: 0.5, patience: 0 },
    warmupSteps: 2,
    epochs: 4,
  } as const;
  test('lowers the rate of the steps after an epoch that was no better', async () => {
    const { reports } = await run([1, 2, 0.5, 2], changes);
    expectClose(
      reports.map(({ learningRate }) => learningRate ?? 0),
      [0.1, 0.1, 0.05, 0.05],
      15,
    );
    expect(reports[3].position.plateau).toEqual({ learningRate: 0.025, best: 0.5, badEpochs: 0 });
  });
  test('has the lowered rate after a resume, too', async () => {
    const { outcome } = await run([1, 2], { ...changes, epochs: 2 });
    const position = JSON.parse(JSON.stringify(outcome.position));
    const { reports } = await run([0.5, 2], changes, { position });
    expectClose(
      reports.map(({ learningRate }) => learningRate ?? 0),
      [0.05, 0.05],
      15,
    );
  });
});

test('a step report has the rate, P and the mean losses of its own steps', async () => {
  const reports: StepReport[] = [];
  const isnet = { variant: 'original', C1: 0.5, C2: 1.5, P: { to: 0.6, epochs: 4 } } as const;
  // Ten steps an epoch: reports behind the eighth and the tenth.
  const many = { ...options, epochs: 1, batchSize: 1, isnet, warmupSteps: 20 };
  const ten: Dataset = {
    ...images,
    images: Float32Array.from([...images.images, ...images.images.subarray(0, 36)]),
    masks: Float32Array.from([...images.masks, ...images.masks.subarray(0, 36)]),
    labels: Uint8Array.from([...images.labels, 0, 1, 0, 0]),
    count: 10,
  };
  await train(newJob({ train: ten, options: many, onStep: (report) => void reports.push(report) }));
  expect(reports.map(({ step }) => step)).toEqual([8, 10]);
  expectClose(
    reports.map(({ learningRate }) => learningRate),
    [0.04, 0.05],
    12,
  );
  expectClose(
    reports.map(({ P }) => P),
    [0.6 * (0.7 / 4), 0.6 * (0.9 / 4)],
    12,
  );
  const [first, second] = reports;
  expect(first.recent.total).toBe(first.total);
  expect((8 * first.recent.total + 2 * second.recent.total) / 10).toBeCloseTo(second.total, 12);
});

test('a validation loss that is not finite ends training before the epoch is reported', async () => {
  const reports: EpochReport[] = [];
  const objective = scripted([1, Number.NaN]);
  const job = newJob({ options: { ...options, objective }, onEpoch: (report) => void reports.push(report) });
  const failed = train(job);
  await expect(failed).rejects.toThrow(TrainingError);
  await expect(failed).rejects.toThrow(
    /^train: the classification loss of the validation images is NaN after epoch 2; .*; the last saved state is intact$/,
  );
  expect(reports).toHaveLength(1);
});

test('too little memory names what was asked for and what lowers it', async () => {
  const refusing = (message: string) => {
    const cause = new OutOfMemoryError(message);
    const objective: Objective = () => {
      throw cause;
    };
    return { cause, objective };
  };
  const { cause, objective } = refusing(
    'conv2d [8, 3] -> [8, 4]: no memory for 512 bytes beside the 99 in use and 7 kept for reuse; open a new device and use a smaller batch, or close other programs',
  );
  const failed = train(newJob({ options: { ...options, objective } }));
  await expect(failed).rejects.toThrow(
    /^train: conv2d \[8, 3\] -> \[8, 4\]: no memory for 512 bytes beside the 99 in use and 7 kept for reuse \(\d+ bytes at most so far\); open a new device and use a batch size below 2, or accumulate above 1, so that a step goes in more parts, or recompute 'cheap', which keeps less and works more; the last saved state is intact$/,
  );
  await expect(failed).rejects.toMatchObject({ cause });
  // Where the device goes on. Of maps for each class, fewer at a time; of what has been done already, nothing.
  const limited = refusing('conv2d: a tensor needs 512 bytes and 99 can be bound; use a smaller batch');
  const isnet = { variant: 'original', P: 0.5, classesAtOnce: 4 } as const;
  const harder = train(
    newJob({ options: { ...options, objective: limited.objective, isnet, accumulate: 2, recompute: 'all' } }),
  );
  await expect(harder).rejects.toThrow(
    /at most so far\); use a batch size below 2, or classesAtOnce below 4, so that not all maps are there at a time, or variant 'stochastic', one map per image in place of one per class;/,
  );
});

describe('means of losses', () => {
  test('weigh each term by what it is a mean of', () => {
    const meter = new LossMeter();
    meter.add([1, 2, 4], { images: 4, classification: 4, heatmap: 1 });
    meter.add([3, 5, 1], { images: 4, classification: 12, heatmap: 3 });
    const sums = JSON.parse(JSON.stringify(meter.sums()));
    expect(new LossMeter(sums).report()).toEqual({ total: 2, classification: 68 / 16, heatmap: 7 / 4 });
  });
  test('are 0 for a term that no image had something to say about', () => {
    const meter = new LossMeter();
    meter.add([1, 2, 0], { images: 4, classification: 4, heatmap: 0 });
    expect(meter.report()).toEqual({ total: 1, classification: 2, heatmap: 0 });
  });
  test('of validation do not depend on how images with and without masks are shared out', async () => {
    const some = { ...images, hasMask: Uint8Array.of(1, 0, 0, 0, 1, 1) };
    const inner = memorySource(some);
    const inBatchesOf = (batchSize: number): BatchSource => ({
      ...inner,
      epoch: (given) => inner.epoch({ ...given, batchSize }),
    });
    const isnet = { variant: 'original', C1: 0.5, C2: 1.5, P: 0.6 } as const;
    const validationOf = async (batchSize: number) => {
      const reports: EpochReport[] = [];
      const onEpoch = (report: EpochReport) => void reports.push(report);
      const still = { ...options, epochs: 1, learningRate: 1e-30, isnet };
      await train(newJob({ validation: inBatchesOf(batchSize), options: still, onEpoch }));
      const { total, classification, heatmap } = reports[0].validation as EpochReport['train'];
      return [total, classification, heatmap as number];
    };
    const whole = await validationOf(6);
    for (const size of [1, 2, 4]) expectClose(await validationOf(size), whole, 10);
  });
});

describe('weights of classes', () => {
  const source = memorySource(images);
  test('balanced are those of scikit-learn, and not shown / shown for several labels', () => {
    expect(classWeightsOf('balanced', source)).toEqual([6 / (2 * 4), 6 / (2 * 2)]);
    expect(posWeightOf('balanced', source)).toEqual([2 / 4, 4 / 2]);
  });
  test('change the loss to a weighted mean', async () => {
    const lossWith = async (classWeights?: readonly number[]) => {
      const reports: EpochReport[] = [];
      const still = { ...options, epochs: 1, batchSize: 6, learningRate: 1e-30, classWeights };
      const job = newJob({ options: still, onEpoch: (report) => void reports.push(report) });
      await train(job);
      return { job, loss: reports[0].train.total };
    };
    const { job, loss } = await lossWith([3, 0.5]);
    const [weight, bias] = job.model.parameters().map((p) => [...dataOf(p)]);
    let [above, below] = [0, 0];
    images.labels.forEach((label, n) => {
      const z = [0, 1].map((c) =>
        images.images.subarray(9 * n, 9 * n + 9).reduce((sum, x, i) => sum + x * weight[9 * c + i], bias[c]),
      );
      const w = [3, 0.5][label];
      above += w * (Math.log(Math.exp(z[0]) + Math.exp(z[1])) - z[label]);
      below += w;
    });
    expect(loss).toBeCloseTo(above / below, 8);
    expect((await lossWith()).loss).not.toBeCloseTo(loss, 3);
  });
  test('that do not fit are refused', async () => {
    const refusal = (changes: Partial<TrainingOptions>, others: Partial<TrainJob> = {}) =>
      train(newJob({ ...others, options: { ...options, ...changes } }));
    await expect(refusal({ classWeights: [1, 2, 3] })).rejects.toThrow(
      "train: classWeights has 3 numbers and there are 2 classes (a, b); give one for each, or 'balanced'",
    );
    await expect(refusal({ posWeight: [1, 2] })).rejects.toThrow(
      /posWeight is for images that may show several/,
    );
    const several = { train: { ...source, isMultiLabel: true } };
    await expect(refusal({ classWeights: 'balanced' }, several)).rejects.toThrow(/use posWeight$/);
    const onlyA = { train: { ...images, labels: new Uint8Array(6) } };
    await expect(refusal({ classWeights: 'balanced' }, onlyA)).rejects.toThrow(
      /classWeights of class 'b' is Infinity; give numbers above 0/,
    );
  });
});
