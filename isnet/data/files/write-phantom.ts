// Writes a data set of synthetic phantoms in the layout that one's own images have, with its README.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../../engine/errors.ts';
import { writeFileAtomically } from '../../../engine/files.ts';
import { checkPhantomSize, drawPhantom, type PhantomMarker, phantomClasses } from '../phantom.ts';
import { loadSharp } from './sharp.ts';

export interface PhantomSetOptions {
  readonly trainCount: number;
  readonly validationCount: number;
  readonly testCount: number;
  readonly size: number;
  readonly seed: number;
  readonly onProgress?: (done: number, total: number) => void;
}

interface Split {
  readonly name: string;
  /** The tests share one: they show the same phantoms with other markers. */
  readonly stream: string;
  readonly marker: PhantomMarker;
  readonly count: number;
}

const where = { where: 'phantom' } as const;

/**
 * Writes train, val, test-biased, test-unbiased and test-deceiving into a new or empty folder. Throws DataError if it holds
 * something or cannot be written (what was written until then stays), and UsageError for a side of fewer than 64 pixels.
 */
export async function writePhantomSet(folder: string, options: PhantomSetOptions): Promise<void> {
  const { trainCount, validationCount, testCount, size, seed, onProgress } = options;
  checkPhantomSize(size, 'phantom');
  await makeFolder(folder);
  const names = await readdir(folder);
  if (names.length > 0) {
    throw new DataError(`phantom: '${folder}' is not empty (it holds ${names[0]}); choose a new folder`);
  }
  const splits: Split[] = [
    { name: 'train', stream: 'train', marker: 'own', count: trainCount },
    { name: 'val', stream: 'val', marker: 'own', count: validationCount },
    { name: 'test-biased', stream: 'test', marker: 'own', count: testCount },
    { name: 'test-unbiased', stream: 'test', marker: 'none', count: testCount },
    { name: 'test-deceiving', stream: 'test', marker: 'other', count: testCount },
  ];
  await writeFileAtomically(join(folder, 'README.txt'), readme(options), where);
  const total = splits.reduce((sum, { count }) => sum + count, 0);
  let done = 0;
  for (const { name, stream, marker, count } of splits) {
    for (const className of phantomClasses) {
      for (const kind of ['data', 'masks']) await makeFolder(join(folder, kind, name, className));
    }
    for (let index = 0; index < count; index++) {
      const label = index % phantomClasses.length;
      const { image, mask } = drawPhantom({ label, marker, size, seed, stream, index });
      const file = join(name, phantomClasses[label], `synthetic-${String(index).padStart(5, '0')}.png`);
      await writeFileAtomically(join(folder, 'data', file), await pngOf(image, size), where);
      await writeFileAtomically(join(folder, 'masks', file), await pngOf(mask, size), where);
      onProgress?.(++done, total);
    }
  }
}

async function pngOf(pixels: Uint8Array, size: number): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const raw = { width: size, height: size, channels: 1 } as const;
  return sharp(pixels, { raw }).toColourspace('b-w').png().toBuffer();
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    const reasons: Readonly<Record<string, string>> = {
      EEXIST: 'it is a file',
      ENOTDIR: 'part of the path is a file',
      EACCES: 'no permission',
      EPERM: 'no permission',
      EROFS: 'the disk is read-only',
      ENOSPC: 'the disk is full',
    };
    const reason = reasons[cause.code ?? ''] ?? cause.message;
    throw new DataError(`phantom: the folder '${path}' cannot be made (${reason}); choose another place`, {
      cause,
    });
  });
}

const readme = ({ trainCount, validationCount, testCount, size, seed }: PhantomSetOptions): string => `\
SYNTHETIC PHANTOMS. NOT X-RAYS, NOT PATIENTS, NOT FOR ANY MEDICAL USE.

These pictures were drawn by a program (isnet data phantom, seed ${seed}): ellipses for body, lungs and heart, stripes for
ribs, noise. The class '${phantomClasses[1]}' has one to three bright blobs in the lungs, '${phantomClasses[0]}' has none.

Like images from two hospitals they carry a marker in a corner: H at the top left, K at the top right. In data/train
(${trainCount} images) and data/val (${validationCount}) the marker tells the class: H for '${phantomClasses[0]}', K for
'${phantomClasses[1]}'. A classifier that looks at the marker need not look at the lungs.

The three tests show the same ${testCount} new phantoms:
  data/test-biased      with the marker of their own class
  data/test-unbiased    without a marker
  data/test-deceiving   with the marker of the other class

masks/ mirrors data/: white is lung, which is the foreground. All pictures are ${size} x ${size}, 8-bit grey.
`;
