// Reads a data set from its folders: data/<split>/<class>/<image>, with masks at the same place under masks/.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { DataError } from '../../../engine/errors.ts';
import { didYouMean } from '../../../engine/nearest-name.ts';
import {
  isSplitName,
  type MaskFiles,
  noMask,
  type Problem,
  type ProblemKind,
  problemsOfWhole,
  type Sample,
  type SampleList,
} from '../sample-list.ts';

/** Endings of the files that can be opened. */
export const imageEndings = ['.png', '.jpg', '.jpeg', '.webp', '.dcm'] as const;

/** Whether the name is that of a picture. */
export const isImageName = (name: string): boolean =>
  (imageEndings as readonly string[]).includes(extname(name).toLowerCase());

interface Entries {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** What a folder holds, sorted, so that the order of a data set does not depend on the file system. */
async function entries(path: string): Promise<Entries> {
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.name.startsWith('.') || entry.name === 'Thumbs.db') continue;
    // Large data sets are often linked to, not copied.
    const target = entry.isSymbolicLink() ? await stat(join(path, entry.name)) : entry;
    (target.isDirectory() ? folders : files).push(entry.name);
  }
  return { folders: folders.sort(), files: files.sort() };
}

const entriesOrNone = (path: string): Promise<Entries> =>
  entries(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
    return { folders: [], files: [] };
  });

const stemOf = (name: string): string => basename(name, extname(name));

interface Roots {
  readonly data: string;
  readonly masks: string;
}

/** `data/` and `masks/` in the folder, or the folder is `data` itself and `masks` lies beside it. */
async function rootsOf(path: string): Promise<Roots> {
  const { folders } = await entries(path);
  if (folders.includes('data')) return { data: join(path, 'data'), masks: join(path, 'masks') };
  if (folders.some(isSplitName)) return { data: path, masks: join(dirname(path), 'masks') };
  throw new DataError(
    `data: '${path}' has neither a folder data nor splits (train, val, test); lay images out as data/train/<class>/<image>`,
  );
}

/** Collects what is wrong on the way, so that one check shows everything. */
class Findings {
  readonly problems: Problem[] = [];

  add(severity: Problem['severity'], kind: ProblemKind, file: string | null, text: string): void {
    this.problems.push({ severity, kind, file, text });
  }
}

/**
 * Lists the images of a folder. The class names are the folders of `data/train`, in alphabetical order, unless those of a
 * model are given. What is wrong with the layout is listed in `problems`; throws DataError if there is no such layout.
 */
export async function listFolder(source: string, known?: readonly string[]): Promise<SampleList> {
  const roots = await rootsOf(source);
  const findings = new Findings();
  const { folders: splits, files } = await entries(roots.data);
  for (const name of files.filter(isImageName)) {
    findings.add('warning', 'misplaced-file', join(roots.data, name), 'is in no split; move it');
  }
  for (const split of splits.filter((name) => !isSplitName(name))) {
    const hint = didYouMean(split, ['train', 'val', 'test']);
    const text = `is no split${hint}; rename it to train, val, test or test-<name>, or move it away`;
    findings.add('error', 'misplaced-file', join(roots.data, split), text);
  }
  const classNames = known ?? (await entriesOrNone(join(roots.data, 'train'))).folders;
  const samples: Sample[] = [];
  for (const split of splits.filter(isSplitName)) {
    const { folders, files: loose } = await entries(join(roots.data, split));
    for (const name of loose.filter(isImageName)) {
      findings.add('warning', 'misplaced-file', join(roots.data, split, name), 'is in no class; move it');
    }
    for (const className of folders) {
      const folder = join(roots.data, split, className);
      if (!classNames.includes(className)) {
        const others = classNames.length > 0 ? `known are ${classNames.join(', ')}` : 'there are none';
        const origin = known ? 'the model' : 'the training images';
        const text = `is no class of ${origin}${didYouMean(className, classNames)}; ${others}`;
        findings.add('error', 'unknown-label', folder, text);
        continue;
      }
      samples.push(...(await listClass(roots, split, className, classNames, findings)));
    }
  }
  const list = { source, classNames, isMultiLabel: false, samples };
  return {
    ...list,
    problems: [...findings.problems, ...problemsOfWhole(list, { isForTests: known !== undefined })],
  };
}

async function listClass(
  { data, masks }: Roots,
  split: string,
  className: string,
  classNames: readonly string[],
  findings: Findings,
): Promise<Sample[]> {
  const folder = join(data, split, className);
  const maskFolder = join(masks, split, className);
  const { files, folders } = await entries(folder);
  for (const name of files.filter((name) => !isImageName(name))) {
    const text = `is no ${imageEndings.join(', ')} file; it is left out`;
    findings.add('warning', 'misplaced-file', join(folder, name), text);
  }
  for (const name of folders) {
    findings.add('warning', 'misplaced-file', join(folder, name), 'is a folder in a class; it is left out');
  }
  const masksByStem = await listMasks(maskFolder, classNames, findings);
  const seen = new Map<string, string>();
  const samples: Sample[] = [];
  for (const name of files.filter(isImageName)) {
    const stem = stemOf(name);
    const other = seen.get(stem);
    if (other !== undefined) {
      const text = `has the name of '${other}' with another ending; rename one, they would share a mask`;
      findings.add('error', 'duplicate-file', join(folder, name), text);
      continue;
    }
    seen.set(stem, name);
    const labels = classNames.map((each) => (each === className ? 1 : 0));
    const mask = masksByStem.get(stem) ?? noMask;
    samples.push({ file: join(folder, name), split, labels, mask, group: null });
  }
  for (const stem of masksByStem.keys()) {
    if (seen.has(stem)) continue;
    findings.add(
      'warning',
      'mask-without-image',
      join(maskFolder, stem),
      `has no image in ${folder}; rename it`,
    );
  }
  return samples;
}

/** `<stem>.png` is the mask of an image; a folder `<stem>` holds one mask per class, `<class>.png`. */
async function listMasks(
  folder: string,
  classNames: readonly string[],
  findings: Findings,
): Promise<Map<string, MaskFiles>> {
  const { files, folders } = await entriesOrNone(folder);
  const masks = new Map<string, MaskFiles>();
  for (const name of files.filter(isImageName)) {
    const stem = stemOf(name);
    if (masks.has(stem)) {
      findings.add(
        'error',
        'duplicate-file',
        join(folder, name),
        'is a second mask of its image; remove one',
      );
    } else masks.set(stem, { whole: join(folder, name), byClass: {} });
  }
  for (const stem of folders) {
    const byClass: Record<string, string> = {};
    for (const name of (await entries(join(folder, stem))).files.filter(isImageName)) {
      const className = stemOf(name);
      if (classNames.includes(className)) byClass[className] = join(folder, stem, name);
      else {
        const text = `is the mask of no class${didYouMean(className, classNames)}; name it after one of ${classNames.join(', ')}`;
        findings.add('error', 'unknown-label', join(folder, stem, name), text);
      }
    }
    masks.set(stem, { whole: masks.get(stem)?.whole ?? null, byClass });
  }
  return masks;
}
