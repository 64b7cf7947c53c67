// Picture files as numbers: every format, 16 bits, transparency, DICOM as radiologists see it, and damaged files.
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { openPicture } from '../isnet/data/files/decode.ts';
import { type DicomImage, dicomFile, packLosslessJpeg, packRle, words } from './dicom-bytes.ts';
import { encoded, temporaryFolder, write } from './image-files.ts';

const folder = temporaryFolder();

async function open(name: string, bytes: Uint8Array) {
  return openPicture(write(join(folder, name), bytes));
}

describe('pictures', () => {
  test.each(['png', 'webp'] as const)(
    'colours and transparency of %s come through to the bit',
    async (format) => {
      const values = [10, 20, 30, 0, 200, 100, 50, 128, 1, 2, 3, 255, 255, 254, 253, 7];
      const raster = await open(`a.${format}`, await encoded(values, 2, 4, format));
      expect(raster).toMatchObject({ width: 2, height: 2, channels: 4 });
      expect([...raster.data]).toEqual(values);
    },
  );

  test('JPEG comes through up to its own loss', async () => {
    const values = Array.from({ length: 64 * 3 }, (_, i) => 40 + (i % 3) * 60);
    const raster = await open('a.jpeg', await encoded(values, 8, 3, 'jpeg'));
    expect(raster).toMatchObject({ width: 8, height: 8, channels: 3 });
    for (const [i, value] of raster.data.entries())
      expect(Math.abs(value - values[i])).toBeLessThanOrEqual(2);
  });

  test('16-bit grey keeps its 16 bits', async () => {
    const values = Uint16Array.of(0, 1, 257, 40000, 65534, 65535);
    const raw = { width: 3, height: 2, channels: 1 } as const;
    const raster = await open(
      'deep.png',
      await sharp(values, { raw }).toColourspace('grey16').png().toBuffer(),
    );
    expect(raster).toMatchObject({ width: 3, height: 2, channels: 1 });
    expect(raster.data).toEqual(values);
  });

  test('16-bit colours keep their 16 bits', async () => {
    const values = Uint16Array.of(0, 1, 257, 40000, 65534, 65535);
    const raw = { width: 1, height: 2, channels: 3 } as const;
    const raster = await open(
      'deep-rgb.png',
      await sharp(values, { raw }).toColourspace('rgb16').png().toBuffer(),
    );
    expect(raster.data).toEqual(values);
  });

  test('a photograph is turned upright as its EXIF data say', async () => {
    const bytes = await sharp(await encoded([0, 255, 0, 255, 0, 255], 2))
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const { width, height, data } = await open('turned.png', bytes);
    expect({ width, height }).toEqual({ width: 3, height: 2 });
    expect(data[0]).toBe(0);
    expect(data.at(-1)).toBe(255);
  });

  const noise = Array.from({ length: 4096 }, (_, i) => (i * i * 7919) % 251);
  const half = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length / 2);

  test.each([
    ['is no picture at all', 'hello.png', async () => new TextEncoder().encode('hello')],
    ['is empty', 'empty.png', async () => new Uint8Array(0)],
    ['is cut off', 'cut.png', async () => half(await encoded(noise, 64))],
    ['is a JPEG that is cut off', 'cut.jpg', async () => half(await encoded(noise, 64, 1, 'jpeg'))],
    ['is a WebP that is cut off', 'cut.webp', async () => half(await encoded(noise, 64, 1, 'webp'))],
  ])('a file that %s is named', async (_, name, bytes) => {
    await expect(open(name, await bytes())).rejects.toThrow(
      new RegExp(`^data: '.*${name}' is no readable picture \\(.+\\); save it again or leave it out$`),
    );
  });

  test('a missing file is named', async () => {
    await expect(openPicture(join(folder, 'none.png'))).rejects.toThrow(
      /^data: '.*none\.png' cannot be read \(ENOENT\)/,
    );
  });
});

/** Values that use all 16 bits, jump and stand still: [rows 5, columns 7]. */
const deep = Array.from({ length: 35 }, (_, i) => (i % 4 === 0 ? 500 : (i * 7919) % 65536));
const image = { rows: 5, columns: 7, centre: '32767.5', width: '65535', windowForm: 'LINEAR_EXACT' };

describe('DICOM', () => {
  const grey = async (file: DicomImage) => [...(await open('a.dcm', dicomFile(file))).data];

  test.each<[string, Pick<DicomImage, 'syntax' | 'pixels' | 'isPacked'>]>([
    ['explicit little endian', { pixels: words(deep) }],
    ['explicit big endian', { syntax: '1.2.840.10008.1.2.2', pixels: words(deep, true) }],
    ['RLE', { syntax: '1.2.840.10008.1.2.5', pixels: packRle(deep), isPacked: true }],
    ...[1, 2, 3, 4, 5, 6, 7].map(
      (predictor): [string, Pick<DicomImage, 'syntax' | 'pixels' | 'isPacked'>] => [
        `lossless JPEG, predictor ${predictor}`,
        { syntax: '1.2.840.10008.1.2.4.57', pixels: packLosslessJpeg(deep, 7, predictor), isPacked: true },
      ],
    ),
    [
      'lossless JPEG with restarts',
      { syntax: '1.2.840.10008.1.2.4.70', pixels: packLosslessJpeg(deep, 7, 4, 2), isPacked: true },
    ],
  ])('in %s gives the values that were packed', async (_, packing) => {
    expect(await grey({ ...image, ...packing })).toEqual(deep);
  });

  test('in 8-bit JPEG is decoded', async () => {
    const jpeg = await encoded(new Array(64).fill(100), 8, 1, 'jpeg');
    const packing = { syntax: '1.2.840.10008.1.2.4.50', pixels: jpeg, isPacked: true, bitsAllocated: 8 };
    const values = await grey({ rows: 8, columns: 8, centre: '128', width: '256', ...packing });
    for (const value of values) expect(Math.abs(value - (65535 * 100) / 255)).toBeLessThan(260);
  });

  test('a window makes its ends black and white: the formula of PS3.3 C.11.2.1.2', async () => {
    const values = [0, 99, 100, 150, 199, 200, 4000];
    const shown = await grey({ rows: 1, columns: 7, pixels: words(values), centre: '150', width: '101' });
    // Black up to c - 0.5 - 50, white from c - 0.5 + 50.
    const expected = values.map((x) => Math.round(65535 * Math.min(1, Math.max(0, (x - 149.5) / 100 + 0.5))));
    expect(shown).toEqual(expected);
    expect(shown.slice(0, 2)).toEqual([0, 0]);
    expect(shown.slice(-2)).toEqual([65535, 65535]);
  });

  test('the window holds for rescaled values, which may be below 0', async () => {
    const pixels = words([0, 1000, 2000]);
    const rescale = {
      slope: '1',
      intercept: '-1000',
      centre: '0',
      width: '2000',
      windowForm: 'LINEAR_EXACT',
    };
    expect(await grey({ rows: 1, columns: 3, pixels, ...rescale })).toEqual([0, 32768, 65535]);
  });

  test('without a window the lowest value is black and the highest white, the filling aside', async () => {
    const pixels = words([-5, 0, 10, -2000]);
    const signed = { isSigned: true, bitsStored: 12, padding: -2000 };
    expect(await grey({ rows: 1, columns: 4, pixels, ...signed })).toEqual([0, 21845, 65535, 0]);
  });

  test('an image of one value is no division by zero', async () => {
    const values = await grey({ rows: 1, columns: 2, pixels: words([7, 7]) });
    for (const value of values) expect(value).toBe(32768);
  });

  test('MONOCHROME1 is inverted', async () => {
    const pixels = words([0, 65535]);
    const window = { ...image, rows: 1, columns: 2, photometric: 'MONOCHROME1' };
    expect(await grey({ ...window, pixels })).toEqual([65535, 0]);
  });

  test('bits above those stored are not part of the value', async () => {
    const file = {
      rows: 1,
      columns: 2,
      bitsStored: 12,
      centre: '2047.5',
      width: '4095',
      windowForm: 'LINEAR_EXACT',
    };
    expect(await grey({ ...file, pixels: words([0xf000, 0xffff]) })).toEqual([0, 65535]);
  });

  test.each([
    [0, [1, 2, 3, 4, 5, 6]],
    [1, [1, 4, 2, 5, 3, 6]],
  ])('colours with planar configuration %i come out by pixel', async (planar, stored) => {
    const file = { rows: 1, columns: 2, samples: 3, bitsAllocated: 8, photometric: 'RGB', planar };
    const raster = await open('rgb.dcm', dicomFile({ ...file, pixels: Uint8Array.from(stored) }));
    expect(raster.channels).toBe(3);
    expect([...raster.data]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each<[string, Partial<DicomImage>, RegExp]>([
    ['several frames', { frames: '3' }, /is a DICOM file of 3 frames; export the frame/],
    [
      'JPEG 2000',
      { syntax: '1.2.840.10008.1.2.4.90', isPacked: true },
      /is DICOM with JPEG 2000, which is not read; convert/,
    ],
    [
      'palette colours',
      { photometric: 'PALETTE COLOR' },
      /is DICOM with PALETTE COLOR colours, which are not read/,
    ],
    ['too few pixels', { rows: 50 }, /is cut off: 70 bytes of pixels where 7x50 needs 700/],
    [
      'damaged RLE pixels',
      { syntax: '1.2.840.10008.1.2.5', pixels: packRle(deep).subarray(0, 100), isPacked: true },
      /damaged RLE pixels/,
    ],
    [
      'damaged lossless JPEG pixels',
      {
        syntax: '1.2.840.10008.1.2.4.70',
        pixels: packLosslessJpeg(deep, 7, 1).subarray(0, 90),
        isPacked: true,
      },
      /damaged lossless JPEG pixels/,
    ],
    [
      'a JPEG of another size',
      { rows: 6, syntax: '1.2.840.10008.1.2.4.70', pixels: packLosslessJpeg(deep, 7, 1), isPacked: true },
      /7x5x1 where the header says 7x6x1/,
    ],
  ])('with %s is refused by name', async (_, change, message) => {
    const file = dicomFile({ ...image, pixels: words(deep), ...change });
    const opened = open('odd.dcm', file);
    await expect(opened).rejects.toThrow(message);
    await expect(opened).rejects.toThrow(/^data: '.*odd\.dcm' /);
  });

  test('a file that is no DICOM is refused by name', async () => {
    await expect(open('text.dcm', new TextEncoder().encode('not medical'))).rejects.toThrow(
      /^data: '.*text\.dcm' is no readable DICOM file \(.*\); export it again$/,
    );
  });
});
