// Evaluating a model: numbers that can be worked out by hand on a net of one convolution and one linear layer.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import { TrainingError } from '../engine/errors.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { type BatchSource, memorySource, packBatch } from '../isnet/data/source.ts';
import { predict } from '../isnet/evaluation/batches.ts';
import { conservationOf } from '../isnet/evaluation/conservation.ts';
import { deletionTest, replaceBackground } from '../isnet/evaluation/deletion.ts';
import { localise } from '../isnet/evaluation/localisation.ts';
import { evaluateOnSets } from '../isnet/evaluation/model.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { Conv2d, Flatten, Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { expectClose } from './close.ts';
import { initOn } from './small-nets.ts';

const device = new CpuDevice();
const init = initOn(device);
const composite = epsilonComposite({ eps: 1e-12 });

/** Logits z_0 = 2 (a + b), z_1 = 2 (c + d) of an image a b over c d; its relevance is what each pixel adds to a logit. */
function rowSums(bias = 0): Sequential {
  const conv = new Conv2d(init, 1, 1, 1, { bias: false });
  assign(conv.weight, tensor(device, [2], [1, 1, 1, 1]));
  const linear = new Linear(init, 4, 2);
  assign(linear.weight, tensor(device, [1, 1, 0, 0, 0, 0, 1, 1], [2, 4]));
  assign(linear.bias as NonNullable<typeof linear.bias>, tensor(device, [bias, bias], [2]));
  return new Sequential(conv, new Flatten(), linear);
}

/** Image 0: .9 .1 over 0 .2, of class 0. Image 1: 0 .1 over .6 .2, of class 1. Image 2: black, of class 1. */
const three: Dataset = {
  images: Float32Array.from([0.9, 0.1, 0, 0.2, 0, 0.1, 0.6, 0.2, 0, 0, 0, 0]),
  // The left column, the upper right pixel, the left column.
  masks: Float32Array.of(1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0),
  labels: Uint8Array.of(0, 1, 1),
  count: 3,
  channels: 1,
  height: 2,
  width: 2,
  classNames: ['upper', 'lower'],
};

const first = (count: number): Dataset => ({
  ...three,
  images: three.images.slice(0, 4 * count),
  masks: three.masks.slice(0, 4 * count),
  labels: three.labels.slice(0, count),
  count,
});

describe('predicting', () => {
  test('gives the logits of all images in order, whatever the batches, and leaves the mode of the model', async () => {
    const model = rowSums().train();
    for (const batchSize of [1, 2, 3]) {
      const { logits, targets } = await predict(device, model, memorySource(three), { batchSize });
      expectClose(logits, [2, 0.4, 0.2, 1.6, 0, 0], 6);
      expect([...targets]).toEqual([1, 0, 0, 1, 0, 1]);
    }
    expect(model.isTraining).toBe(true);
  });

  test('refuses logits that are NaN, and names the image', async () => {
    const model = rowSums(Number.NaN);
    const work = predict(device, model, memorySource(three));
    await expect(work).rejects.toThrow(TrainingError);
    await expect(work).rejects.toThrow('evaluate: the model gives NaN for image 0; ');
  });
});

describe('localisation', () => {
  test('is what can be counted by hand, at the image and at the layer', async () => {
    const result = await localise(device, rowSums(), memorySource(first(2)), { composite });
    const { report, images } = result as NonNullable<typeof result>;
    // Relevance of image 0: 1.8 .2 over 0 0, left column inside. Image 1: 0 0 over 1.2 .4, all of it outside.
    expectClose(
      images.map(({ backgroundShare }) => backgroundShare),
      [0.1, 1],
      6,
    );
    expect(report.layers.map(({ name, shape }) => [name, shape])).toEqual([
      ['image', [1, 2, 2]],
      ['0', [1, 2, 2]],
    ]);
    for (const numbers of [report, ...report.layers]) {
      expectClose(
        [numbers.backgroundShare, numbers.massAccuracy].map(({ value }) => value as number),
        [0.55, 0.45],
        6,
      );
      // The two largest of image 0 are 1.8 (inside) and .2 (outside); the largest of image 1 is outside.
      expect([numbers.rankAccuracy.value, numbers.pointingGame.value]).toEqual([0.25, 0.5]);
    }
    expect(report.classes.map(({ name, count, pointingGame }) => [name, count, pointingGame.value])).toEqual([
      ['upper', 1, 1],
      ['lower', 1, 0],
    ]);
  });

  test('counts a map without relevance as background, and has no luck with it', async () => {
    const result = await localise(device, rowSums(), memorySource(three), { composite });
    expect(result?.images[2]).toEqual({ index: 2, backgroundShare: 1 });
    expect(result?.report.pointingGame.value).toBeCloseTo(1 / 3, 12);
  });

  test('leaves out images without a mask, and is null without any', async () => {
    const some = await localise(
      device,
      rowSums(),
      memorySource({ ...three, hasMask: Uint8Array.of(1, 0, 0) }),
      {
        composite,
        batchSize: 2,
      },
    );
    expect(some?.report).toMatchObject({ count: 1, withoutMask: 2 });
    const none = await localise(device, rowSums(), memorySource({ ...three, hasMask: new Uint8Array(3) }), {
      composite,
    });
    expect(none).toBeNull();
  });

  test('takes the mask of the predicted class where every class has its own', async () => {
    const source: BatchSource = {
      ...memorySource(first(1)),
      maskCount: 2,
      // Of class 0, which is predicted: the upper left pixel. Of class 1: the upper right one.
      async *epoch() {
        yield { ...packBatch(first(1), [0]), masks: Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0) };
      },
    };
    const result = await localise(device, rowSums(), source, { composite });
    expect(result?.images[0].backgroundShare).toBeCloseTo(0.1, 6);
  });

  test('refuses relevance that is NaN', async () => {
    const work = localise(device, rowSums(Number.NaN), memorySource(three), { composite });
    await expect(work).rejects.toThrow(/localise: the model gives NaN for image 0; /);
  });
});

describe('the deletion test', () => {
  const source = memorySource(first(2));
  const batch = packBatch(first(2), [0, 1]);

  test('replaces the background and nothing else', () => {
    expectClose(replaceBackground(source, batch, 'black', 0), [0.9, 0, 0, 0, 0, 0.1, 0, 0]);
    // Image 0 gets .2 of image 1 at the lower right, and at the upper right, where that has its foreground, the mean .8 / 3.
    expectClose(replaceBackground(source, batch, 'other', 0), [0.9, 0.8 / 3, 0, 0.2, 0.15, 0.1, 0.15, 0.2]);
    const noise = replaceBackground(source, batch, 'noise', 0);
    expectClose([noise[0], noise[2], noise[5]], [0.9, 0, 0.1]);
    expect(noise.every((v) => v >= 0 && v < 1)).toBe(true);
    expect(replaceBackground(source, batch, 'noise', 0)).toEqual(noise);
    expect(replaceBackground(source, batch, 'noise', 1)).not.toEqual(noise);
    expectClose(batch.images, first(2).images);
  });

  test('takes the other background from another class if there is one', () => {
    const all = packBatch(three, [0, 1, 2]);
    const changed = replaceBackground(source, all, 'other', 0);
    // Image 1 could take that of image 2, but that shows the same class.
    expectClose(changed.subarray(4, 8), [0.15, 0.1, 0.15, 0.2]);
  });

  test('says how far the logits move: by hand, for black', async () => {
    const [black] = (await deletionTest(device, rowSums(), source)) ?? [];
    // Logits 2, .4 become 1.8, 0; logits .2, 1.6 become .2, 0, and the prediction changes.
    expect(black.logitChange.value).toBeCloseTo((0.3 + 0.8) / 2, 6);
    expect(black.predictedLogitChange.value).toBeCloseTo((-0.2 - 1.6) / 2, 6);
    expect(black.relativeChange).toBeCloseTo((0.2 + 0.4 + 1.6) / (1.6 + 1.4), 6);
    expect(black.changedPredictions.value).toBe(0.5);
    expect([black.accuracyBefore?.value, black.accuracyAfter?.value]).toEqual([1, 0.5]);
  });

  test('has no other background for an image that is alone in its batch', async () => {
    const results = await deletionTest(device, rowSums(), memorySource(three), { batchSize: 2 });
    expect(results?.map(({ replacement, count }) => [replacement, count])).toEqual([
      ['black', 3],
      ['noise', 3],
      ['other', 2],
    ]);
  });

  test('is null without masks', async () => {
    const source = memorySource({ ...three, hasMask: new Uint8Array(3) });
    expect(await deletionTest(device, rowSums(), source)).toBeNull();
  });
});

test('conservation sums the leak report over the images', async () => {
  const { count, rows } = await conservationOf(device, rowSums(0.5), memorySource(three), {
    composite,
    count: 2,
  });
  expect(count).toBe(2);
  expect(rows.map(({ name }) => name)).toEqual(['2', '1', '0']);
  // The predicted logits 2.5 and 2.1, of which the biases of .5 stay in the linear layer.
  expectClose(
    [rows[0].atOutput, rows[0].leaks.bias, rows[0].atInput, rows[2].atInput],
    [4.6, 1, 3.6, 3.6],
    6,
  );
});

describe('a whole evaluation', () => {
  const sources = {
    biased: memorySource(three),
    deceiving: memorySource({ ...three, labels: Uint8Array.of(1, 1, 1) }),
  };
  const options = { composite, isPaired: true, resamples: 20 };

  test('has every number, and survives JSON as it is', async () => {
    const result = await evaluateOnSets(device, 'isnet', rowSums(), sources, options);
    const evaluation = result?.evaluation;
    expect(evaluation?.sets.biased.accuracy.value).toBeCloseTo(2 / 3, 12);
    expect(evaluation?.gaps).toMatchObject([
      { from: 'biased', to: 'deceiving', accuracy: { value: expect.closeTo(1 / 3, 12) } },
    ]);
    expect(evaluation?.worstGroup).toMatchObject({
      className: 'lower',
      accuracy: { value: expect.closeTo(1 / 3, 12) },
    });
    expect(JSON.parse(JSON.stringify(evaluation))).toEqual(evaluation);
  });

  test('is the same whenever it is asked for', async () => {
    const twice = [1, 2].map(() => evaluateOnSets(device, 'isnet', rowSums(), sources, options));
    const [a, b] = await Promise.all(twice);
    expect(a).toEqual(b);
  });

  test('ends early when it is told to', async () => {
    let parts = 0;
    const isStopped = () => parts >= 2;
    const onPart = () => void parts++;
    expect(
      await evaluateOnSets(device, 'isnet', rowSums(), sources, { ...options, isStopped, onPart }),
    ).toBeNull();
    expect(parts).toBe(2);
  });
});
