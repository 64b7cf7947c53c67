// Proves that pictures are put together pixel by pixel as described, and survive a PNG file.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataError, ShapeError, UsageError } from '../engine/errors.ts';
import { notFiniteColor } from '../lrp/color-maps.ts';
import { grayImage, maskContour, mosaic, rgbImage, upscale } from '../lrp/picture.ts';
import { readPng, writePng } from '../lrp/png.ts';
import { colorsOf, drawn } from './pictures.ts';

describe('input images', () => {
  test('grey is the mean of the channels, from black at 0 to white at 1', () => {
    const picture = grayImage([0, 1, 0.2, 0, 1, 0.4], { channels: 2, height: 1, width: 3 });
    expect(colorsOf(picture)).toEqual([
      [0, 0, 0],
      [255, 255, 255],
      [77, 77, 77],
    ]);
  });

  test('colour planes become the colours of each pixel', () => {
    const picture = rgbImage([1, 0, 0, 0.2, 0, 0.4], { height: 1, width: 2 });
    expect(colorsOf(picture)).toEqual([
      [255, 0, 0],
      [0, 51, 102],
    ]);
  });

  test('a normalised input is drawn between the values named black and white, and clamped beyond', () => {
    const picture = grayImage([-2, -1, 0, 1, 3], { height: 1, width: 5, low: -1, high: 1 });
    expect(colorsOf(picture).map(([r]) => r)).toEqual([0, 0, 128, 255, 255]);
  });

  test('NaN in an input is visible', () => {
    expect(colorsOf(rgbImage([1, Number.NaN, 1], { height: 1, width: 1 }))).toEqual([[...notFiniteColor]]);
  });

  test.each([
    ['grayImage', () => grayImage([1, 2, 3], { height: 2, width: 2 })],
    ['rgbImage', () => rgbImage([1, 2, 3], { height: 2, width: 2 })],
  ])('%s refuses sizes that do not fit', (name, draw) => {
    expect(draw).toThrow(ShapeError);
    expect(draw).toThrow(new RegExp(`^${name}: 3 values do not fill`));
  });
});

describe('pictures', () => {
  test('upscaling makes every pixel a square', () => {
    expect(upscale(drawn('rg', 'bk'), 2)).toEqual(drawn('rrgg', 'rrgg', 'bbkk', 'bbkk'));
  });

  test.each([0, -1, 1.5])('an upscaling factor of %f is refused', (factor) => {
    expect(() => upscale(drawn('r'), factor)).toThrow(UsageError);
  });

  const white = drawn('wwwww', 'wwwww', 'wwwww', 'wwwww');

  test('a contour is the outermost ring of the mask, and nothing inside or outside it', () => {
    const mask = [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0];
    const expected = drawn('wwwww', 'kkkkw', 'kwwkw', 'kkkkw');
    expect(maskContour(white, mask, { color: [0, 0, 0] })).toEqual(expected);
  });

  test('a contour does not change the picture it is drawn on', () => {
    maskContour(white, Array(20).fill(1));
    expect(white).toEqual(drawn('wwwww', 'wwwww', 'wwwww', 'wwwww'));
  });

  test('an empty mask has no contour', () => {
    expect(maskContour(white, new Float32Array(20))).toEqual(white);
  });

  test('on an upscaled picture the contour is one pixel thin', () => {
    const picture = upscale(drawn('ww', 'ww'), 3);
    expect(maskContour(picture, [0, 1, 0, 0], { factor: 3, color: [255, 0, 0] })).toEqual(
      drawn('wwwrrr', 'wwwrwr', 'wwwrrr', 'wwwwww', 'wwwwww', 'wwwwww'),
    );
  });

  test.each([
    [19, 1],
    [5, 2],
    [20, 2],
  ])('a mask of %i values times %i is refused on a picture of 5 x 4', (length, factor) => {
    expect(() => maskContour(white, Array(length).fill(1), { factor })).toThrow(ShapeError);
  });

  test('a mosaic is a grid of columns and rows with gaps between, none around', () => {
    const picture = mosaic(
      [
        [drawn('r'), drawn('g')],
        [drawn('b'), drawn('k')],
      ],
      { gap: 1 },
    );
    expect(picture).toEqual(drawn('rwg', 'www', 'bwk'));
  });

  test('columns are as wide and rows as high as their largest picture, and short rows are filled up', () => {
    const picture = mosaic([[drawn('rr'), drawn('g')], [drawn('b', 'b')]], { gap: 1, background: [0, 0, 0] });
    expect(picture).toEqual(drawn('rrkg', 'kkkk', 'bkkk', 'bkkk'));
  });

  test('a null cell keeps its place', () => {
    expect(
      mosaic(
        [
          [null, drawn('g')],
          [drawn('b'), drawn('r')],
        ],
        { gap: 0 },
      ),
    ).toEqual(drawn('wg', 'br'));
  });

  test.each([
    [[]],
    [[[]]],
    [
      [
        [null, null],
        [null, null],
      ],
    ],
  ])('a mosaic of %j is refused', (rows) => {
    expect(() => mosaic(rows)).toThrow(/there is no picture/);
  });

  test.each([-1, 0.5])('a gap of %f is refused', (gap) => {
    expect(() => mosaic([[drawn('r')]], { gap })).toThrow(UsageError);
  });
});

describe('PNG files', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isnet-png-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('a picture comes back pixel by pixel, transparency included, and nothing else is left in the folder', async () => {
    const rgba = new Uint8ClampedArray(Array.from({ length: 4 * 7 * 5 }, (_, i) => (i * 37) % 256));
    const path = join(folder, 'a.png');
    await writePng(path, { width: 7, height: 5, rgba });
    expect(await readPng(path)).toEqual({ width: 7, height: 5, rgba });
    expect(await readdir(folder)).toEqual(['a.png']);
  });

  test('a grey PNG is read as RGBA', async () => {
    const png = new PNG({ width: 2, height: 1 });
    png.data.set([10, 10, 10, 255, 200, 200, 200, 255]);
    const path = join(folder, 'gray.png');
    await writeFile(path, PNG.sync.write(png, { colorType: 0 }));
    expect(colorsOf(await readPng(path))).toEqual([
      [10, 10, 10],
      [200, 200, 200],
    ]);
  });

  test('a missing file is a DataError that names the path', async () => {
    await expect(readPng(join(folder, 'no.png'))).rejects.toThrow(DataError);
    await expect(readPng(join(folder, 'no.png'))).rejects.toThrow(/^readPng: there is no file '.*no\.png'; /);
  });

  test('a file that is cut short or no PNG at all is a DataError that names the path', async () => {
    const path = join(folder, 'a.png');
    await writePng(path, upscale(drawn('rg', 'bk'), 8));
    const whole = await readFile(path);
    for (const bytes of [
      whole.subarray(0, 0),
      whole.subarray(0, 30),
      whole.subarray(0, -13),
      Buffer.from('GIF89a'),
    ]) {
      await writeFile(path, bytes);
      const error = await readPng(path).catch((caught: unknown) => caught);
      expect(error, `${bytes.length} bytes`).toBeInstanceOf(DataError);
      expect((error as DataError).message).toMatch(
        /^readPng: '.*a\.png' is no readable PNG \(.*\); save the picture again$/,
      );
    }
  });

  test('a damaged byte is noticed', async () => {
    const path = join(folder, 'a.png');
    await writePng(path, drawn('rg', 'bk'));
    const bytes = await readFile(path);
    bytes[45] ^= 0xff;
    await writeFile(path, bytes);
    await expect(readPng(path)).rejects.toThrow(DataError);
  });

  test('a folder that does not exist is a DataError', async () => {
    await expect(writePng(join(folder, 'no', 'a.png'), drawn('r'))).rejects.toThrow(
      /^writePng: the folder of /,
    );
  });

  test.each([
    ['without pixels', 0, 0, 0],
    ['with a byte too few', 1, 1, 3],
  ])('a picture %s is refused', async (_, width, height, length) => {
    const picture = { width, height, rgba: new Uint8ClampedArray(length) };
    await expect(writePng(join(folder, 'a.png'), picture)).rejects.toThrow(ShapeError);
  });
});
