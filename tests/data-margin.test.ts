// The margin of masks on its way from settings to batches: images from disk, previews, benchmarks, and models that are tested.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBenchmark } from '../isnet/benchmarks/index.ts';
import type { BatchSource, EpochOptions, HostBatch } from '../isnet/data/source.ts';
import type { DataSplits } from '../isnet/data/splits.ts';
import { imageConfigOf, openData, openTests } from '../isnet/open-data.ts';
import { imageDefaults, quickstartConfig } from '../isnet/quickstart-config.ts';
import { readPng } from '../lrp/png.ts';
import { isnet } from './command-line.ts';
import { pattern, temporaryFolder, writeImages, writePicture } from './image-files.ts';
import { openSmall } from './opened-images.ts';

const folder = temporaryFolder();
const SIZE = 8;

const openTraining = async (...args: Parameters<typeof openSmall>) => (await openSmall(...args)).train;

async function first(source: BatchSource, options: Partial<EpochOptions> = {}): Promise<HostBatch> {
  for await (const batch of source.epoch({ batchSize: 100, shuffle: false, ...options })) return batch;
  throw new Error('no batch');
}

/** By the definition, pixel for pixel, for planes [height, width]. */
function grown(masks: Float32Array, height: number, width: number, margin: number): Float32Array {
  return masks.map((_, i) => {
    const plane = Math.floor(i / (height * width)) * height * width;
    const [row, column] = [Math.floor((i - plane) / width), (i - plane) % width];
    for (let y = Math.max(0, row - margin); y <= Math.min(height - 1, row + margin); y++) {
      for (let x = Math.max(0, column - margin); x <= Math.min(width - 1, column + margin); x++) {
        if (masks[plane + y * width + x] === 1) return 1;
      }
    }
    return 0;
  });
}

/** A mask with one bright rectangle. */
const box = (size: number, [top, left]: [number, number], side: number): number[] =>
  Array.from({ length: size * size }, (_, i) => {
    const [y, x] = [Math.floor(i / size) - top, (i % size) - left];
    return y >= 0 && y < side && x >= 0 && x < side ? 255 : 0;
  });

/** Rows and columns from first to last foreground of a mask of SIZE x SIZE, ends included. */
function extentOf(mask: Float32Array): number[] {
  const on = [...mask.keys()].filter((i) => mask[i] === 1);
  const [rows, columns] = [on.map((i) => Math.floor(i / SIZE)), on.map((i) => i % SIZE)];
  return [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
}

async function writeBoxes(name: string, size: number, ...masks: number[][]): Promise<string> {
  const root = join(folder, name);
  for (const [n, mask] of masks.entries()) {
    await writePicture(join(root, `data/train/a/${n}.png`), pattern(n, size), size);
    await writePicture(join(root, `masks/train/a/${n}.png`), mask, size);
  }
  return root;
}

describe('the margin of masks of images on disk', () => {
  test('is in pixels of the network input, whatever the size of the file', async () => {
    // 4 x 4 of 24 x 24 pixels become 2 x 2 of 12 x 12, of which the middle 8 x 8 are seen.
    const root = await writeBoxes('resized', 24, box(24, [8, 10], 4));
    const of = async (maskMargin: number) =>
      extentOf((await first(await openTraining(root, { cropMargin: 4, maskMargin }))).masks);
    expect(await of(0)).toEqual([2, 3, 3, 4]);
    expect(await of(2)).toEqual([0, 5, 1, 6]);
  });

  test('is added after cut, turn and mirror image: nothing grows in from beyond the edge', async () => {
    const root = await writeBoxes('varied', 16, box(16, [7, 1], 2), box(16, [3, 6], 3));
    const varied = { cropMargin: 8, augment: { ...imageDefaults.augment, flip: true, rotate: 20 } };
    const [plain, margined] = await Promise.all(
      [0, 2].map((maskMargin) => openTraining(root, { ...varied, maskMargin })),
    );
    const flags: number[] = [];
    for (let epoch = 0; epoch < 12; epoch++) {
      const options = { epoch, isAugmented: true };
      const [before, after] = [await first(plain, options), await first(margined, options)];
      expect(after.images).toEqual(before.images);
      expect(after.hasMask).toEqual(before.hasMask);
      expect(after.masks).toEqual(grown(before.masks, SIZE, SIZE, 2));
      flags.push(...before.hasMask);
    }
    // Some cuts lost the object, which is not brought back.
    expect(new Set(flags)).toEqual(new Set([0, 1]));
  });

  test('is that of every class', async () => {
    const root = await writeImages(join(folder, 'by-class'), { train: { a: 1, b: 1, c: 1 } });
    rmSync(join(root, 'masks/train/a/0.png'));
    await writePicture(join(root, 'masks/train/a/0/a.png'), box(SIZE, [0, 0], 1), SIZE);
    await writePicture(join(root, 'masks/train/a/0/b.png'), box(SIZE, [7, 3], 1), SIZE);
    const [plain, margined] = await Promise.all(
      [0, 1].map(async (maskMargin) => first(await openTraining(root, { maskMargin }))),
    );
    expect(extentOf(margined.masks.subarray(0, 64))).toEqual([0, 1, 0, 1]);
    expect(extentOf(margined.masks.subarray(64, 128))).toEqual([6, 7, 2, 4]);
    expect(margined.masks).toEqual(grown(plain.masks, SIZE, SIZE, 1));
  });

  test('leaves an image without background for classification only, and says so once', async () => {
    const root = await writeBoxes(
      'filled',
      SIZE,
      box(SIZE, [2, 2], 4),
      box(SIZE, [3, 3], 3),
      box(SIZE, [0, 0], 1),
    );
    const lines: string[] = [];
    const { hasMask, masks } = await first(
      await openTraining(root, { maskMargin: 3 }, (line) => lines.push(line)),
    );
    expect([...hasMask]).toEqual([0, 0, 1]);
    expect(masks.subarray(0, 128).includes(1)).toBe(false);
    expect(lines).toEqual([
      expect.stringMatching(
        /^warning: with a margin of 3 pixels the mask of '.*0\.png' leaves no background at 8x8; .*; lower maskMargin$/,
      ),
    ]);
  });
});

describe('isnet data preview --mask-margin', () => {
  test('outlines the mask that training will see', async () => {
    const root = await writeImages(join(folder, 'preview'), { train: { a: 1 } });
    const outline = async (...options: string[]): Promise<number[]> => {
      const output = join(folder, 'preview.png');
      const args = ['--overwrite', '--output', output, '--size', '8', ...options];
      expect((await isnet('data', 'preview', root, ...args)).exitCode).toBe(0);
      const { width, height, rgba } = await readPng(output);
      const isMagenta = (y: number) =>
        rgba.subarray(4 * (y * width + 50), 4 * (y * width + 50) + 3).join() === '255,0,255';
      return Array.from({ length: height }, (_, y) => y).filter(isMagenta);
    };
    // The upper half of 8 rows of 12 pixels each ends with row 47; two rows more end with row 71.
    expect(Math.max(...(await outline()))).toBe(47);
    expect(Math.max(...(await outline('--mask-margin', '2')))).toBe(71);
  });

  test('takes whole pixels only', async () => {
    const output = join(folder, 'never.png');
    const { exitCode, errors } = await isnet(
      'data',
      'preview',
      folder,
      '--output',
      output,
      '--mask-margin',
      '1.5',
    );
    expect(exitCode).toBe(2);
    expect(errors).toContain('--mask-margin');
    expect(existsSync(output)).toBe(false);
  });
});

describe('the margin of masks of a benchmark', () => {
  const counts = { trainCount: 12, validationCount: 10, testCount: 11 };
  const model = { channels: 1, height: 28, width: 28, classNames: ['0', '1'] };
  const masksOf = async (source: BatchSource) => (await first(source)).masks;

  test.each([{ ...quickstartConfig.data, ...counts }, { dataset: 'mnist-marker-noise', ...counts } as const])(
    'is that of all its parts: $dataset',
    async (benchmark) => {
      const [plain, margined] = await Promise.all(
        [0, 2].map((maskMargin) => openData({ ...benchmark, maskMargin }, 5)),
      );
      const parts = ({ train, validation, tests }: DataSplits) => [
        train,
        validation as BatchSource,
        ...Object.values(tests),
      ];
      expect(parts(margined).length).toBe(Object.keys(plain.tests).length + 2);
      for (const [i, part] of parts(margined).entries()) {
        const before = await masksOf(parts(plain)[i]);
        expect(before.includes(1)).toBe(true);
        expect(await masksOf(part)).toEqual(grown(before, part.height, part.width, 2));
      }
    },
  );

  test('is told, or refused, where it covers whole images', async () => {
    const lines: string[] = [];
    const open = (maskMargin: number) =>
      openData({ ...quickstartConfig.data, ...counts, maskMargin }, 5, (line) => lines.push(line));
    await open(2);
    expect(lines).toEqual([]);
    // Digits of 28 x 28 are written in the middle 20 x 20, which not all of them fill.
    const { train } = await open(6);
    const { hasMask } = await first(train);
    const fullCount = hasMask.filter((flag) => flag === 0).length;
    expect(lines).toEqual([
      `warning: a maskMargin of 6 pixels leaves no background in ${fullCount} of 12 training images, which count for classification only`,
    ]);
    await expect(open(28)).rejects.toThrow(
      'data: a maskMargin of 28 pixels leaves no background in 12 of 12 training images; use fewer pixels',
    );
    // One of its images is not what a test depends on.
    const data = { ...quickstartConfig.data, ...counts, maskMargin: 28 };
    expect((await openTests({ data, seed: 5, input: model })).tests.biased.count).toBe(11);
  });

  test('is there when a model of it is tested', async () => {
    const data = { dataset: 'mnist-marker-noise', ...counts, maskMargin: 2 } as const;
    const { tests } = await openTests({ data, seed: 5, input: model });
    const { tests: untouched } = await loadBenchmark('mnist-marker-noise', { ...counts, seed: 5 });
    const { masks, height, width } = untouched.biased;
    expect(await masksOf(tests.biased)).toEqual(grown(masks, height, width, 2));
  });

  test("is there when it is tested on images of one's own", () => {
    const data = { dataset: 'mnist-marker-noise', ...counts, maskMargin: 2 } as const;
    expect(imageConfigOf({ data, input: model }, 'mine')).toMatchObject({ source: 'mine', maskMargin: 2 });
  });
});
