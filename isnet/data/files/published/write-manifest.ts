// A published data set as a CSV manifest, which everything else reads: what is checked, previewed and trained on.
import { dirname, relative, resolve, sep } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { writeFileAtomically } from '../../../../engine/files.ts';
import { maskFileOf } from './masks.ts';
import type { PublishedData } from './published.ts';

export interface WriteManifestOptions {
  /** Folder of the data set. */
  readonly source: string;
  /** CSV file to write. Masks that have to be drawn go into a folder beside it, of the same name with `-masks`. */
  readonly output: string;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Folder for the drawn masks of a manifest. */
export const drawnMasks = (output: string): string => `${output.replace(/\.csv$/i, '')}-masks`;

// Headers and masks are small; this many at a time keep the disk busy.
const IMAGES_AT_A_TIME = 4;

/**
 * Writes the manifest, and masks where the published ones are no mask files of the image's size. Paths are relative to the
 * manifest. Rejects with DataError, naming the file, if a picture is missing or something cannot be written.
 */
export async function writeManifest(
  { classNames, isMultiLabel, images }: PublishedData,
  { source, output, onProgress }: WriteManifestOptions,
): Promise<void> {
  const masks: (string | null)[] = new Array(images.length).fill(null);
  const place = { source, folder: drawnMasks(output) };
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < images.length) {
      const n = next++;
      masks[n] = await maskFileOf(images[n], place);
      onProgress?.(++done, images.length);
    }
  };
  await Promise.all(Array.from({ length: IMAGES_AT_A_TIME }, work));
  const folder = dirname(resolve(output));
  const pathOf = (file: string): string => relative(folder, resolve(file)).split(sep).join('/');
  const rows = images.map(({ file, split, labels, group }, n) => ({
    file: pathOf(file),
    split,
    ...(isMultiLabel
      ? Object.fromEntries(classNames.map((name, c) => [`label:${name}`, labels[c]]))
      : { label: classNames[labels.indexOf(1)] }),
    mask: masks[n] === null ? '' : pathOf(masks[n]),
    group: group ?? '',
  }));
  await writeFileAtomically(output, stringify(rows, { header: true }), { where: 'import' });
}
