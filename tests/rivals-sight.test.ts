// What methods that hide the background promise: their answers do not move when it does.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { uploadHostBatch } from '../isnet/batch.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { maskedSource } from '../isnet/rivals/masks.ts';
import { SegmentThenClassify } from '../isnet/rivals/segment-then-classify.ts';
import { Module } from '../nn/module.ts';
import { batchOn, networkOf, planOf } from './rivals.ts';
import { smallImages, smallMasks } from './small-nets.ts';

const masks = smallMasks();
/** The images with other numbers where the mask is `where`. */
const changed = (where: 0 | 1): number[] => smallImages().map((v, i) => (masks[i] === where ? 1 - v : v));

const datasetOf = (images: readonly number[], hasMask?: Uint8Array): Dataset => ({
  images: Float32Array.from(images),
  masks: Float32Array.from(masks),
  labels: Uint8Array.of(0, 2),
  hasMask,
  count: 2,
  channels: 1,
  height: 8,
  width: 8,
  classNames: ['a', 'b', 'c'],
});

/** Answers to masked images, as training and tests get them. */
async function maskedLogits(images: readonly number[], hasMask?: Uint8Array): Promise<number[]> {
  const device = new CpuDevice();
  const net = networkOf('masked-input', device);
  const source = maskedSource(memorySource(datasetOf(images, hasMask)));
  for await (const batch of source.epoch({ batchSize: 2, shuffle: false })) {
    const again = await source.batch([0, 1]);
    expect(again.images).toEqual(batch.images);
    return [...dataOf(net.forward(uploadHostBatch(device, source, batch).images))];
  }
  throw new Error('no batch');
}

describe('masked input', () => {
  test('does not see the background', async () => {
    expect(await maskedLogits(changed(0))).toEqual(await maskedLogits(smallImages()));
  });

  test('sees the foreground', async () => {
    expect(await maskedLogits(changed(1))).not.toEqual(await maskedLogits(smallImages()));
  });

  test('sees all of an image that has no mask, and leaves the data set as it was', async () => {
    const hasMask = Uint8Array.of(1, 0);
    const [before, after] = [
      await maskedLogits(smallImages(), hasMask),
      await maskedLogits(changed(0), hasMask),
    ];
    expect(after.slice(0, 3)).toEqual(before.slice(0, 3));
    expect(after.slice(3)).not.toEqual(before.slice(3));
    const dataset = datasetOf(smallImages());
    for await (const _ of maskedSource(memorySource(dataset)).epoch({ batchSize: 2 }));
    expect(dataset.images).toEqual(Float32Array.from(smallImages()));
  });
});

/** Says that the foreground is the mask, whatever it is shown. */
class KnownMask extends Module {
  forward(x: Tensor): Tensor {
    return tensor(
      x.device,
      masks.map((m) => (m === 1 ? 0.3 : -2)),
      [2, 1, 8, 8],
    );
  }
}

describe('segment, then classify', () => {
  const answer = (images: readonly number[]): number[] => {
    const device = new CpuDevice();
    const pipeline = new SegmentThenClassify(new KnownMask(), networkOf('classifier', device));
    return [...dataOf(pipeline.forward(tensor(device, images, [2, 1, 8, 8])))];
  };

  test('does not see what the predicted mask leaves out', () => {
    expect(answer(changed(0))).toEqual(answer(smallImages()));
  });

  test('sees what it covers', () => {
    expect(answer(changed(1))).not.toEqual(answer(smallImages()));
  });

  test('leaves the U-Net alone while the classifier is trained', () => {
    const device: Device = new CpuDevice();
    const plan = planOf('segment-then-classify', device);
    const { unet } = plan.classifier as SegmentThenClassify;
    const state = () => [...unet.stateDict().values()].map((t) => [...dataOf(t)]);
    const before = state();
    const [, { model, objective }] = plan.phases;
    plan.classifier.train();
    const gradients = scope(device, () => {
      const { total } = objective(model, batchOn(device));
      return backward(total, [...unet.parameters(), ...model.parameters()]).map((t) => [...dataOf(t)]);
    });
    expect(state()).toEqual(before);
    const count = unet.parameters().length;
    expect(
      gradients
        .slice(0, count)
        .flat()
        .every((g) => g === 0),
    ).toBe(true);
    expect(
      gradients
        .slice(count)
        .flat()
        .some((g) => g !== 0),
    ).toBe(true);
  });
});
