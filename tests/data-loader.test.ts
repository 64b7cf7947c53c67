// Batches from disk: the same numbers as from memory, the same again after a resume, and errors that name the file.
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read } from '../engine/create.ts';
import { DataError } from '../engine/errors.ts';
import { uploadHostBatch } from '../isnet/batch.ts';
import type { ImageDataConfig } from '../isnet/config.ts';
import { type Dataset, subset } from '../isnet/data/dataset.ts';
import { type ImageData, openImages } from '../isnet/data/files/loader.ts';
import { type BatchSource, type EpochOptions, type HostBatch, memorySource } from '../isnet/data/source.ts';
import { imageDefaults } from '../isnet/quickstart-config.ts';
import { pattern, temporaryFolder, upperHalf, write, writeImages, writePicture } from './image-files.ts';

const folder = temporaryFolder();
const SIZE = 8;
const small = { height: SIZE, width: SIZE, workers: 2, prefetch: 2 };

const opened: ImageData[] = [];
afterAll(async () => {
  for (const data of opened) await data.close();
});

async function openSmall(
  source: string,
  change: Partial<ImageDataConfig> = {},
  log?: (line: string) => void,
) {
  const data = await openImages({ ...imageDefaults, ...small, source, ...change }, { seed: 3, log });
  opened.push(data);
  return data;
}

async function all(source: BatchSource, options: EpochOptions): Promise<HostBatch[]> {
  const batches: HostBatch[] = [];
  for await (const batch of source.epoch(options)) batches.push(batch);
  return batches;
}

const varied = { augment: { flip: true, rotate: 20, brightness: 0.2, contrast: 0.2 }, cropMargin: 4 };

describe('images on disk', () => {
  let root: string;
  let data: ImageData;
  beforeAll(async () => {
    root = await writeImages(join(folder, 'plain'), {
      train: { a: 5, b: 4 },
      val: { a: 2, b: 1 },
      test: { a: 1, b: 1 },
      'test-other': { b: 1 },
    });
    data = await openSmall(root);
  });

  test('are the same batches as the same images in memory', async () => {
    const numbers = Array.from({ length: 9 }, (_, n) => n);
    const memory = memorySource({
      images: Float32Array.from(numbers.flatMap((n) => pattern(n, SIZE).map((value) => value / 255))),
      masks: Float32Array.from(numbers.flatMap(() => upperHalf(SIZE).map((value) => value / 255))),
      labels: Uint8Array.of(0, 0, 0, 0, 0, 1, 1, 1, 1),
      count: 9,
      channels: 1,
      height: SIZE,
      width: SIZE,
      classNames: ['a', 'b'],
    });
    const options = { batchSize: 4, seed: 1, epoch: 2 };
    expect(await all(data.train, options)).toEqual(await all(memory, options));
  });

  test('come as splits, tests by name', () => {
    expect(data.train.count).toBe(9);
    expect(data.validation?.count).toBe(3);
    expect(Object.entries(data.tests).map(([name, { count }]) => [name, count])).toEqual([
      ['test', 2],
      ['test-other', 1],
    ]);
    expect(data.train).toMatchObject({
      channels: 1,
      height: SIZE,
      width: SIZE,
      classNames: ['a', 'b'],
      maskCount: 1,
    });
  });

  test('go on after a resume as if nothing had happened, to the bit', async () => {
    const options = { batchSize: 2, seed: 1, epoch: 3, isAugmented: true };
    const whole = await all((await openSmall(root, varied)).train, options);
    const rest = await all(
      (await openSmall(root, { ...varied, workers: 1, prefetch: 1, cacheMegabytes: 0 })).train,
      {
        ...options,
        skip: 2,
      },
    );
    expect(rest).toEqual(whole.slice(2));
    expect(rest.length).toBe(3);
  });

  test('vary from epoch to epoch in training, and not at all elsewhere', async () => {
    const { train } = await openSmall(root, varied);
    const first = (batches: HostBatch[]) => batches[0].images;
    const plain = { batchSize: 9, shuffle: false };
    const epochs = await Promise.all(
      [0, 1].map((epoch) => all(train, { ...plain, epoch, isAugmented: true })),
    );
    expect(first(epochs[0])).not.toEqual(first(epochs[1]));
    expect(first(await all(train, { ...plain, epoch: 0 }))).toEqual(
      first(await all(train, { ...plain, epoch: 1 })),
    );
  });

  test('a batch that nobody waits for any more ends the reading quietly', async () => {
    for await (const batch of data.train.epoch({ batchSize: 1 })) {
      expect(batch.count).toBe(1);
      break;
    }
  });

  test('refuse a batch size that is none at the call', () => {
    expect(() => data.train.epoch({ batchSize: 0 })).toThrow(/batch size 0 is no size/);
  });

  test('can be uploaded', async () => {
    const device = new CpuDevice();
    const [batch] = await all(data.train, { batchSize: 3, shuffle: false });
    const { images, masks, targets } = uploadHostBatch(device, data.train, batch);
    expect([images.shape, masks.shape, targets.shape]).toEqual([
      [3, 1, SIZE, SIZE],
      [3, 1, SIZE, SIZE],
      [3, 2],
    ]);
    expect(Float32Array.from(await read(images))).toEqual(batch.images);
  });
});

test('an image without a mask counts for classification only', async () => {
  const root = await writeImages(join(folder, 'unmasked'), { train: { a: 3 } });
  rmSync(join(root, 'masks/train/a/1.png'));
  const [batch] = await all((await openSmall(root)).train, { batchSize: 3, shuffle: false });
  expect([...batch.hasMask]).toEqual([1, 0, 1]);
  expect(batch.masks.subarray(64, 128).every((value) => value === 0)).toBe(true);
});

test('a cut-out is its own mask, with its colours as they are', async () => {
  const root = join(folder, 'cut-out');
  const pixels = upperHalf(SIZE).flatMap((alpha) => [200, 100, 50, alpha]);
  await writePicture(join(root, 'data/train/a/0.png'), pixels, SIZE, 4);
  const [batch] = await all((await openSmall(root, { channels: 3 })).train, { batchSize: 1 });
  expect([...batch.masks]).toEqual(upperHalf(SIZE).map((value) => value / 255));
  expect(new Set(batch.images.subarray(0, 64))).toEqual(new Set([Math.fround(200 / 255)]));
});

test('masks by class: a class without one gets what the others cover together', async () => {
  const root = await writeImages(join(folder, 'by-class'), { train: { a: 1, b: 1, c: 1 } });
  rmSync(join(root, 'masks/train/a/0.png'));
  const corner = (at: number) => Array.from({ length: 64 }, (_, i) => (i === at ? 255 : 0));
  await writePicture(join(root, 'masks/train/a/0/a.png'), corner(0), SIZE);
  await writePicture(join(root, 'masks/train/a/0/b.png'), corner(63), SIZE);
  const { train } = await openSmall(root);
  expect(train.maskCount).toBe(3);
  const [batch] = await all(train, { batchSize: 3, shuffle: false });
  const ones = (map: number) =>
    [...batch.masks.subarray(64 * map, 64 * map + 64).entries()].filter(([, v]) => v === 1).map(([i]) => i);
  expect([ones(0), ones(1), ones(2)]).toEqual([[0], [63], [0, 63]]);
  // The next image has one mask for all classes.
  expect(ones(3)).toEqual(ones(5));
});

test('uncertain labels are left out of the loss', async () => {
  const root = join(folder, 'manifest');
  await writePicture(join(root, 'x.png'), pattern(1), SIZE);
  await writePicture(join(root, 'y.png'), pattern(2), SIZE);
  const list = write(
    join(root, 'list.csv'),
    'file,split,label:p,label:q\nx.png,train,1,-1\ny.png,train,0,1\n',
  );
  const { train } = await openSmall(list);
  expect(train.isMultiLabel).toBe(true);
  const [batch] = await all(train, { batchSize: 2, shuffle: false });
  expect([...batch.targets]).toEqual([1, 0, 0, 1]);
  expect([...batch.known]).toEqual([1, 0, 1, 1]);
});

test('soft edges are cut, with one message', async () => {
  const root = await writeImages(join(folder, 'soft'), { train: { a: 4 } });
  for (const n of [0, 1]) {
    const soft = upperHalf(SIZE).map((value, i) => (i % SIZE === 0 ? 100 : value));
    await writePicture(join(root, `masks/train/a/${n}.png`), soft, SIZE);
  }
  const lines: string[] = [];
  const { train } = await openSmall(root, {}, (line) => lines.push(line));
  const batches = [
    ...(await all(train, { batchSize: 2 })),
    ...(await all(train, { batchSize: 2, epoch: 1 })),
  ];
  expect(new Set(batches.flatMap(({ masks }) => [...masks]))).toEqual(new Set([0, 1]));
  expect(lines.length).toBe(1);
  expect(lines[0]).toMatch(/^warning: the mask of '.*png' has soft edges \(8 pixels/);
});

describe('what cannot be used is named', () => {
  const broken = async (name: string, change: (root: string) => Promise<unknown> | unknown, config = {}) => {
    const root = await writeImages(join(folder, name), { train: { a: 6 } });
    await change(root);
    const { train } = await openSmall(root, config);
    return all(train, { batchSize: 2, shuffle: false });
  };

  test('a damaged image', async () => {
    const batches = broken('damaged', (root) => write(join(root, 'data/train/a/3.png'), 'no picture'));
    await expect(batches).rejects.toThrow(DataError);
    await expect(batches).rejects.toThrow(/'.*data\/train\/a\/3\.png' is no readable picture/);
  });

  test('a mask of another size', async () => {
    const batches = broken('sizes', (root) =>
      writePicture(join(root, 'masks/train/a/4.png'), upperHalf(4), 4),
    );
    await expect(batches).rejects.toThrow(
      /'.*masks\/train\/a\/4\.png' is a mask of 4x4, but its image '.*' is 8x8; draw/,
    );
  });

  const blank = (value: number) => (root: string) =>
    writePicture(join(root, 'masks/train/a/2.png'), new Array(64).fill(value), SIZE);

  test('a mask that is all foreground', async () => {
    await expect(broken('full', blank(255))).rejects.toThrow(
      /'.*2\.png' is all foreground .*give it a background/,
    );
  });

  test('an empty mask, unless the policy takes it', async () => {
    await expect(broken('empty', blank(0))).rejects.toThrow(/'.*2\.png' is empty; draw it/);
    const background = await broken('empty-1', blank(0), { emptyMasks: 'all-background' });
    expect([...background[1].hasMask]).toEqual([1, 1]);
    expect(background[1].masks.subarray(0, 64)).not.toContain(1);
    const unmasked = await broken('empty-2', blank(0), { emptyMasks: 'unmasked' });
    expect([...unmasked[1].hasMask]).toEqual([0, 1]);
  });

  test('a data set with errors is not opened', async () => {
    const root = await writeImages(join(folder, 'unsound'), { train: { a: 1 }, test: { b: 1 } });
    await expect(openSmall(root)).rejects.toThrow(/'.*test\/b': is no class of the training images/);
  });

  test('a loader that was closed', async () => {
    const root = await writeImages(join(folder, 'closed'), { train: { a: 2 } });
    const { train, close } = await openSmall(root);
    await close();
    await expect(all(train, { batchSize: 2 })).rejects.toThrow(/the loader is closed/);
  });
});

test('a cut that loses the object counts for classification only', async () => {
  const root = join(folder, 'lost');
  // One bright column at the left edge; random cuts of 8 from 24 columns often miss it.
  const mask = Array.from({ length: 64 }, (_, i) => (i % SIZE === 0 ? 255 : 0));
  await writePicture(join(root, 'data/train/a/0.png'), pattern(1), SIZE);
  await writePicture(join(root, 'masks/train/a/0.png'), mask, SIZE);
  const { train } = await openSmall(root, { cropMargin: 16 });
  const flags = new Set<number>();
  for (let epoch = 0; epoch < 20; epoch++) {
    const [{ hasMask, masks }] = await all(train, { batchSize: 1, epoch, isAugmented: true });
    expect(masks.includes(1)).toBe(hasMask[0] === 1);
    flags.add(hasMask[0]);
  }
  expect(flags).toEqual(new Set([0, 1]));
});

describe('a dataset in memory', () => {
  const dataset: Dataset = {
    images: Float32Array.from({ length: 12 }, (_, i) => i / 12),
    masks: Float32Array.of(1, 0, 0, 0, 0, 1),
    labels: Uint8Array.of(1, 0, 1),
    hasMask: Uint8Array.of(1, 0, 1),
    count: 3,
    channels: 2,
    height: 1,
    width: 2,
    classNames: ['x', 'y'],
  };

  test('keeps the flags of images without masks', async () => {
    const [batch] = await all(memorySource(subset(dataset, [2, 1])), { batchSize: 2, shuffle: false });
    expect([...batch.hasMask]).toEqual([1, 0]);
    expect([...batch.targets]).toEqual([0, 1, 1, 0]);
    expect(batch.images).toEqual(
      Float32Array.from([...dataset.images.subarray(8), ...dataset.images.subarray(4, 8)]),
    );
  });

  test('skips the batches that a resumed run has done', async () => {
    const options = { batchSize: 1, seed: 4, epoch: 1 };
    const source = memorySource(dataset);
    expect(await all(source, { ...options, skip: 2 })).toEqual((await all(source, options)).slice(2));
  });
});

test('a loading thread imports no device', () => {
  const root = join(import.meta.dirname, '..');
  const seen = new Set(['isnet/data/files/worker.ts']);
  const packages = new Set<string>();
  for (const file of seen) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, name] of text.matchAll(/^(?:import|export)\b(?! type)[^'";]*?\bfrom\s+'([^']+)'/gm)) {
      if (name.startsWith('.')) seen.add(join(dirname(file), name));
      else packages.add(name);
    }
  }
  expect([...packages].filter((name) => !name.startsWith('node:'))).toEqual([]);
  expect([...seen].filter((file) => /device|adapter/.test(file))).toEqual([]);
  expect(seen.size).toBeGreaterThan(8);
});
