// What a background adds to each logit: derived by hand for a linear model, on the CPU reference.
import { describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { logitBackgrounds } from '../isnet/evaluation/logit-backgrounds.ts';
import { logitsText } from '../isnet/report.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { Flatten, Linear } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import { initOn } from './small-nets.ts';

const device = new CpuDevice();
const linear = new Linear(initOn(device), 2, 3);
// object weights 1, 0, -1; the background raises the first and the last logit, and lowers the one between
assign(linear.weight, tensor(device, [1, 2, 0, -1, -1, 2], [3, 2]));
assign(linear.bias as Tensor, tensor(device, [0, 0, 0], [3]));
const model = new Sequential(new Flatten(), linear);
const composite = epsilonComposite({ eps: 1e-9 });

/** Images of two pixels, of which the second is background. */
const images = (...pixels: readonly (readonly [number, number])[]): Dataset => ({
  images: Float32Array.from(pixels.flat()),
  masks: Float32Array.from(pixels.flatMap(() => [1, 0])),
  labels: new Uint8Array(pixels.length),
  ...{ count: pixels.length, channels: 1, height: 1, width: 2, classNames: ['a', 'b', 'c'] },
});

describe('the background of a logit', () => {
  test('is what its weights make of it, by the rank of the logit in each image', async () => {
    // [1, 1]: logits 3, -1, 1; [0.5, 0.5]: half of that. Rank 1 is the last class, and rank 2 the middle one.
    const found = await logitBackgrounds(device, model, memorySource(images([1, 1], [0.5, 0.5])), {
      composite,
      batchSize: 1,
    });
    expect(found?.imageCount).toBe(2);
    const [relevance, share] = [
      found?.ranks.map((each) => each.relevance.value),
      found?.ranks.map((each) => each.share.value),
    ];
    [1.5, 1.5, -0.75].forEach((expected, rank) => {
      expect(relevance?.[rank]).toBeCloseTo(expected, 6);
    });
    [2 / 3, 2 / 3, 1].forEach((expected, rank) => {
      expect(share?.[rank]).toBeCloseTo(expected, 6);
    });
  });

  test('goes with the rank, not with the class', async () => {
    const found = await logitBackgrounds(device, model, memorySource(images([1, 0], [0.2, 0.5])), {
      composite,
    });
    // [0.2, 0.5]: logits 1.2, -0.5, 0.8; [1, 0]: 1, 0, -1, so rank 1 is the middle class there.
    const expected = [(0 + 1) / 2, (0 + 1) / 2, (0 - 0.5) / 2];
    found?.ranks.forEach(({ relevance }, rank) => {
      expect(relevance.value).toBeCloseTo(expected[rank], 6);
    });
    // Nothing reaches the middle logit of [1, 0]: a map without relevance counts as background.
    expect(found?.ranks.map(({ share }) => Number(share.value?.toFixed(4)))).toEqual([
      Number((0.5 * (1 / 1.2)).toFixed(4)),
      Number((0.5 * (1 + 1 / 1.2)).toFixed(4)),
      0.5,
    ]);
  });

  test('is told for each rank, and null without masks', async () => {
    const source = memorySource(images([1, 1], [0.5, 0.5]));
    const logits = await logitBackgrounds(device, model, source, { composite });
    const text = logitsText({ name: 'isnet', set: 'biased', logits });
    expect(text).toMatch(/^ISNet, biased: what the background adds to each logit\nlogit +relevance outside/);
    expect(text).toMatch(/^largest +1\.500 \[.*\] +0\.667$/m);
    expect(text).toMatch(/^3 +-0\.750 \[.*\] +1\.000$/m);
    const withoutMasks = {
      ...source,
      async *epoch(options: Parameters<typeof source.epoch>[0]) {
        for await (const batch of source.epoch(options))
          yield { ...batch, hasMask: batch.hasMask.map(() => 0) };
      },
    };
    expect(await logitBackgrounds(device, model, withoutMasks)).toBeNull();
    expect(logitsText({ name: 'isnet', set: 'biased', logits: null })).toMatch(/no image has a mask/);
  });
});
