// Batches from disk: the same numbers as from memory, the same again after a resume, and errors that name the file.
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { read } from '../engine/create.ts';
import { DataError } from '../engine/errors.ts';
import { uploadHostBatch } from '../isnet/batch.ts';
import { checkDataset, type Dataset, subset } from '../isnet/data/dataset.ts';
import { type EmptyFilePolicy, prepareSample } from '../isnet/data/files/prepare.ts';
import {
  type BatchSource,
  type EpochOptions,
  type HostBatch,
  memorySource,
  toDataset,
} from '../isnet/data/source.ts';
import type { DataSplits } from '../isnet/data/splits.ts';
import { pattern, temporaryFolder, upperHalf, write, writeImages, writePicture } from './image-files.ts';
import { openSmall } from './opened-images.ts';

const folder = temporaryFolder();
const SIZE = 8;

async function all(source: BatchSource, options: EpochOptions): Promise<HostBatch[]> {
  const batches: HostBatch[] = [];
  for await (const batch of source.epoch(options)) batches.push(batch);
  return batches;
}

const varied = { augment: { flip: true, rotate: 20, brightness: 0.2, contrast: 0.2 }, cropMargin: 4 };

describe('images on disk', () => {
  let root: string;
  let data: DataSplits;
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
      ['other', 1],
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
    const whole = await all((await openSmall(root, { ...varied, workers: 2 })).train, options);
    const rest = await all((await openSmall(root, { ...varied, prefetch: 1, cacheMegabytes: 0 })).train, {
      ...options,
      skip: 2,
    });
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
  expect(lines[0]).toMatch(/^warning: the mask '.*masks.*png' has soft edges \(8 pixels/);
});

test('a mask that is lost in the frame counts for classification only, with a message', async () => {
  const root = join(folder, 'speck');
  // One pixel of 32 x 32 is nothing at 8 x 8.
  const speck = Array.from({ length: 1024 }, (_, i) => (i === 500 ? 255 : 0));
  await writePicture(join(root, 'data/train/a/0.png'), pattern(1, 32), 32);
  await writePicture(join(root, 'masks/train/a/0.png'), speck, 32);
  const lines: string[] = [];
  const [batch] = await all((await openSmall(root, {}, (line) => lines.push(line))).train, { batchSize: 1 });
  expect([...batch.hasMask]).toEqual([0]);
  expect(lines.length).toBe(1);
  expect(lines[0]).toMatch(/0\.png' \(1 of 1024 pixels\) leaves no foreground or no background at 8x8/);
});

describe('what cannot be used is named', () => {
  test('a damaged image, by the batch that needs it', async () => {
    const root = await writeImages(join(folder, 'damaged'), { train: { a: 6 } });
    write(join(root, 'data/train/a/3.png'), 'no picture');
    const { train } = await openSmall(root);
    const counts: number[] = [];
    const reading = (async () => {
      for await (const { count } of train.epoch({ batchSize: 2, shuffle: false })) counts.push(count);
    })();
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(/'.*data\/train\/a\/3\.png' is no readable picture/);
    expect(counts).toEqual([2]);
  });

  const frame = { channels: 1, height: SIZE, width: SIZE, resize: 'stretch' } as const;
  const prepare = (file: string, mask: string, emptyMasks: EmptyFilePolicy = 'error') =>
    prepareSample(
      { file, mask: { whole: mask, byClass: {} } },
      { frame, emptyMasks, classNames: ['a'], maskCount: 1 },
    );
  const image = join(folder, 'image.png');
  beforeAll(() => writePicture(image, pattern(1), SIZE));

  test('a mask of another size', async () => {
    const mask = await writePicture(join(folder, 'small.png'), upperHalf(4), 4);
    await expect(prepare(image, mask)).rejects.toThrow(
      /'.*small\.png' is a mask of 4x4, but its image '.*image\.png' is 8x8; draw/,
    );
  });

  const blank = (name: string, value: number) =>
    writePicture(join(folder, name), new Array(64).fill(value), SIZE);

  test('a mask that is all foreground', async () => {
    await expect(prepare(image, await blank('full.png', 255))).rejects.toThrow(
      /'.*full\.png' is all foreground .*give it a background/,
    );
  });

  test('an empty mask, unless the policy takes it', async () => {
    const mask = await blank('empty.png', 0);
    await expect(prepare(image, mask)).rejects.toThrow(/'.*empty\.png' is empty; draw it/);
    expect((await prepare(image, mask, 'all-background')).masks).toEqual(new Uint8Array(64));
    expect((await prepare(image, mask, 'unmasked')).masks).toBe(null);
  });

  test('a data set with errors is not opened', async () => {
    const root = await writeImages(join(folder, 'unsound'), { train: { a: 1 }, test: { b: 1 } });
    await expect(openSmall(root)).rejects.toThrow(/'.*test\/b': is no class of the training images/);
  });

  test('a loader that is closed while it reads', async () => {
    const root = await writeImages(join(folder, 'closing'), { train: { a: 4 } });
    const { train, close } = await openSmall(root);
    const reading = all(train, { batchSize: 1 });
    await Promise.all([
      expect(reading).rejects.toThrow(/the loader was closed while it was reading/),
      close(),
    ]);
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

  test('is checked without the masks that it has not, and its flags are counted', () => {
    const empty = { ...dataset, masks: Float32Array.of(1, 0, 0, 0, 0, 1) };
    expect(() => checkDataset('here', empty)).not.toThrow();
    expect(() => checkDataset('here', { ...empty, hasMask: undefined })).toThrow(
      /the mask of sample 1 is empty/,
    );
    expect(() => checkDataset('here', { ...empty, hasMask: Uint8Array.of(1) })).toThrow(
      /hasMask has 1 entries for 3 images/,
    );
  });

  test('skips the batches that a resumed run has done', async () => {
    const options = { batchSize: 1, seed: 4, epoch: 1 };
    const source = memorySource(dataset);
    expect(await all(source, { ...options, skip: 2 })).toEqual((await all(source, options)).slice(2));
  });
});

describe('images on disk as a dataset in memory', () => {
  test('are those of the source, as many as asked for', async () => {
    const root = await writeImages(join(folder, 'to-memory'), { train: { a: 2, b: 2 } });
    rmSync(join(root, 'masks/train/a/1.png'));
    const { train } = await openSmall(root);
    const dataset = await toDataset(train, 3);
    expect(dataset).toMatchObject({
      count: 3,
      channels: 1,
      height: SIZE,
      width: SIZE,
      classNames: ['a', 'b'],
    });
    expect([...dataset.labels]).toEqual([0, 0, 1]);
    expect([...(dataset.hasMask ?? [])]).toEqual([1, 0, 1]);
    const [batch] = await all(train, { batchSize: 3, shuffle: false });
    expect([dataset.images, dataset.masks]).toEqual([batch.images, batch.masks]);
    expect(() => checkDataset('here', dataset)).not.toThrow();
  });

  test('are refused where a dataset cannot say what they are', async () => {
    const root = join(folder, 'uncertain');
    await writePicture(join(root, 'x.png'), pattern(1), SIZE);
    await writePicture(join(root, 'y.png'), pattern(2), SIZE);
    const lines = (label: string) => ['file,split,label', 'x.png,train,p', `y.png,train,${label}`].join('\n');
    const { train } = await openSmall(write(join(root, 'one.csv'), lines('-1')));
    await expect(toDataset(train)).rejects.toThrow(/image 1 has an uncertain label/);
    const several = await openSmall(write(join(root, 'two.csv'), lines('p').replace('label', 'labels')));
    await expect(toDataset(several.train)).rejects.toThrow(/this source has several labels/);
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
