// Random numbers must be the published ones, unbiased, and a function of their name alone: seeds are worth nothing else.
import { expect, test } from 'vitest';
import { UsageError } from '../engine/errors.ts';
import { fnv1a, randomStream, threefry2x32 } from '../engine/random-bits.ts';

test('threefry gives the known answers of Random123', () => {
  const ones = 0xffffffff;
  expect(threefry2x32(0, 0, 0, 0)).toEqual([0x6b200159, 0x99ba4efe]);
  expect(threefry2x32(ones, ones, ones, ones)).toEqual([0x1cb996fc, 0xbb002be7]);
  expect(threefry2x32(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3)).toEqual([0xc4923a9c, 0x483df7a0]);
});

test('names are hashed with the published FNV-1a', () => {
  expect([fnv1a(''), fnv1a('a'), fnv1a('foobar')]).toEqual([0x811c9dc5, 0xe40c292c, 0xbf9cf968]);
});

test('a stream reads the blocks of counter (block, index) under key (seed, hash of the name)', () => {
  const stream = randomStream(7, 'foobar', 5);
  const words = Array.from({ length: 4 }, () => stream.word());
  expect(words).toEqual([...threefry2x32(7, 0xbf9cf968, 0, 5), ...threefry2x32(7, 0xbf9cf968, 1, 5)]);
});

test('streams of another seed, name or index have nothing in common', () => {
  const streams = [
    randomStream(1, 'a'),
    randomStream(2, 'a'),
    randomStream(1, 'b'),
    randomStream(1, 'a', 1),
    randomStream(1, 'a', 2),
  ];
  const words = streams.flatMap((stream) => Array.from({ length: 1000 }, () => stream.word()));
  // 5000 words of 32 bits: the chance of a single coincidence is 0.3 %, and the seeds are fixed.
  expect(new Set(words).size).toBe(words.length);
});

test('uniform numbers are multiples of 2^-24 in [0, 1) with the right mean and variance', () => {
  const stream = randomStream(3, 'uniform');
  const count = 50_000;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < count; i++) {
    const u = stream.uniform();
    if (u < 0 || u >= 1 || Math.fround(u) !== u || !Number.isInteger(u * 2 ** 24))
      throw new Error(`got ${u}`);
    sum += u;
    squares += (u - 0.5) ** 2;
  }
  // Four standard errors: 4 sqrt(1/12 / count), and 4 sqrt(1/180 / count) for the variance.
  expect(Math.abs(sum / count - 1 / 2)).toBeLessThan(0.0052);
  expect(Math.abs(squares / count - 1 / 12)).toBeLessThan(0.0014);
});

test('normal numbers have mean 0, variance 1 and kurtosis 3', () => {
  const stream = randomStream(4, 'normal');
  const count = 50_000;
  const moments = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const z = stream.normal();
    moments[0] += z / count;
    moments[1] += z ** 2 / count;
    moments[2] += z ** 4 / count;
  }
  // Four standard errors: the variances of z, z^2 and z^4 are 1, 2 and 96.
  expect(Math.abs(moments[0])).toBeLessThan(0.018);
  expect(Math.abs(moments[1] - 1)).toBeLessThan(0.026);
  expect(Math.abs(moments[2] - 3)).toBeLessThan(0.18);
});

test('whole numbers below n have no modulo bias', () => {
  // word % (3 * 2^30) would fall below 2^30 for a half of all words instead of a third.
  const stream = randomStream(5, 'below');
  let lowCount = 0;
  for (let i = 0; i < 10_000; i++) if (stream.below(3 * 2 ** 30) < 2 ** 30) lowCount++;
  // Four standard errors: 4 sqrt(1/3 * 2/3 / 10,000).
  expect(Math.abs(lowCount / 10_000 - 1 / 3)).toBeLessThan(0.019);
});

test('whole numbers below n reach every value from 0 to n - 1 and no other', () => {
  const stream = randomStream(6, 'below');
  const seen = new Set(Array.from({ length: 500 }, () => stream.below(7)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test('every order of three is equally likely', () => {
  const stream = randomStream(8, 'permutation');
  const counts = new Map<string, number>();
  for (let i = 0; i < 12_000; i++) {
    const order = stream.permutation(3).join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual(['012', '021', '102', '120', '201', '210']);
  // Four standard errors of 2000: 4 sqrt(12,000 * 1/6 * 5/6).
  for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(164);
});

test('seeds, indices and ends that are no 32-bit whole numbers are refused', () => {
  for (const bad of [-1, 0.5, 2 ** 32, Number.NaN]) {
    expect(() => randomStream(bad, 'a')).toThrow(UsageError);
    expect(() => randomStream(0, 'a', bad)).toThrow(UsageError);
    expect(() => randomStream(0, 'a').permutation(bad)).toThrow(UsageError);
  }
  for (const bad of [0, -3, 1.5, 2 ** 33]) expect(() => randomStream(0, 'a').below(bad)).toThrow(UsageError);
});
