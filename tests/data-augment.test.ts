// Size and variation of images: what comes through unchanged, and that a mask always moves with its image.
import { describe, expect, test } from 'vitest';
import { centred, cut, drawVariation, type FramedSample } from '../isnet/data/augment.ts';
import { binaryMask, fitInto, imagePlanes, isCutOut, maskPlane, type Raster } from '../isnet/data/raster.ts';

const raster = (width: number, channels: Raster['channels'], ...values: number[]): Raster => ({
  width,
  height: values.length / width / channels,
  channels,
  data: Uint8Array.from(values),
});

describe('fitInto', () => {
  const picture = raster(3, 1, 1, 2, 3, 40, 50, 60);

  test.each(['stretch', 'crop', 'pad'] as const)('%s leaves a picture of the right size as it is', (mode) => {
    expect([...fitInto(picture, 2, 3, mode)]).toEqual([1, 2, 3, 40, 50, 60]);
  });

  test('keeps a constant picture constant, larger and smaller', () => {
    const grey = raster(7, 1, ...new Array(35).fill(77));
    for (const [height, width] of [
      [3, 3],
      [11, 20],
      [1, 1],
    ]) {
      for (const value of fitInto(grey, height, width, 'stretch')) expect(value).toBeCloseTo(77, 4);
    }
  });

  test('halving averages: no pixel is skipped', () => {
    // Of a chequerboard nothing but its mean is left; picking single pixels would give black or white.
    const board = raster(16, 1, ...Array.from({ length: 256 }, (_, i) => ((i + (i >> 4)) % 2) * 200));
    for (const value of fitInto(board, 8, 8, 'stretch')) expect(Math.abs(value - 100)).toBeLessThan(15);
  });

  test('crop keeps the middle and the ratio, pad adds black', () => {
    const wide = raster(4, 1, 10, 20, 30, 40, 10, 20, 30, 40);
    expect([...fitInto(wide, 2, 2, 'crop')]).toEqual([20, 30, 20, 30]);
    const tall = raster(2, 1, 5, 5, 5, 5, 5, 5, 5, 5);
    const padded = [...fitInto(tall, 4, 4, 'pad')];
    expect(padded).toEqual([0, 5, 5, 0, 0, 5, 5, 0, 0, 5, 5, 0, 0, 5, 5, 0]);
  });
});

describe('imagePlanes', () => {
  const frame = { height: 1, width: 2, resize: 'stretch' } as const;

  test('colours become planes, and one channel is their mean', () => {
    const picture = raster(2, 3, 1, 2, 6, 10, 20, 60);
    expect([...imagePlanes(picture, { ...frame, channels: 3 }, 'black')]).toEqual([1, 10, 2, 20, 6, 60]);
    expect([...imagePlanes(picture, { ...frame, channels: 1 }, 'black')]).toEqual([3, 30]);
  });

  test('grey fills three channels', () => {
    expect([...imagePlanes(raster(2, 1, 7, 8), { ...frame, channels: 3 }, 'black')]).toEqual([
      7, 8, 7, 8, 7, 8,
    ]);
  });

  test('transparency is laid over black, or dropped where it is the mask', () => {
    const picture = raster(2, 2, 100, 255, 100, 51);
    expect([...imagePlanes(picture, { ...frame, channels: 1 }, 'black')]).toEqual([100, 20]);
    expect([...imagePlanes(picture, { ...frame, channels: 1 }, 'drop')]).toEqual([100, 100]);
  });

  test('16 bits stay 16 bits', () => {
    const deep: Raster = { width: 2, height: 1, channels: 1, data: Uint16Array.of(3, 65535) };
    expect(imagePlanes(deep, { ...frame, channels: 1 }, 'black')).toEqual(Uint16Array.of(3, 65535));
  });
});

describe('binaryMask', () => {
  const values = ({ raster }: ReturnType<typeof binaryMask>): number[] => [...raster.data];

  test('cuts at one half and counts what lay between', () => {
    const mask = binaryMask(raster(6, 1, 0, 3, 100, 127, 128, 255), 'colours');
    expect(values(mask)).toEqual([0, 0, 0, 0, 255, 255]);
    expect(mask.softCount).toBe(3);
    expect(mask.foregroundCount).toBe(2);
  });

  test('takes the numbers 0 and 1 for what they are', () => {
    expect(values(binaryMask(raster(3, 1, 0, 1, 1), 'colours'))).toEqual([0, 255, 255]);
  });

  test('reads the alpha channel of a cut-out', () => {
    const picture = raster(2, 4, 9, 9, 9, 0, 9, 9, 9, 255);
    expect(isCutOut(picture)).toBe(true);
    expect(values(binaryMask(picture, 'alpha'))).toEqual([0, 255]);
    expect(isCutOut(raster(1, 4, 9, 9, 9, 255))).toBe(false);
    expect(isCutOut(raster(1, 3, 9, 9, 9))).toBe(false);
  });
});

/** A frame whose mask is exactly where the image is bright. */
const bright = (height: number, width: number): FramedSample => {
  const image = Uint8Array.from({ length: height * width }, (_, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    return y > height / 4 && y < height / 2 && x > width / 5 && x < width / 2 ? 255 : 0;
  });
  return { image, masks: image.map((value) => value / 255), channels: 1, height, width };
};

const cutOut = (
  sample: FramedSample,
  height: number,
  width: number,
  ...[variation]: [Parameters<typeof cut>[1]]
) => {
  const image = new Float32Array(sample.channels * height * width);
  const masks = new Float32Array(height * width);
  cut(sample, variation, { image, masks, height, width });
  return { image, masks };
};

describe('cut', () => {
  const sample = bright(24, 30);
  const all = { flip: true, rotate: 25, brightness: 0, contrast: 0 };

  test('without variation gives the middle of the frame to the bit', () => {
    const { image, masks } = cutOut(sample, 20, 20, centred(4, 10));
    for (let y = 0; y < 20; y++) {
      for (let x = 0; x < 20; x++) {
        const from = (y + 2) * 30 + x + 5;
        expect(image[y * 20 + x]).toBe(sample.image[from] / 255);
        expect(masks[y * 20 + x]).toBe(sample.masks?.[from]);
      }
    }
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7])('mask and image stay together, draw %i', (index) => {
    const variation = drawVariation({ seed: 1, epoch: 0, index }, all, 4, 10);
    const { image, masks } = cutOut(sample, 20, 20, variation);
    // Image pixels beside an edge are mixed, all others are black outside the mask and white inside.
    const odd = [...image].filter((value, i) => Math.abs(value - masks[i]) > 0.76);
    expect(odd).toEqual([]);
    expect(masks).toContain(1);
    expect(new Set(masks)).toEqual(new Set([0, 1]));
  });

  test('a mirror image is mirrored', () => {
    const { image } = cutOut(sample, 24, 30, { ...centred(0, 0), isMirrored: true });
    for (const [i, value] of image.entries()) {
      const [y, x] = [Math.floor(i / 30), i % 30];
      expect(value).toBe(sample.image[y * 30 + 29 - x] / 255);
    }
  });

  test('a quarter turn is a quarter turn', () => {
    const square = bright(9, 9);
    const { masks } = cutOut(square, 9, 9, { ...centred(0, 0), angle: 90 });
    for (const [i, value] of masks.entries()) {
      const [y, x] = [Math.floor(i / 9), i % 9];
      expect(value).toBe(square.masks?.[(8 - x) * 9 + y]);
    }
  });

  test('brightness and contrast stay within 0 and 1', () => {
    for (let index = 0; index < 20; index++) {
      const variation = drawVariation({ seed: 3, epoch: 1, index }, { brightness: 1, contrast: 1 }, 0, 0);
      const { image } = cutOut(sample, 24, 30, variation);
      expect(Math.min(...image)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...image)).toBeLessThanOrEqual(1);
    }
  });

  test('contrast stretches about mid-grey, brightness adds', () => {
    const grey: FramedSample = { image: Uint8Array.of(51), masks: null, channels: 1, height: 1, width: 1 };
    const { image } = cutOut(grey, 1, 1, { ...centred(0, 0), contrast: 1.5, brightness: 0.1 });
    expect(image[0]).toBeCloseTo((0.2 - 0.5) * 1.5 + 0.5 + 0.1, 6);
  });
});

describe('drawVariation', () => {
  const key = { seed: 5, epoch: 2, index: 7 };
  const some = { flip: true, rotate: 10, brightness: 0.1, contrast: 0.1 };

  test('is a function of seed, epoch and sample', () => {
    const drawn = drawVariation(key, some, 8, 8);
    expect(drawVariation(key, some, 8, 8)).toEqual(drawn);
    for (const other of [{ seed: 6 }, { epoch: 3 }, { index: 8 }]) {
      expect(drawVariation({ ...key, ...other }, some, 8, 8)).not.toEqual(drawn);
    }
  });

  test('one variation more leaves the others as they were', () => {
    const { angle, ...others } = drawVariation(key, some, 8, 8);
    const { angle: still, ...same } = drawVariation(key, { ...some, rotate: 0 }, 8, 8);
    expect(angle).not.toBe(0);
    expect(still).toBe(0);
    expect(same).toEqual(others);
  });

  test('crops reach every corner and never leave the frame', () => {
    const tops = Array.from({ length: 200 }, (_, index) => drawVariation({ ...key, index }, {}, 3, 0).top);
    expect(new Set(tops)).toEqual(new Set([0, 1, 2, 3]));
  });

  test.each([
    ['rotate', 181],
    ['brightness', -0.1],
    ['contrast', Number.NaN],
  ])('refuses %s %s', (name, amount) => {
    expect(() => drawVariation(key, { [name]: amount }, 0, 0)).toThrow(
      `augment: ${name} is ${amount}; use a number`,
    );
  });
});

test('a mask in a smaller frame keeps what covers at least half a pixel', () => {
  const { raster: mask } = binaryMask(raster(4, 1, 255, 255, 0, 0, 255, 255, 0, 0), 'colours');
  expect([...maskPlane(mask, { channels: 1, height: 1, width: 2, resize: 'stretch' })]).toEqual([1, 0]);
});
