// What a batch may hold: images without a mask, one mask per class, empty masks, several labels, labels that are not known.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { mean } from '../engine/ops/arithmetic.ts';
import { slice } from '../engine/ops/layout.ts';
import type { Tensor } from '../engine/tensor.ts';
import { heatmapLoss } from '../isnet/heatmap-loss.ts';
import { isnetMaps } from '../isnet/maps.ts';
import {
  type Batch,
  classifierLosses,
  type IsnetOptions,
  isnetLosses,
  masksOfMaps,
} from '../isnet/objective.ts';
import { originalGradient } from '../isnet/seeds.ts';
import { bceWithLogits } from '../nn/loss.ts';
import { expectClose } from './close.ts';
import { randomValues } from './gradcheck.ts';
import { fillNet, smallMasks, smallNets } from './small-nets.ts';

const device = new CpuDevice();
const net = smallNets.plain(device).eval();
fillNet(net, { withBias: true });
const parameters = net.parameters();

const N = 4;
const pixels = randomValues('batches', N * 64, [0, 1]);
const centre = smallMasks().slice(0, 64);
const corner = Array.from({ length: 64 }, (_, i) => (i % 8 < 3 && i < 24 ? 1 : 0));
const none = new Array<number>(64).fill(0);

/** Images with these masks, their labels 0, 1, 2, 0. */
function batchOf(masks: readonly (readonly number[])[], changes: Partial<Batch> = {}): Batch {
  const labels = [0, 1, 2, 0];
  const rows = labels.flatMap((label) => [0, 1, 2].map((c) => (c === label ? 1 : 0)));
  return {
    images: tensor(device, pixels, [N, 1, 8, 8]),
    targets: tensor(device, rows, [N, 3]),
    masks: tensor(device, masks.flat(), [N, masks.length / N, 8, 8]),
    ...changes,
  };
}

const options: IsnetOptions = { variant: 'original', C1: 0.5, C2: 1.5 };

function lossesOf(batch: Batch, changes: Partial<IsnetOptions> = {}) {
  const numbers = { P: tensor(device, [0.6], []), key: tensor(device, [5, 3], [2]) };
  return isnetLosses(net, batch, { ...options, ...changes }, numbers);
}

const heatmapOf = (batch: Batch, changes?: Partial<IsnetOptions>): number =>
  dataOf(lossesOf(batch, changes).heatmap as Tensor)[0];

const gradientsOf = (loss: Tensor): number[] =>
  adjoint(loss, parameters, tensor(device, [1], [])).flatMap((g) => [...dataOf(g)]);

/** The samples with these numbers of every tensor of a batch. */
function part(batch: Batch, from: number, count: number): Batch {
  const rows = (t: Tensor) =>
    slice(
      t,
      t.shape.map((_, i) => (i === 0 ? from : 0)),
      [count, ...t.shape.slice(1)],
    );
  return { images: rows(batch.images), targets: rows(batch.targets), masks: rows(batch.masks) };
}

describe('images without a mask', () => {
  const hasMask = (...flags: number[]) => tensor(device, flags, [N]);

  test('leave the heatmap loss to those that have one', () => {
    const masks = [centre, corner, none, none];
    const all = batchOf(masks, { hasMask: hasMask(1, 1, 0, 0) });
    const masked = part(batchOf(masks), 0, 2);
    expect(heatmapOf(all)).toBeCloseTo(heatmapOf(masked), 12);
    expect(heatmapOf(all)).not.toBeCloseTo(heatmapOf(batchOf(masks)), 3);
  });

  test('alone have a heatmap loss of 0, and a gradient that is that of the classification', () => {
    const batch = batchOf([none, none, none, none], { hasMask: hasMask(0, 0, 0, 0) });
    const { heatmap, total, classification } = lossesOf(batch);
    expect(dataOf(heatmap as Tensor)[0]).toBe(0);
    const scaled = gradientsOf(classification).map((g) => 0.4 * g);
    expectClose(gradientsOf(total), scaled, 12);
    expect(Math.hypot(...scaled)).toBeGreaterThan(1e-3);
  });
});

describe('an empty mask', () => {
  const maps = tensor(device, randomValues('maps', 2 * 2 * 64, [-1, 1]), [2, 2, 1, 8, 8]);
  const half = tensor(device, [...centre, ...none], [2, 1, 8, 8]);

  test('as all background penalises relevance relative to C1, demands none, and leaves the others alone', () => {
    const loss = (scale: number, C1: number) => {
      const scaled = tensor(
        device,
        dataOf(maps).map((R) => scale * R),
        maps.shape,
      );
      return heatmapLoss(scaled, half, { C1, C2: 100, d: 1 });
    };
    const { background, foreground, perSample, counts } = loss(1, 2);
    expect(counts).toBeNull();
    const mass = (k: number) =>
      dataOf(maps)
        .slice((2 * k + 1) * 64, (2 * k + 2) * 64)
        .reduce((total, R) => total + Math.abs(R), 0);
    // d = 1 is the mean, over the mean of a map whose sum is C1 (and the authors' guard of 1e-10).
    [0, 1].forEach((k) => {
      expect(dataOf(background)[2 * k + 1]).toBeCloseTo(Math.log1p(mass(k) / 2), 7);
      expect(dataOf(foreground)[2 * k + 1]).toBe(0);
    });
    expect(dataOf(loss(1e-3, 2).perSample)[1]).toBeLessThan(0.05);
    const alone = heatmapLoss(
      slice(maps, [0, 0, 0, 0, 0], [2, 1, 1, 8, 8]),
      slice(half, [0, 0, 0, 0], [1, 1, 8, 8]),
      { C1: 2, C2: 100, d: 1 },
    );
    expect(dataOf(perSample)[0]).toBeCloseTo(dataOf(alone.perSample)[0], 12);
  });

  test('skipped leaves the sample out', () => {
    const { perSample, counts } = heatmapLoss(maps, half, { emptyMasks: 'skip' });
    expect([...dataOf(counts as Tensor)]).toEqual([1, 0]);
    expect(dataOf(perSample)[1]).toBe(0);
  });

  test('gives finite gradients, also where all maps are 0', () => {
    const zeros = tensor(device, new Array(256).fill(0), maps.shape);
    for (const emptyMasks of ['skip', 'all-background'] as const) {
      const { perSample } = heatmapLoss(zeros, tensor(device, new Array(128).fill(0), half.shape), {
        emptyMasks,
      });
      const [slope] = adjoint(mean(perSample), [zeros], tensor(device, [1], []));
      expect([...dataOf(perSample), ...dataOf(slope)].every(Number.isFinite)).toBe(true);
    }
  });
});

describe('one mask per class', () => {
  // Of classes 0, 1, 2 for each image; the last image shows class 0 alone.
  const each = [centre, corner, none, corner, centre, none, none, centre, corner, centre, none, none];
  const masks = tensor(device, each.flat(), [N, 3, 8, 8]);

  test('belongs to the map of its class', () => {
    const maps = masksOfMaps(
      masks,
      'original',
      originalGradient(tensor(device, new Array(12).fill(0), [N, 3])),
    );
    expect(maps.shape).toEqual([3, N, 1, 8, 8]);
    for (let k = 0; k < 3; k++) {
      for (let n = 0; n < N; n++) {
        expect([...dataOf(maps)].slice((k * N + n) * 64, (k * N + n + 1) * 64)).toEqual(each[n * 3 + k]);
      }
    }
  });

  test('of the drawn class is taken for a map of one logit, and all for a map of several', () => {
    const rows = tensor(device, [0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1], [N, 3]);
    expect([...dataOf(masksOfMaps(masks, 'stochastic', rows))]).toEqual(
      [corner, corner, corner, none].flat(),
    );
    const union = centre.map((m, i) => Math.max(m, corner[i]));
    for (const variant of ['selective', 'dual', 'softmax'] as const) {
      expect([...dataOf(masksOfMaps(masks, variant, rows))]).toEqual([union, union, union, centre].flat());
    }
  });

  test('counts where it is not empty, so that a lone class makes the loss of its map', () => {
    const first = [...new Array(3).fill([centre, none, none])].flat();
    const batch = batchOf([...first, none, none, none]);
    const image = part(batchOf([centre, centre, centre, centre]), 0, 3);
    const maps = isnetMaps(net, image.images, net.forward(image.images), { variant: 'original' });
    const own = slice(maps, [0, 0, 0, 0, 0], [1, 3, 1, 8, 8]);
    const expected = dataOf(mean(heatmapLoss(own, image.masks, { C1: 0.5, C2: 1.5 }).perSample))[0];
    expect(heatmapOf(batch)).toBeCloseTo(expected, 12);
  });
});

describe('several labels per image', () => {
  const targets = [1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0];
  const known = [1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1];
  const logits = randomValues('logits', 12, [-3, 3]);
  const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
  const of = (values: readonly number[]) => tensor(device, values, [N, 3]);

  test('are weighed where they are known, and classes that are rare count more', () => {
    const posWeight = [1, 4, 0.5];
    let [total, count] = [0, 0];
    logits.forEach((z, i) => {
      const p = sigmoid(z);
      total -= known[i] * (posWeight[i % 3] * targets[i] * Math.log(p) + (1 - targets[i]) * Math.log(1 - p));
      count += known[i];
    });
    const weights = tensor(device, posWeight, [3]);
    const loss = bceWithLogits(of(logits), of(targets), { posWeight: weights, known: of(known) });
    expect(dataOf(loss)[0]).toBeCloseTo(total / count, 12);
    const nothing = bceWithLogits(of(logits), of(targets), { known: of(new Array(12).fill(0)) });
    expect(dataOf(nothing)[0]).toBe(0);
  });

  test('are what the classifier and the ISNet of multi-label data learn', () => {
    const masks = [centre, centre, centre, centre];
    const batch = batchOf(masks, { targets: of(targets), known: of(known) });
    const z = net.forward(batch.images);
    const expected = dataOf(bceWithLogits(z, of(targets), { known: of(known) }))[0];
    expect(dataOf(classifierLosses(net, batch, { isMultiLabel: true }).total)[0]).toBeCloseTo(expected, 12);
    const { classification, heatmap } = lossesOf(batch, { isMultiLabel: true });
    expect(dataOf(classification)[0]).toBeCloseTo(expected, 12);
    expect(dataOf(heatmap as Tensor)[0]).toBeCloseTo(heatmapOf(batchOf(masks)), 12);
  });
});
