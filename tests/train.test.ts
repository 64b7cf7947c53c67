// Training and evaluation at their door: what is refused before the first step, and what an interruption leaves.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, full } from '../engine/create.ts';
import { DataError, TrainingError, UsageError } from '../engine/errors.ts';
import type { Tensor } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import { compareModels } from '../isnet/comparison-picture.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { accuracy, backgroundRelevance } from '../isnet/evaluate.ts';
import { naturalRange } from '../isnet/range.ts';
import { type EpochReport, type TrainJob, train } from '../isnet/train.ts';
import type { TrainingOptions } from '../isnet/training-options.ts';
import { Dropout, Flatten, Linear } from '../nn/layers.ts';
import type { SmallCnn } from '../nn/models/small-cnn.ts';
import { Sequential } from '../nn/module.ts';
import { SGD } from '../nn/optim.ts';
import { randomValues } from './gradcheck.ts';
import { initOn, tinyCnn } from './small-nets.ts';

const device = new CpuDevice();
const size = 36;

/** Five noise images [1, 6, 6] of three classes; the left half of each is foreground. */
function images(changes: Partial<Dataset> = {}): Dataset {
  return {
    images: Float32Array.from(randomValues('train', 5 * size, [0, 1])),
    masks: Float32Array.from({ length: 5 * size }, (_, i) => (i % 6 < 3 ? 1 : 0)),
    labels: Uint8Array.of(0, 1, 2, 0, 1),
    count: 5,
    channels: 1,
    height: 6,
    width: 6,
    classNames: ['a', 'b', 'c'],
    ...changes,
  };
}

const maskOfSample3 = (value: number): Float32Array =>
  images().masks.map((m, i) => (Math.floor(i / size) === 3 ? value : m));
const imagesWith = (value: number): Float32Array => images().images.with(3 * size + 8, value);

const unsound: Record<string, { changes: Partial<Dataset>; says: RegExp; isOfMask?: boolean }> = {
  'a label out of range': {
    changes: { labels: Uint8Array.of(0, 1, 2, 3, 1) },
    says: /sample 3 has label 3, but there are 3 classes; /,
  },
  'a mask of another size': {
    changes: { masks: new Float32Array(5 * 25) },
    says: /125 mask values, but .*; /,
  },
  'a mask that is not 0/1': {
    changes: { masks: maskOfSample3(0.5) },
    says: /sample 3 has the mask value 0\.5 .*; /,
    isOfMask: true,
  },
  'an empty mask': {
    changes: { masks: maskOfSample3(0) },
    says: /mask of sample 3 is empty .*; /,
    isOfMask: true,
  },
  'a mask that is all foreground': {
    changes: { masks: maskOfSample3(1) },
    says: /mask of sample 3 is all foreground .*; /,
    isOfMask: true,
  },
  'NaN in an image': {
    changes: { images: imagesWith(Number.NaN) },
    says: /sample 3 has the image value NaN .*; /,
  },
  'an image outside [0, 1]': {
    changes: { images: imagesWith(255) },
    says: /sample 3 has the image value 255 .*; /,
  },
};

const options: TrainingOptions = {
  epochs: 1,
  batchSize: 2,
  learningRate: 0.01,
  schedule: 'constant',
  seed: 1,
};
const isnet = { variant: 'stochastic', P: 0.5 } as const;

function newJob(changes: Partial<TrainJob> = {}): TrainJob & { model: SmallCnn; optimizer: SGD } {
  const model = tinyCnn(device);
  const optimizer = new SGD(model.namedParameters(), { momentum: 0.9 });
  return { device, train: images(), options: { ...options, isnet }, ...changes, model, optimizer };
}

const newModel = (): SmallCnn => newJob().model.eval();

function brokenModel(): SmallCnn {
  const model = newModel();
  const bias = model.namedParameters().get('classifier.1.bias') as Tensor;
  assign(bias, full(device, bias.shape, Number.NaN));
  return model;
}

describe('before the first step training refuses', () => {
  async function refusal(changes: Partial<TrainJob>): Promise<Error> {
    const job = newJob(changes);
    const error = await train(job).catch((thrown) => thrown);
    expect(job.optimizer.stepCount).toBe(0);
    return error;
  }

  test.each(Object.entries(unsound))('%s', async (_, { changes, says }) => {
    const error = await refusal({ train: images(changes) });
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toMatch(/^train: /);
    expect(error.message).toMatch(says);
    const ofValidation = await refusal({ validation: images(changes) });
    expect(ofValidation.message).toMatch(/^train: validation: /);
    expect(ofValidation.message).toMatch(says);
  });

  test('a weight P that is impossible in a later epoch', async () => {
    const P = { 0: 0.5, 2: 1.5 };
    const error = await refusal({ options: { ...options, epochs: 3, isnet: { ...isnet, P } } });
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toBe('P: the heatmap loss has weight 1.5; use 0 to 1');
  });
});

describe('evaluation refuses', () => {
  const works: Record<string, (dataset: Dataset) => Promise<unknown>> = {
    accuracy: (dataset) => accuracy(device, newModel(), dataset),
    backgroundRelevance: (dataset) => backgroundRelevance(device, newModel(), dataset),
    naturalRange: (dataset) => naturalRange(device, newModel(), dataset, { variant: 'original' }),
    compareModels: (dataset) =>
      compareModels(device, [{ name: 'it', model: newModel() }], dataset, { indices: [0] }),
  };
  const cases = Object.keys(works).flatMap((name) => Object.keys(unsound).map((what) => ({ name, what })));

  test.each(cases)('$what, $name', async ({ name, what }) => {
    const { changes, says, isOfMask = false } = unsound[what];
    const work = works[name](images(changes));
    // Only the background share looks at masks: pictures and accuracies do without.
    if (isOfMask && name !== 'backgroundRelevance') await expect(work).resolves.toBeDefined();
    else await expect(work).rejects.toThrow(says);
  });

  test('a model that gives NaN', async () => {
    const diverged = /gives NaN for image 0; its weights are damaged/;
    await expect(accuracy(device, brokenModel(), images())).rejects.toThrow(diverged);
    await expect(backgroundRelevance(device, brokenModel(), images())).rejects.toThrow(
      /gives NaN for image 0; /,
    );
    const models = [{ name: 'broken', model: brokenModel() }];
    const picture = compareModels(device, models, images(), { indices: [1] });
    await expect(picture).rejects.toThrow(TrainingError);
    await expect(picture).rejects.toThrow(/a logit of the broken is NaN; /);
  });
});

test('a model in training is so again after measures that fail', async () => {
  const model = newModel().train();
  const fails = () => {
    throw new Error('stop');
  };
  const layer = { variant: 'stochastic', deepSupervision: ['nowhere'] } as const;
  await expect(naturalRange(device, model, images(), layer)).rejects.toThrow(/nowhere/);
  expect(model.isTraining).toBe(true);
  const options = { indices: [0], attribution: fails };
  await expect(compareModels(device, [{ name: 'it', model }], images(), options)).rejects.toThrow('stop');
  expect(model.isTraining).toBe(true);
});

test('a classifier trains without masks, and an ISNet on images without an object if asked', async () => {
  const train0 = images({ masks: maskOfSample3(0) });
  const finished = { isInterrupted: false };
  expect(await train(newJob({ train: train0, options }))).toMatchObject(finished);
  const withPolicy = { ...options, isnet, emptyMasks: 'all-background' } as const;
  expect(await train(newJob({ train: train0, options: withPolicy }))).toMatchObject(finished);
});

test('a batch with a wrong number or label is refused', () => {
  expect(() => uploadBatch(device, images(), [5])).toThrow(/5 is no image; use 0 to 4/);
  expect(() => uploadBatch(device, images({ classNames: ['a', 'b'] }), [2])).toThrow(/image 2 has label 2; /);
});

test.each([1, 2, 7])('an epoch in batches of %i has every image in its mean', async (batchSize) => {
  // Without a step the mean loss does not depend on how the images are shared out.
  const reports: EpochReport[] = [];
  const still = {
    ...options,
    batchSize,
    learningRate: 1e-30,
    isnet: { ...isnet, variant: 'original' as const },
  };
  const { position } = await train(
    newJob({ options: still, onEpoch: (report) => void reports.push(report) }),
  );
  expect(position.step).toBe(Math.ceil(5 / batchSize));
  const whole: EpochReport[] = [];
  await train(newJob({ options: { ...still, batchSize: 5 }, onEpoch: (report) => void whole.push(report) }));
  expect(reports[0].train.total).toBeCloseTo(whole[0].train.total, 10);
});

// Three steps an epoch: 2 ends within one, 3 behind its last batch.
test.each([2, 3])(
  'a run interrupted after step %i goes on to the same means and weights',
  async (stopAfter) => {
    const twoEpochs = { ...options, epochs: 2, isnet };
    const reports = { whole: [] as unknown[], cut: [] as unknown[] };
    const note = (list: unknown[]) => (report: EpochReport) =>
      void list.push([report.train, report.validation, report.position]);
    const validation = images();
    const whole = newJob({ options: twoEpochs, validation, onEpoch: note(reports.whole) });
    await train(whole);

    const controller = new AbortController();
    const cut = newJob({ options: twoEpochs, validation, onEpoch: note(reports.cut) });
    const nextScalars = cut.optimizer.nextScalars.bind(cut.optimizer);
    cut.optimizer.nextScalars = (rate) => {
      const scalars = nextScalars(rate);
      if (cut.optimizer.stepCount === stopAfter) controller.abort();
      return scalars;
    };
    const outcome = await train({ ...cut, signal: controller.signal });
    expect(outcome).toMatchObject({ isInterrupted: true, position: { step: stopAfter } });
    const position = JSON.parse(JSON.stringify(outcome.position));
    await train({ ...cut, position });
    expect(reports.cut).toEqual(reports.whole);
    const weights = ({ model }: { model: SmallCnn }) => model.parameters().map((p) => [...dataOf(p)]);
    expect(weights(cut)).toEqual(weights(whole));
  },
);

test('a run resumed in a new process drops what the whole run would have dropped', async () => {
  const twoEpochs = { ...options, epochs: 2 };
  const newNet = () => {
    const init = initOn(device);
    const model = new Sequential(new Flatten(), new Dropout(init, 0.5), new Linear(init, size, 3));
    return { ...newJob({ options: twoEpochs }), model, optimizer: new SGD(model.namedParameters()) };
  };
  const whole = newNet();
  await train(whole);

  const first = newNet();
  const controller = new AbortController();
  const onStep = () => controller.abort();
  const { position } = await train({ ...first, signal: controller.signal, onStep });
  const second = newNet();
  const saved = first.model.namedParameters();
  for (const [name, t] of second.model.namedParameters()) assign(t, saved.get(name) as Tensor);
  await train({ ...second, position });
  const weights = ({ model }: { model: Sequential }) => model.parameters().map((p) => [...dataOf(p)]);
  expect(position.step).toBeLessThan(6);
  expect(weights(second)).toEqual(weights(whole));
});
