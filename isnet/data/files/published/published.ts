// What a data set that others have published becomes, whatever its layout: images with splits, groups, and where their masks
// come from. The loaders beside this file read lists and names only; no picture is opened.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../../../engine/errors.ts';
import { randomStream } from '../../../../engine/random-bits.ts';

/** A rectangle in pixels of the image; right and bottom are outside. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Foreground is what any of the mask files or boxes shows. */
export interface PublishedMask {
  readonly files: readonly string[];
  readonly boxes: readonly Box[];
}

/** One image. */
export interface PublishedImage {
  readonly file: string;
  readonly split: string;
  /** Per class 1, 0 or -1 (uncertain). */
  readonly labels: readonly (0 | 1 | -1)[];
  /** Patient, person or source; null if none is published. */
  readonly group: string | null;
  /** Null: none is published. */
  readonly mask: PublishedMask | null;
}

/** A published data set. */
export interface PublishedData {
  readonly classNames: readonly string[];
  readonly isMultiLabel: boolean;
  readonly images: readonly PublishedImage[];
  /** What the reader should know: how it was split, what is left out. */
  readonly notes: readonly string[];
}

/** How to read any of them. */
export interface PublishedOptions {
  /** Of the splits that are not published. */
  readonly seed: number;
  /** Classes to keep, for data sets with several per image; some of them by default. */
  readonly classes?: readonly string[];
  /** Masks of one's own: the image's path within the data set, with the ending .png. */
  readonly masks?: string;
}

/** Shares of the groups that go to validation and to the test, where no split is published. */
export const shares = { val: 0.1, test: 0.2 } as const;

/**
 * The split of a group, at random by seed and name, so that adding images moves no other. `names` lists those that are to be
 * filled; training gets what the others leave.
 */
export function splitOf(
  group: string,
  seed: number,
  names: readonly ('val' | 'test')[] = ['val', 'test'],
): string {
  const draw = randomStream(seed, `split/${group}`).uniform();
  let end = 0;
  for (const name of names) {
    end += shares[name];
    if (draw < end) return name;
  }
  return 'train';
}

/** Names in a folder in alphabetical order; none if there is no such folder. */
export const namesIn = (folder: string): Promise<string[]> =>
  readdir(folder).then(
    (names) => names.filter((name) => !name.startsWith('.')).sort(),
    () => [],
  );

/** Throws DataError: the folder does not look like what was published. */
export function notPublished(folder: string, title: string, expected: string): never {
  throw new DataError(
    `import: '${folder}' does not look like ${title} (no ${expected}); name the folder that holds it`,
  );
}

/** The mask of one's own for an image, if there is a folder of them. */
export function ownMask(path: string, { masks }: PublishedOptions): PublishedMask | null {
  if (masks === undefined) return null;
  return { files: [join(masks, path.replace(/\.[^./\\]+$/, '.png'))], boxes: [] };
}

/** One label that is 1, the others 0. */
export const oneOfClasses = (classNames: readonly string[], name: string): (0 | 1)[] =>
  classNames.map((each) => (each === name ? 1 : 0));

/** Positions of the wanted classes among those there are. Throws DataError for one that there is not. */
export function positionsOf(wanted: readonly string[], all: readonly string[], title: string): number[] {
  return wanted.map((name) => {
    const position = all.indexOf(name);
    if (position >= 0) return position;
    throw new DataError(`import: ${title} has no class '${name}'; use some of ${all.join(', ')}`);
  });
}
