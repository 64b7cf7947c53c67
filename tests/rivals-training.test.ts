// The catalogue of methods, and a method from its images to what is known of it.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { UsageError } from '../engine/errors.ts';
import { randomStream } from '../engine/random-bits.ts';
import { uploadHostBatch } from '../isnet/batch.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { memorySource } from '../isnet/data/source.ts';
import { stageNames } from '../isnet/deep-supervision.ts';
import { isnetLosses } from '../isnet/objective.ts';
import { naturalRange } from '../isnet/range.ts';
import { methodNamed, methods } from '../isnet/rivals/index.ts';
import { isnetMethods } from '../isnet/rivals/isnets.ts';
import { trainMethod } from '../isnet/rivals/train-method.ts';
import type { EpochReport } from '../isnet/train.ts';
import { Adam } from '../nn/optim.ts';
import { batchOn, input, networks } from './rivals.ts';

describe('the catalogue', () => {
  test('has every method once, each with a row in the README', () => {
    const names = methods.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const readme = readFileSync(new URL('../isnet/rivals/README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
    expect(rows.filter((name) => names.includes(name)).slice(0, names.length)).toEqual(names);
  });

  test('names the nearest method for a misspelt one', () => {
    expect(() => methodNamed('isnet-dua')).toThrow(/no method 'isnet-dua'.*isnet-dual/);
    expect(methodNamed('gain').title).toBe('GAIN with masks');
  });
});

/**
 * Images 8x8 of two classes: a bright left or right half of the middle 4x4, and a bright pixel in a corner that gives the
 * class away (`own`), is not there (`none`) or says the other class (`other`).
 */
function halves(count: number, marker: 'own' | 'none' | 'other', first = 0): Dataset {
  const images = new Float32Array(count * 64);
  const masks = new Float32Array(count * 64);
  const labels = Uint8Array.from({ length: count }, (_, n) => n % 2);
  for (let n = 0; n < count; n++) {
    for (let y = 2; y < 6; y++) {
      for (let x = 2; x < 6; x++) {
        const isBright = Math.floor((x - 2) / 2) === labels[n];
        const noise = Math.abs(Math.sin(1.3 * ((first + n) * 64 + y * 8 + x)));
        images[n * 64 + y * 8 + x] = 0.3 * noise + (isBright ? 0.12 : 0);
        masks[n * 64 + y * 8 + x] = 1;
      }
    }
    const shown = marker === 'other' ? 1 - labels[n] : labels[n];
    if (marker !== 'none') images[n * 64 + (shown === 0 ? 0 : 63)] = 1;
  }
  const classNames = ['left', 'right', 'neither'];
  return { images, masks, labels, count, channels: 1, height: 8, width: 8, classNames };
}

const sourceOf = (count: number, marker: 'own' | 'none' | 'other', first = 0) =>
  memorySource(halves(count, marker, first));
const images = {
  train: sourceOf(48, 'own'),
  validation: sourceOf(16, 'own', 48),
  unbiased: { train: sourceOf(48, 'none'), validation: sourceOf(16, 'none', 48) },
  tests: { biased: sourceOf(32, 'own', 64), deceiving: sourceOf(32, 'other', 64) },
};

async function trained(name: string, epochs = 6, learningRate = 0.02) {
  const device = new CpuDevice();
  const reports: { title: string; report: EpochReport }[] = [];
  const result = await trainMethod(device, methodNamed(name), images, {
    ...{ networks, seed: 1, epochs, batchSize: 8, learningRate, schedule: 'constant' },
    optimizer: (parameters) => new Adam(parameters),
    onEpoch: ({ title }, report) => void reports.push({ title, report }),
  });
  return { result, reports };
}

describe('a method', () => {
  test('that sees the background is deceived by it, and one that does not is not', async () => {
    const { result: plain } = await trained('classifier');
    const { result: masked } = await trained('masked-input');
    expect(plain.accuracy.biased).toBe(1);
    expect(plain.accuracy.deceiving).toBeLessThan(0.7);
    expect(masked.accuracy.biased).toBeGreaterThan(0.8);
    // The same images behind the mask, so the same answers.
    expect(masked.accuracy.deceiving).toBe(masked.accuracy.biased);
    expect(plain.parameters).toEqual(masked.parameters);
    for (const { secondsPerImage, inferenceMs } of [plain, masked]) {
      expect(Math.min(secondsPerImage, inferenceMs)).toBeGreaterThan(0);
    }
  });

  test('of two networks trains one after the other, and ends with the best weights of both', async () => {
    const { result, reports } = await trained('segment-then-classify', 3);
    expect(reports.map(({ title }) => title)).toEqual([
      ...new Array(3).fill('U-Net'),
      ...new Array(3).fill('classifier'),
    ]);
    const { device } = result.plan.classifier.parameters()[0];
    for (const [i, { title, model, objective }] of result.plan.phases.entries()) {
      const losses = reports.filter((report) => report.title === title);
      const lowest = Math.min(...losses.map(({ report }) => report.validation?.total ?? 0));
      const batch = uploadHostBatch(
        device,
        images.validation,
        await images.validation.batch([...Array(16).keys()]),
      );
      const numbers = { P: batch.images, key: batch.images };
      const { total } = objective(model, { ...batch, ...numbers });
      expect(dataOf(total)[0], `phase ${i}`).toBeCloseTo(lowest, 6);
    }
  });

  test('that needs the natural range measures it on an ordinary copy, trained first', async () => {
    const device = new CpuDevice();
    const isnet = methodNamed('isnet-deep-supervision', isnetMethods({ range: 'natural' }));
    const titles: string[] = [];
    const { plan, parameters } = await trainMethod(device, isnet, images, {
      ...{ networks, seed: 1, epochs: 1, batchSize: 8, learningRate: 0.02, schedule: 'constant' },
      optimizer: (tensors) => new Adam(tensors),
      onEpoch: ({ title }) => void titles.push(title),
    });
    expect(titles).toEqual(['ordinary copy', 'classifier']);
    expect(parameters.training).toBe(2 * parameters.runTime);
    const [copy, own] = plan.phases;
    const maps = { variant: 'stochastic', deepSupervision: stageNames(copy.model) } as const;
    const range = await naturalRange(device, copy.model, images.train, maps);
    const batch = batchOn(device);
    const expected = isnetLosses(own.model, batch, { ...maps, ...range }, batch);
    expect(dataOf(own.objective(own.model, batch).total)[0]).toBeCloseTo(dataOf(expected.total)[0], 10);
    const fresh = isnet.plan({ init: { device, random: randomStream(1, 'init') }, input, networks });
    expect(() => fresh.phases[1].objective(own.model, batch)).toThrow(/call prepare first/);
  });

  test('that is trained without the bias has its weights chosen without it', async () => {
    // A rate at which the last epoch is not the best.
    const { result, reports } = await trained('oracle', 3, 1);
    const losses = reports.map(({ report }) => report.validation?.total ?? Number.NaN);
    expect(losses.indexOf(Math.min(...losses))).toBeLessThan(2);
    const { classifier } = result.plan;
    const { validation } = images.unbiased;
    const batch = uploadHostBatch(
      classifier.parameters()[0].device,
      validation,
      await validation.batch([...Array(16).keys()]),
    );
    const { total } = result.plan.phases[0].objective(classifier, {
      ...batch,
      P: batch.images,
      key: batch.images,
    });
    expect(dataOf(total)[0]).toBeCloseTo(Math.min(...losses), 6);
  });

  test('that is to be trained without the bias needs such images', async () => {
    const { unbiased: _, ...biased } = images;
    const options = {
      ...{ networks, seed: 1, epochs: 1, batchSize: 8, learningRate: 0.02, schedule: 'constant' as const },
      optimizer: (parameters: ConstructorParameters<typeof Adam>[0]) => new Adam(parameters),
    };
    await expect(trainMethod(new CpuDevice(), methodNamed('oracle'), biased, options)).rejects.toThrow(
      UsageError,
    );
  });
});
