// The benchmark proves something only if its versions differ in the marker alone and no image is used twice.
import { beforeAll, expect, test } from 'vitest';
import { UsageError } from '../engine/errors.ts';
import type { Digits } from '../isnet/data/idx.ts';
import { markerBiasBenchmark } from '../isnet/data/marker-bias-benchmark.ts';
import { loadMnist } from '../isnet/data/mnist.ts';
import { difference, isSame, markerPixels, SIZE } from './marker-images.ts';

let mnist: { train: Digits; test: Digits };
beforeAll(() => {
  mnist = loadMnist();
});

const cut = (changes: { trainCount?: number; testCount?: number; seed?: number } = {}) =>
  markerBiasBenchmark({
    ...mnist,
    trainCount: 300,
    validationCount: 100,
    testCount: 200,
    seed: 1,
    background: 'noise',
    ...changes,
  });

test('its three tests show the same digits and differ in nothing but markers', () => {
  const { biased, unbiased, deceiving } = cut();
  for (const other of [unbiased, deceiving]) {
    expect(other.labels).toEqual(biased.labels);
    expect(isSame(other.masks, biased.masks)).toBe(true);
  }
  for (let n = 0; n < biased.count; n++) {
    const own = markerPixels[biased.labels[n]];
    expect(difference(biased, unbiased, n)).toEqual(own);
    const shown = difference(deceiving, unbiased, n);
    expect(markerPixels).toContainEqual(shown);
    expect(shown).not.toEqual(own);
  }
});

test('training and validation are biased and share no image', () => {
  const { train, validation } = cut();
  const rows = [train, validation].flatMap(({ images, labels, count }) =>
    Array.from({ length: count }, (_, n) => {
      const image = images.subarray(n * SIZE, (n + 1) * SIZE);
      for (const i of markerPixels[labels[n]]) expect(image[i]).toBe(1);
      return image.join();
    }),
  );
  expect(new Set(rows).size).toBe(400);
});

test('every part has as many of each class', () => {
  const { train, validation, biased } = cut();
  for (const { labels, count } of [train, validation, biased]) {
    const counts = new Array<number>(10).fill(0);
    for (const label of labels) counts[label]++;
    expect(counts).toEqual(new Array(10).fill(count / 10));
  }
});

test('equal seeds give equal bits, another seed other digits', () => {
  const again = cut();
  for (const [part, { images, labels }] of Object.entries(cut())) {
    const twin = again[part as keyof typeof again];
    expect(isSame(images, twin.images)).toBe(true);
    expect(labels).toEqual(twin.labels);
  }
  expect(again.biased.labels).not.toEqual(cut({ seed: 2 }).biased.labels);
});

test('counts that are no counts or more than there are digits are refused', () => {
  expect(() => cut({ trainCount: 0 })).toThrow(UsageError);
  expect(() => cut({ trainCount: 59_901 })).toThrow(/ask for 60001 of 60000 training digits/);
  expect(() => cut({ testCount: 10_001 })).toThrow(/ask for 10001 of 10000 test digits/);
});
