// Data that is wrong must stop the run, and with a sentence that says which sample or file it is and what to do.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DataError, UsageError } from '../engine/errors.ts';
import { batches, checkDataset, type Dataset, subset } from '../isnet/data/dataset.ts';
import { parseDigits, parseIdx } from '../isnet/data/idx.ts';
import { loadMnist, mnistFolder } from '../isnet/data/mnist.ts';

/** The message of the DataError that `run` throws; fails unless it has the project's form. */
function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    const { message } = error as DataError;
    expect(message).toMatch(/^[^:]+: [^\n]+; [^\n]+[^.\n]$/);
    return message;
  }
  throw new Error('nothing was thrown');
}

describe('data sets', () => {
  /** Three 2-channel 2x3 images; every value of `changes` replaces a field. */
  function small(changes: Partial<Dataset> = {}): Dataset {
    return {
      images: Float32Array.from({ length: 36 }, (_, i) => i / 35),
      masks: Float32Array.from({ length: 18 }, (_, i) => i % 2),
      labels: Uint8Array.of(0, 1, 2),
      count: 3,
      channels: 2,
      height: 2,
      width: 3,
      classNames: ['cat', 'dog', 'owl'],
      ...changes,
    };
  }
  const masksWith = (change: (masks: Float32Array) => void): Dataset => {
    const dataset = small();
    change(dataset.masks);
    return dataset;
  };
  const check = (dataset: Dataset): string => complaint(() => checkDataset('train', dataset));

  test('a sound data set passes', () => {
    expect(() => checkDataset('train', small())).not.toThrow();
  });

  test('a missing label, image or size is told with the numbers', () => {
    expect(check(small({ labels: Uint8Array.of(0, 1) }))).toContain('train: 2 labels for 3 images');
    expect(check(small({ images: new Float32Array(24) }))).toContain(
      '24 image values, but [3, 2, 2, 3] has 36',
    );
    expect(check(small({ height: 0 }))).toContain('height is 0');
    expect(check(small({ classNames: [] }))).toContain('0 class names');
  });

  test('a label without a class names the first such sample', () => {
    expect(check(small({ labels: Uint8Array.of(0, 3, 9) }))).toContain(
      'sample 1 has label 3, but there are 3 classes',
    );
  });

  test('masks of another size than the images are refused', () => {
    expect(check(small({ masks: new Float32Array(27) }))).toContain(
      '27 mask values, but [3, 1, 2, 3] has 18',
    );
  });

  test('a mask value other than 0 and 1 is told with its place', () => {
    const message = check(
      masksWith((masks) => {
        masks[10] = 0.5;
      }),
    );
    expect(message).toContain('sample 1 has the mask value 0.5 (row 1, column 1)');
    const isNaNRefused = masksWith((masks) => {
      masks[0] = Number.NaN;
    });
    expect(check(isNaNRefused)).toContain('sample 0 has the mask value NaN');
  });

  test('an empty mask is an error that names both other policies, or all background if asked', () => {
    const dataset = masksWith((masks) => masks.fill(0, 12, 18));
    expect(check(dataset)).toMatch(/mask of sample 2 is empty.*'all-background'.*'skip'/);
    expect(() => checkDataset('train', dataset, { emptyMasks: 'all-background' })).not.toThrow();
  });

  test('an unknown policy for empty masks is refused', () => {
    const options = { emptyMasks: 'skip' } as unknown as { emptyMasks: 'error' };
    expect(() => checkDataset('train', small(), options)).toThrow(UsageError);
  });

  test('a mask that is all foreground is an error under both policies', () => {
    const dataset = masksWith((masks) => masks.fill(1, 6, 12));
    expect(check(dataset)).toContain('mask of sample 1 is all foreground (6 of 6 pixels)');
    expect(() => checkDataset('train', dataset, { emptyMasks: 'all-background' })).toThrow(DataError);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -0.25, 255])(
    'the image value %d is told with its place',
    (value) => {
      const dataset = small();
      dataset.images[12 + 6 + 3 + 2] = value;
      expect(check(dataset)).toContain(`sample 1 has the image value ${value} (channel 1, row 1, column 2)`);
    },
  );

  test('a subset holds the chosen samples in the chosen order', () => {
    const { images, masks, labels, count } = subset(small(), [2, 0]);
    expect([count, ...labels]).toEqual([2, 2, 0]);
    expect([...images]).toEqual([...small().images.subarray(24, 36), ...small().images.subarray(0, 12)]);
    expect([...masks]).toEqual([...small().masks.subarray(12, 18), ...small().masks.subarray(0, 6)]);
  });

  test('a subset of samples that do not exist is refused', () => {
    expect(() => subset(small(), [0, 3])).toThrow(/index 3 \(at position 1\)/);
    expect(() => subset(small(), [-1])).toThrow(UsageError);
  });
});

describe('batches', () => {
  const epochOf = (epoch: number, seed = 1): number[] =>
    [...batches({ count: 10 }, { batchSize: 4, seed, epoch })].flatMap((batch) => [...batch]);

  test('an epoch has every sample once, the last batch what is left', () => {
    const sizes = [...batches({ count: 10 }, { batchSize: 4 })].map((batch) => batch.length);
    expect(sizes).toEqual([4, 4, 2]);
    expect(epochOf(0).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('the order is the same for the same seed and epoch, and another for any other', () => {
    expect(epochOf(3)).toEqual(epochOf(3));
    expect(epochOf(3)).not.toEqual(epochOf(4));
    expect(epochOf(3)).not.toEqual(epochOf(3, 2));
  });

  test('dropLast leaves out the small batch', () => {
    const sizes = [...batches({ count: 10 }, { batchSize: 4, dropLast: true })].map((batch) => batch.length);
    expect(sizes).toEqual([4, 4]);
  });

  test('without shuffling the order is that of the data', () => {
    const rows = [...batches({ count: 5 }, { batchSize: 2, shuffle: false })].map((batch) => [...batch]);
    expect(rows).toEqual([[0, 1], [2, 3], [4]]);
  });

  test('options that make no batch are refused at the call', () => {
    expect(() => batches({ count: 10 }, { batchSize: 0 })).toThrow(UsageError);
    expect(() => batches({ count: 10 }, { batchSize: 2.5 })).toThrow(UsageError);
    expect(() => batches({ count: 10 }, { batchSize: 11, dropLast: true })).toThrow(UsageError);
    expect(() => batches({ count: 0 }, { batchSize: 1 })).toThrow(UsageError);
  });
});

describe('IDX files', () => {
  const images = Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 11, 12, 20, 21, 22);
  const labels = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 7, 9);
  const withByte = (bytes: Uint8Array, position: number, value: number): Uint8Array =>
    bytes.with(position, value);

  test('images and labels are read, also from the middle of a buffer', () => {
    const padded = Uint8Array.of(99, ...images).subarray(1);
    const digits = parseDigits('digits', padded, labels);
    expect([digits.count, digits.height, digits.width]).toEqual([2, 1, 3]);
    expect([...digits.pixels, ...digits.labels]).toEqual([10, 11, 12, 20, 21, 22, 7, 9]);
  });

  test('a file cut off anywhere is refused', () => {
    for (let length = 0; length < images.length; length++) {
      expect(complaint(() => parseIdx('digits', images.subarray(0, length), 3))).toContain('cut off');
    }
  });

  test('bytes after the data are refused', () => {
    expect(complaint(() => parseIdx('digits', Uint8Array.of(...labels, 0), 1))).toContain(
      '1 bytes after the end',
    );
  });

  test('another magic number is refused, with the likely mistake', () => {
    const magic = (...bytes: number[]): string =>
      complaint(() => parseIdx('digits', Uint8Array.of(...bytes, ...images.subarray(4)), 3));
    expect(magic(0x89, 0x50, 0x4e, 0x47)).toContain('no IDX magic number');
    expect(magic(0x1f, 0x8b, 8, 0)).toContain('gzip');
    expect(magic(0, 0, 0x0d, 3)).toContain('IDX type 0xd');
    expect(magic(0, 0, 8, 1)).toMatch(/1 axes where 3 are expected.*swapped/);
  });

  test('an axis of size 0 is refused', () => {
    expect(complaint(() => parseIdx('digits', withByte(images, 11, 0), 3))).toContain('[2, 0, 3]');
  });

  test('another number of labels than images is refused', () => {
    const short = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 7);
    expect(complaint(() => parseDigits('digits', images, short))).toContain('2 images but 1 labels');
  });

  test('a label over 9 names its sample', () => {
    const message = complaint(() => parseDigits('digits', images, withByte(labels, 9, 10)));
    expect(message).toContain('sample 1 has label 10');
  });
});

describe('MNIST on disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'isnet-data-test-'));
  const labelsName = 't10k-labels-idx1-ubyte';
  const others = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 't10k-images-idx3-ubyte'];
  beforeAll(() => {
    for (const name of others) symlinkSync(join(mnistFolder(), name), join(folder, name));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const labelsPath = join(folder, labelsName);
  const good = readFileSync(join(mnistFolder(), labelsName));

  test('the package has 60,000 and 10,000 digits, first a 5 and a 7', () => {
    const { train, test: tested } = loadMnist();
    expect([train.count, tested.count, train.height, train.width]).toEqual([60_000, 10_000, 28, 28]);
    expect([train.labels[0], tested.labels[0]]).toEqual([5, 7]);
  });

  test('a folder of the caller is read', () => {
    copyFileSync(join(mnistFolder(), labelsName), labelsPath);
    expect(loadMnist({ folder }).test.count).toBe(10_000);
  });

  test('a missing package is told with the command that installs it', () => {
    expect(complaint(() => mnistFolder(join(folder, 'main.js')))).toMatch(/not installed; run 'npm install/);
  });

  test('a missing file is told with its path', () => {
    rmSync(labelsPath, { force: true });
    expect(complaint(() => loadMnist({ folder }))).toContain(`${labelsPath} is missing`);
  });

  test('a file that is cut off is told with both lengths', () => {
    writeFileSync(labelsPath, good.subarray(0, 5000));
    expect(complaint(() => loadMnist({ folder }))).toContain('cut off, 5000 of 10008 bytes');
  });

  test('a file with one changed byte is told by its MD5', () => {
    writeFileSync(labelsPath, good.with(5000, good[5000] ^ 1));
    expect(complaint(() => loadMnist({ folder }))).toMatch(
      /has MD5 [0-9a-f]{32}, but MNIST's is 27ae3e4e0951/,
    );
  });
});
