// The one door to a data set on disk: a folder or a manifest, and the files it names do exist.
import { access, stat } from 'node:fs/promises';
import { DataError } from '../../../engine/errors.ts';
import { maskFiles, type Problem, type SampleList } from '../sample-list.ts';
import { isImageName, listFolder } from './list-folder.ts';
import { listManifest } from './manifest.ts';

export interface ListOptions {
  /** Classes of a model that is tested on the images, in its order. The training images name them if left out. */
  readonly classNames?: readonly string[];
}

/**
 * Lists the images of a folder (see `listFolder`) or of a CSV file (see `listManifest`) without opening them. Problems are
 * listed, not thrown; throws DataError if there is nothing of the kind at the path.
 */
export async function listSamples(source: string, { classNames }: ListOptions = {}): Promise<SampleList> {
  const found = await stat(source).catch(() => null);
  if (!found) throw new DataError(`data: there is no folder or CSV file '${source}'; check the path`);
  if (found.isDirectory()) return listFolder(source, classNames);
  if (!source.toLowerCase().endsWith('.csv')) {
    throw new DataError(`data: '${source}' is neither a folder nor a CSV file; pass one of the two`);
  }
  const list = await listManifest(source, classNames);
  return { ...list, problems: [...(await fileProblems(list)), ...list.problems] };
}

async function fileProblems({ samples }: SampleList): Promise<Problem[]> {
  const problems: Problem[] = [];
  const add = (file: string, text: string): void => {
    problems.push({ severity: 'error', kind: 'missing-file', file, text });
  };
  for (const { file, mask } of samples) {
    for (const path of [file, ...maskFiles(mask)]) {
      const isThere = await access(path).then(
        () => true,
        () => false,
      );
      if (!isThere) add(path, 'does not exist; correct the path, which starts at the folder of the manifest');
      else if (!isImageName(path)) add(path, 'is no .png, .jpg, .jpeg, .webp or .dcm file; convert it');
    }
  }
  return problems;
}
