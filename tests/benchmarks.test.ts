// A benchmark of background bias is worth what its backgrounds are: tied to the class where it says so, and nowhere else.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../engine/random-bits.ts';
import { type Benchmark, benchmarkSplits, testNames } from '../isnet/benchmarks/benchmark.ts';
import { emojiPhotos } from '../isnet/benchmarks/emoji.ts';
import { fashionGratings, fashionMarker, fashionPhotos } from '../isnet/benchmarks/fashion.ts';
import { garments } from '../isnet/benchmarks/garments.ts';
import { mnistMarker } from '../isnet/benchmarks/mnist-marker.ts';
import { composeScenes, type Scenery, shownBehind } from '../isnet/benchmarks/scenes.ts';
import { checkDataset, type Dataset } from '../isnet/data/dataset.ts';
import { markerPlaces } from '../isnet/data/marker-bias.ts';
import {
  drawingOf,
  madeUpDrawings,
  madeUpGarments,
  madeUpPhotos,
  madeUpStyles,
  photoOf,
} from './benchmark-pictures.ts';
import { isSame } from './marker-images.ts';

const size = { trainCount: 200, validationCount: 50, testCount: 100, seed: 3 } as const;
const clothes = { train: madeUpGarments(40, 1), test: madeUpGarments(20, 2) };

const makers: Readonly<Record<string, (seed?: number) => Benchmark>> = {
  'mnist-marker': (seed = 3) => mnistMarker(clothes, 'black', { ...size, seed }),
  'mnist-marker-grey': (seed = 3) => mnistMarker(clothes, 'grey', { ...size, seed }),
  'mnist-marker-noise': (seed = 3) => mnistMarker(clothes, 'noise', { ...size, seed }),
  'fashion-marker': (seed = 3) => fashionMarker(clothes, { ...size, seed }),
  'fashion-gratings': (seed = 3) => fashionGratings(clothes, { ...size, seed }),
  'fashion-photos': (seed = 3) => fashionPhotos(clothes, madeUpPhotos, { ...size, seed }),
  'emoji-photos': (seed = 3) => emojiPhotos(madeUpDrawings, madeUpPhotos, madeUpStyles, { ...size, seed }),
};

/** Made once: the tests below only read them. */
const made = Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, make()]));

const partsOf = ({ tests, isPaired: _, ...parts }: Benchmark): Record<string, Dataset> => ({
  ...parts,
  ...tests,
});

/** SHA-256, its first 16 digits, of all numbers of the parts named: those that were published numbers are made with. */
const known: Readonly<Record<string, string>> = {
  'mnist-marker': '97f1415c43a1c14e',
  'mnist-marker-grey': 'dc12a599758b7b54',
  'mnist-marker-noise': 'e55236cf998e6bd1',
  'fashion-marker': '7b6d1bff7fbe9a7c',
  'fashion-gratings': '754a71aa374733a2',
  'fashion-photos': '924fe639951f177f',
  'emoji-photos': 'e042bcd147dcba98',
};
const everPublished = ['train', 'validation', 'unbiasedTrain', ...testNames] as const;

const rowsOf = ({ images, count }: Dataset): string[] => {
  const row = images.length / count;
  return Array.from({ length: count }, (_, n) =>
    Buffer.from(images.buffer, images.byteOffset + 4 * n * row, 4 * row).toString('base64'),
  );
};

describe.each(Object.entries(makers))('%s', (name, make) => {
  const benchmark = made[name];

  test('has parts of the sizes asked for, classes in equal numbers, values in 0..1 and masks with two sides', () => {
    const { train, validation, unbiasedTrain, unbiasedValidation, tests } = benchmark;
    expect(Object.keys(tests)).toEqual(testNames);
    expect([train.count, unbiasedTrain.count]).toEqual([200, 200]);
    expect([validation.count, unbiasedValidation.count]).toEqual([50, 50]);
    for (const [part, dataset] of Object.entries(partsOf(benchmark))) {
      checkDataset(part, dataset);
      if (part in tests) expect(dataset.count, part).toBe(100);
      const counts = dataset.classNames.map((_, c) => dataset.labels.filter((label) => label === c).length);
      expect(counts, part).toEqual(Array(10).fill(dataset.count / 10));
    }
  });

  test('is the same for the same seed, and another for another', () => {
    const first = partsOf(benchmark);
    const again = partsOf(make());
    const other = partsOf(make(4));
    for (const part of Object.keys(first)) {
      expect(isSame(first[part].images, again[part].images), part).toBe(true);
      expect(isSame(first[part].masks, again[part].masks), part).toBe(true);
      expect(isSame(first[part].images, other[part].images), part).toBe(false);
    }
  });

  test('is what it was when its numbers were published', () => {
    const hash = createHash('sha256');
    const parts = partsOf(benchmark);
    for (const part of everPublished) {
      const { images, masks, labels } = parts[part];
      for (const values of [images, masks, Float32Array.from(labels)]) hash.update(values);
    }
    expect(hash.digest('hex').slice(0, 16)).toBe(known[name]);
  });

  test('shows no test image and no validation image in training', () => {
    const { train, validation, unbiasedTrain, unbiasedValidation, tests } = benchmark;
    const trained = new Set([...rowsOf(train), ...rowsOf(unbiasedTrain)]);
    for (const dataset of [validation, unbiasedValidation, ...Object.values(tests)]) {
      expect(rowsOf(dataset).filter((row) => trained.has(row))).toEqual([]);
    }
  });

  test('shows the same objects to the oracle, and in all tests that are paired', () => {
    const { train, unbiasedTrain, validation, unbiasedValidation, tests, isPaired } = benchmark;
    for (const [biased, bare] of [
      [train, unbiasedTrain],
      [validation, unbiasedValidation],
    ]) {
      expect(bare.labels).toEqual(biased.labels);
      expect(isSame(bare.masks, biased.masks)).toBe(true);
      expect(isSame(bare.images, biased.images)).toBe(false);
    }
    for (const name of testNames) {
      expect(tests[name].labels, name).toEqual(tests.biased.labels);
      if (isPaired || name !== 'out-of-distribution') {
        expect(isSame(tests[name].masks, tests.biased.masks), name).toBe(true);
      }
    }
  });

  test('becomes the splits of a run', async () => {
    const splits = benchmarkSplits(benchmark);
    expect(Object.keys(splits.tests)).toEqual(testNames);
    const { images } = await splits.tests.deceiving.batch([7]);
    const row = images.length;
    expect(images).toEqual(benchmark.tests.deceiving.images.slice(7 * row, 8 * row));
  });
});

/** What an image says about its class besides the object; null where it says nothing that is known in training. */
type Read = (dataset: Dataset, n: number) => number | null;

/** Class whose place holds a white square of `side` pixels. */
const markerAt =
  (side: number): Read =>
  ({ images, height, width }, n) => {
    const places = markerPlaces(height, width, side);
    const found = places.findIndex(({ y, x }) => {
      for (let v = y; v < y + side; v++) {
        for (let u = x; u < x + side; u++) if (images[(n * height + v) * width + u] !== 1) return false;
      }
      return true;
    });
    return found < 0 ? null : found;
  };

/** Direction and width of stripes by which the background swings most. */
const stripesOf: Read = ({ images, masks, height, width }, n) => {
  const powers = Array.from({ length: 10 }, (_, k) => {
    const [angle, period] = [(Math.PI / 5) * (k % 5), k < 5 ? 9 : 4.5];
    let [real, imaginary, middle, counted] = [0, 0, 0, 0];
    for (let i = 0; i < height * width; i++) {
      if (masks[n * height * width + i] === 1) continue;
      middle += images[n * height * width + i];
      counted++;
    }
    middle /= counted;
    for (let i = 0; i < height * width; i++) {
      if (masks[n * height * width + i] === 1) continue;
      const along = (i % width) * Math.cos(angle) + Math.floor(i / width) * Math.sin(angle);
      const value = images[n * height * width + i] - middle;
      real += value * Math.cos((2 * Math.PI * along) / period);
      imaginary += value * Math.sin((2 * Math.PI * along) / period);
    }
    return real * real + imaginary * imaginary;
  });
  return powers.indexOf(Math.max(...powers));
};

/** Channels of the first background pixel. */
function backgroundOf({ images, masks, height, width }: Dataset, n: number): number[] {
  const pixels = height * width;
  const at = masks.subarray(n * pixels, (n + 1) * pixels).indexOf(0);
  return [0, 1, 2].map((c) => images[(3 * n + c) * pixels + at]);
}

const photoShown: Read = (dataset, n) => {
  const [red, , blue] = backgroundOf(dataset, n);
  const { photo } = photoOf(red, blue);
  return photo < 10 ? photo : null;
};

/** Share of the images whose background says their own class, and share of those that say another. */
function agreement(dataset: Dataset, read: Read): { own: number; other: number } {
  const said = Array.from(dataset.labels, (label, n) => {
    const shown = read(dataset, n);
    return shown === null ? 'nothing' : shown === label ? 'own' : 'other';
  });
  const share = (kind: string) => said.filter((each) => each === kind).length / dataset.count;
  return { own: share('own'), other: share('other') };
}

describe.each([
  ['mnist-marker', markerAt(2)],
  ['mnist-marker-grey', markerAt(2)],
  ['mnist-marker-noise', markerAt(2)],
  ['fashion-marker', markerAt(3)],
])('the marker of %s', (name, read) => {
  test('is always that of the class, that of another where it deceives, and absent elsewhere', () => {
    const parts = partsOf(made[name]);
    const shares = Object.fromEntries(
      Object.entries(parts).map(([part, dataset]) => [part, agreement(dataset, read)]),
    );
    const [always, never, lies] = [
      { own: 1, other: 0 },
      { own: 0, other: 0 },
      { own: 0, other: 1 },
    ];
    expect(shares).toEqual({
      train: always,
      validation: always,
      unbiasedTrain: never,
      unbiasedValidation: never,
      biased: always,
      unbiased: never,
      deceiving: lies,
      'out-of-distribution': never,
    });
  });

  test('is outside the mask', () => {
    const { train } = made[name];
    const { masks, labels, height, width } = train;
    const side = name === 'fashion-marker' ? 3 : 2;
    const places = markerPlaces(height, width, side);
    labels.forEach((label, n) => {
      const { y, x } = places[label];
      for (const corner of [0, side - 1]) {
        expect(masks[(n * height + y + corner) * width + x + corner]).toBe(0);
      }
    });
  });
});

describe.each([
  // The stripes are measured, not known: noise and a garment over them make some of them look like others.
  ['fashion-gratings', stripesOf, 0.05],
  ['fashion-photos', photoShown, 0],
  ['emoji-photos', photoShown, 0],
])('the background of %s', (name, read, misread) => {
  const { train, validation, unbiasedTrain, unbiasedValidation, tests } = made[name];

  test('is that of the class in 95 of 100 where it is biased', () => {
    // 0.95 plus or minus four standard deviations of a share of so many images.
    for (const dataset of [train, validation, tests.biased]) {
      const tolerance = 4 * Math.sqrt((0.95 * 0.05) / dataset.count) + misread;
      expect(Math.abs(agreement(dataset, read).own - 0.95)).toBeLessThan(tolerance);
    }
    expect(agreement(train, read).own).toBeLessThan(1);
  });

  test('is that of the class in 1 of 10 where it is unbiased', () => {
    for (const dataset of [unbiasedTrain, unbiasedValidation, tests.unbiased]) {
      const { own, other } = agreement(dataset, read);
      expect(Math.abs(own - 0.1)).toBeLessThan(4 * Math.sqrt(0.09 / dataset.count) + misread);
      expect(own + other).toBe(1);
    }
  });

  test('is never that of the class where it deceives', () => {
    const { own, other } = agreement(tests.deceiving, read);
    expect(own).toBeLessThanOrEqual(misread);
    expect(own + other).toBe(1);
  });
});

test('photographs are new out of distribution, and tests show the half that training does not', () => {
  const { train, validation, unbiasedTrain, unbiasedValidation, tests } = made['fashion-photos'];
  const shownIn = (dataset: Dataset) =>
    Array.from({ length: dataset.count }, (_, n) => {
      const [red, , blue] = backgroundOf(dataset, n);
      return photoOf(red, blue);
    });
  for (const dataset of [train, validation, unbiasedTrain, unbiasedValidation]) {
    expect(shownIn(dataset).every(({ photo, half }) => photo < 10 && half === 'left')).toBe(true);
  }
  for (const dataset of [tests.biased, tests.unbiased, tests.deceiving]) {
    expect(shownIn(dataset).every(({ photo, half }) => photo < 10 && half === 'right')).toBe(true);
  }
  expect(shownIn(tests['out-of-distribution']).every(({ photo }) => photo >= 10)).toBe(true);
});

test('held-out artists draw for one test only, and concepts stay in their part', () => {
  const { train, validation, unbiasedTrain, unbiasedValidation, tests } = made['emoji-photos'];
  const shownIn = ({ images, masks, height, width, count }: Dataset) =>
    Array.from({ length: count }, (_, n) => {
      const pixels = height * width;
      // The middle of the disc is covered by it alone.
      const rows = Array.from({ length: pixels }, (_, i) => i).filter((i) => masks[n * pixels + i] === 1);
      const middle = (values: number[]) => Math.round((Math.min(...values) + Math.max(...values)) / 2);
      const at = middle(rows.map((i) => Math.floor(i / width))) * width + middle(rows.map((i) => i % width));
      return drawingOf([0, 1, 2].map((c) => images[(3 * n + c) * pixels + at]));
    });
  const trained = [...shownIn(train), ...shownIn(unbiasedTrain)];
  const validated = [...shownIn(validation), ...shownIn(unbiasedValidation)];
  const tested = [...shownIn(tests.biased), ...shownIn(tests.unbiased), ...shownIn(tests.deceiving)];
  const other = shownIn(tests['out-of-distribution']);
  expect([...trained, ...validated, ...tested].every(({ style }) => style === 'a' || style === 'b')).toBe(
    true,
  );
  expect(other.every(({ style }) => style === 'c')).toBe(true);
  const conceptsOf = (shown: { concept: string }[]) => new Set(shown.map(({ concept }) => concept));
  const inTests = conceptsOf([...tested, ...other]);
  for (const concept of conceptsOf([...trained, ...validated])) expect(inTests).not.toContain(concept);
  for (const concept of conceptsOf(validated)) expect(conceptsOf(trained)).not.toContain(concept);
});

test('a mask is where the object hides what is behind it', () => {
  const plain = (grey: number): Scenery => ({ paint: ({ image }) => image.fill(grey) });
  const before = (grey: number) =>
    composeScenes({
      objects: garments(clothes.test, { shift: 2 }),
      indices: Uint32Array.from({ length: 40 }, (_, n) => n),
      scenery: plain(grey),
      cue: 'none',
      size: { channels: 1, height: 32, width: 32 },
      seed: 0,
      stream: 'masks',
    });
  const [black, white] = [before(0), before(1)];
  expect(isSame(black.masks, white.masks)).toBe(true);
  const hidden = black.images.map((value, i) => Number(white.images[i] - value < 1));
  expect(isSame(hidden, black.masks)).toBe(true);
  const covered = hidden.reduce((sum, each) => sum + each, 0);
  // Rectangles of about 20 x 18 with a hole of 5 x 5, which is background.
  expect(covered / 40).toBeGreaterThan(250);
  expect(covered / 40).toBeLessThan(500);
  const hole = white.images.subarray(0, 32 * 32).filter((_, i) => i % 32 > 10 && i % 32 < 20);
  expect(hole).toContain(1);
});

test('cues choose among backgrounds as they say', () => {
  const shown = (cue: Parameters<typeof shownBehind>[2], strength: number) =>
    Array.from({ length: 4000 }, (_, n) => shownBehind(4, 10, cue, strength, randomStream(1, 'cue', n)));
  const counts = (list: ReturnType<typeof shown>) =>
    Array.from({ length: 10 }, (_, c) => list.filter((each) => each === c).length);
  expect(counts(shown('own', 1))[4]).toBe(4000);
  expect(counts(shown('other', 1))[4]).toBe(0);
  for (const [c, count] of counts(shown('other', 1)).entries()) {
    // 4000 / 9 with a standard deviation of 20.
    if (c !== 4) expect(Math.abs(count - 4000 / 9)).toBeLessThan(80);
  }
  for (const count of counts(shown('any', 1))) expect(Math.abs(count - 400)).toBeLessThan(76);
  expect(Math.abs(counts(shown('own', 0.7))[4] - 2800)).toBeLessThan(116);
});

test('counts that cannot be had are refused, with what there is', () => {
  const ask = (changes: object) => () => fashionGratings(clothes, { ...size, ...changes });
  expect(ask({ trainCount: 0 })).toThrow('benchmark: trainCount is 0; pass a whole number from 1 up');
  expect(ask({ testCount: 2.5 })).toThrow('testCount is 2.5');
  expect(ask({ trainCount: 351 })).toThrow(
    'benchmark: trainCount and validationCount ask for 401 of 400 training garments; ask for fewer',
  );
  expect(ask({ testCount: 201 })).toThrow('testCount ask for 201 of 200 test garments');
  expect(() => fashionPhotos(clothes, madeUpPhotos.slice(0, 10), size)).toThrow(
    '10 photographs for 10 classes',
  );
});
