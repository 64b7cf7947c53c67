// What a background silences: units of the object that give 0 because of it, of which no heatmap says anything.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { silencing } from '../isnet/evaluation/silencing.ts';
import { silencingText } from '../isnet/report.ts';
import { epsilonComposite } from '../lrp/composite.ts';
import { targetRows } from '../lrp/explain.ts';
import { relevance } from '../lrp/relevance.ts';
import { LeakyReLU } from '../nn/activations.ts';
import { Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { type Module, Sequential } from '../nn/module.ts';
import { fillNet, initOn, residualNet } from './small-nets.ts';

const device = new CpuDevice();
const init = initOn(device);

function filled(linear: Linear, weight: readonly number[], bias: readonly number[]): Linear {
  assign(linear.weight, tensor(device, weight, linear.weight.shape));
  assign(linear.bias as Tensor, tensor(device, bias, [bias.length]));
  return linear;
}

/** Logits relu(object - 2 background) and 0.3: class 0 unless the background silences it. */
const markedNet = (activation: Module) =>
  new Sequential(
    new Flatten(),
    filled(new Linear(init, 2, 2), [1, -2, 0, 0], [0, 0.3]),
    activation,
    filled(new Linear(init, 2, 2), [1, 0, 0, 1], [0, 0]),
  );

/** Images of two pixels, of which the second is background. */
const marked = (...backgrounds: number[]): Dataset => ({
  images: Float32Array.from(backgrounds.flatMap((background) => [1, background])),
  masks: Float32Array.from(backgrounds.flatMap(() => [1, 0])),
  labels: new Uint8Array(backgrounds.length),
  ...{ count: backgrounds.length, channels: 1, height: 1, width: 2, classNames: ['shown', 'other'] },
});

const values = (found: Awaited<ReturnType<typeof silencing>>) =>
  found && {
    accuracy: found.accuracy.value,
    objectAccuracy: found.objectAccuracy.value,
    layers: found.layers.map((each) => ({ ...each, accuracyRestored: each.accuracyRestored.value })),
  };

describe('a unit that the background silences', () => {
  test('is counted, and the network is right again with it restored', async () => {
    const found = await silencing(device, markedNet(new ReLU()), memorySource(marked(1, 0, 1, 1)));
    expect(values(found)).toEqual({
      accuracy: 0.25,
      objectAccuracy: 1,
      layers: [{ layer: '1', firing: 1, silenced: 3 / 8, accuracyRestored: 1 }],
    });
    if (!found) throw new Error('no image has a mask');
    expect(silencingText({ name: 'isnet', set: 'deceiving', silencing: found })).toBe(
      [
        'ISNet, deceiving: what the background silences',
        'accuracy 0.250 [0.046, 0.699], of the object on black 1.000 [0.510, 1.000]',
        'layer   units that fire   of these silenced   accuracy with these restored',
        '1       100.00 %          37.50 %             1.000 [0.510, 1.000]',
      ].join('\n'),
    );
  });

  test.each([
    ['is without relevance, and so is the background that silences it', new ReLU(), 0],
    ['has relevance behind a leaky ReLU, and so has the background', new LeakyReLU(0.1), 0.2],
  ])('%s', (_, activation, expected) => {
    const model = markedNet(activation);
    const input = tensor(device, [1, 1], [1, 1, 1, 2]);
    const output = model.forward(input);
    const seed = targetRows(output, 0).shape;
    const rows = tensor(device, [dataOf(output)[0], 0], seed);
    const R = relevance({ output, seed: rows, input, composite: epsilonComposite({ eps: 1e-9 }), model });
    // z = 1 - 2 and y = 0.1 z: R = -2 / (1 - 2) y = -0.2 for the background
    expect(dataOf(R)[1]).toBeCloseTo(-expected, 6);
  });

  test('of a leaky ReLU is one that has changed its sign', async () => {
    const found = await silencing(device, markedNet(new LeakyReLU(0.1)), memorySource(marked(1, 0)));
    expect(values(found)?.layers).toEqual([{ layer: '1', firing: 1, silenced: 1 / 4, accuracyRestored: 1 }]);
  });
});

test('without any mask there is nothing to say', async () => {
  const source = memorySource(marked(1, 0));
  const withoutMasks = {
    ...source,
    async *epoch(options: Parameters<typeof source.epoch>[0]) {
      for await (const batch of source.epoch(options))
        yield { ...batch, hasMask: batch.hasMask.map(() => 0) };
    },
  };
  const found = await silencing(device, markedNet(new ReLU()), withoutMasks);
  expect(found).toBeNull();
  expect(silencingText({ name: 'classifier', set: 'test', silencing: found })).toMatch(/no image has a mask/);
});

describe('through many layers', () => {
  const COUNT = 24;
  const SIDE = 8;
  const PIXELS = SIDE * SIDE;
  const images = Float32Array.from(
    { length: COUNT * PIXELS },
    (_, i) => 0.5 + 0.5 * Math.sin(1.3 * i + 0.01 * i * i),
  );
  const masks = images.map((_, i) => Number(i % SIDE < 4));
  const data = (own: Float32Array): Dataset => ({
    images: own,
    masks,
    labels: Uint8Array.from({ length: COUNT }, (_, n) => n % 3),
    ...{ count: COUNT, channels: 1, height: SIDE, width: SIDE, classNames: ['a', 'b', 'c'] },
  });

  test('the rest of the network goes on from the restored units', async () => {
    const model = new Sequential(
      new Conv2d(init, 1, 3, 3, { padding: 1 }),
      new ReLU(),
      new MaxPool2d(2),
      new Conv2d(init, 3, 4, 3, { padding: 1 }),
      new ReLU(),
      new Flatten(),
      new Linear(init, 64, 3),
    ).eval();
    fillNet(model, { withBias: true });
    const found = await silencing(device, model, memorySource(data(images)));
    const layers = model.children().map(([, layer]) => layer);
    const through = (x: Tensor, from: number, to: number) =>
      layers.slice(from, to).reduce((y, layer) => layer.forward(y), x);
    const shape = [COUNT, 1, SIDE, SIDE];
    const whole = tensor(device, images, shape);
    const object = tensor(
      device,
      images.map((x, i) => x * masks[i]),
      shape,
    );
    const expected = [2, 5].map((end) => {
      const [y, alone] = [through(whole, 0, end), through(object, 0, end)];
      const [a, b] = [dataOf(y), dataOf(alone)];
      const patched = tensor(
        device,
        Array.from(a, (x, i) => (x <= 0 && b[i] > 0 ? b[i] : x)),
        y.shape,
      );
      const logits = dataOf(through(patched, end, layers.length));
      const right = Array.from({ length: COUNT }, (_, n) => {
        const row = logits.slice(3 * n, 3 * n + 3);
        return row.indexOf(Math.max(...row)) === n % 3;
      });
      return {
        silenced: a.filter((x, i) => x <= 0 && b[i] > 0).length / b.filter((x) => x > 0).length,
        accuracyRestored: right.filter(Boolean).length / COUNT,
      };
    });
    expect(values(found)?.layers).toMatchObject(expected);
    expect(expected.every(({ silenced }) => silenced > 0)).toBe(true);
  });

  test('a black background silences nothing, behind sums and BatchNorm too', async () => {
    const model = residualNet(device).eval();
    fillNet(model, { withBias: true });
    const found = await silencing(device, model, memorySource(data(images.map((x, i) => x * masks[i]))));
    const { accuracy, objectAccuracy, layers = [] } = values(found) ?? {};
    expect(objectAccuracy).toBe(accuracy);
    expect(layers.map(({ silenced, accuracyRestored }) => [silenced, accuracyRestored])).toEqual(
      layers.map(() => [0, accuracy]),
    );
    expect(layers).toHaveLength(3);
  });
});
