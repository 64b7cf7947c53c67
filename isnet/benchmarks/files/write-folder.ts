// Writes a benchmark as picture files, in the layout that one's own images have: what is trained on them has come through
// the loader of files, and any other program can read them too.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../../engine/errors.ts';
import { writeFileAtomically } from '../../../engine/files.ts';
import type { Dataset } from '../../data/dataset.ts';
import { loadSharp } from '../../data/files/sharp.ts';
import { type Benchmark, testNames } from '../benchmark.ts';

export interface WriteBenchmarkOptions {
  /** What the folder holds, for its README. */
  readonly about: string;
  readonly onProgress?: (done: number, total: number) => void;
}

const where = { where: 'benchmark' } as const;

/**
 * Writes train, val and the four tests into a new or empty folder, and the oracle's train and val into `oracle/` within it.
 * Throws DataError if the folder holds something or cannot be written; what was written until then stays.
 */
export async function writeBenchmark(
  folder: string,
  benchmark: Benchmark,
  { about, onProgress }: WriteBenchmarkOptions,
): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new DataError(
      `benchmark: the folder '${folder}' cannot be made (${cause.code}); choose another place`,
      {
        cause,
      },
    );
  });
  const names = await readdir(folder);
  if (names.length > 0) {
    throw new DataError(`benchmark: '${folder}' is not empty (it holds ${names[0]}); choose a new folder`);
  }
  const { train, validation, unbiasedTrain, unbiasedValidation, tests } = benchmark;
  const parts: [root: string, split: string, dataset: Dataset][] = [
    [folder, 'train', train],
    [folder, 'val', validation],
    ...testNames.map((name): [string, string, Dataset] => [folder, `test-${name}`, tests[name]]),
    [join(folder, 'oracle'), 'train', unbiasedTrain],
    [join(folder, 'oracle'), 'val', unbiasedValidation],
  ];
  await writeFileAtomically(join(folder, 'README.txt'), `${about}\n`, where);
  const total = parts.reduce((sum, [, , { count }]) => sum + count, 0);
  let done = 0;
  for (const [root, split, dataset] of parts) {
    for (const name of dataset.classNames) {
      for (const kind of ['data', 'masks']) await mkdir(join(root, kind, split, name), { recursive: true });
    }
    for (let n = 0; n < dataset.count; n++) {
      const file = join(split, dataset.classNames[dataset.labels[n]], `${String(n).padStart(5, '0')}.png`);
      await writeFileAtomically(join(root, 'data', file), await pngOf(dataset, dataset.images, n), where);
      await writeFileAtomically(
        join(root, 'masks', file),
        await pngOf({ ...dataset, channels: 1 }, dataset.masks, n),
        where,
      );
      onProgress?.(++done, total);
    }
  }
}

/** Image n of [N, C, H, W] in 0..1. */
async function pngOf(
  { channels, height, width }: Pick<Dataset, 'channels' | 'height' | 'width'>,
  values: Float32Array,
  n: number,
): Promise<Uint8Array> {
  const pixels = height * width;
  const bytes = new Uint8Array(channels * pixels);
  for (let c = 0; c < channels; c++) {
    for (let p = 0; p < pixels; p++) {
      bytes[p * channels + c] = Math.round(255 * values[(n * channels + c) * pixels + p]);
    }
  }
  const sharp = await loadSharp();
  const raw = { width, height, channels: channels as 1 | 3 };
  return sharp(bytes, { raw })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();
}
