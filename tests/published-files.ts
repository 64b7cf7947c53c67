// What the tests of published data sets share: importing tiny files of their layout, and looking at what came of it.
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkFiles } from '../isnet/data/files/check.ts';
import { openPicture } from '../isnet/data/files/decode.ts';
import { listSamples } from '../isnet/data/files/list-samples.ts';
import type { Sample, SampleList } from '../isnet/data/sample-list.ts';
import { isnet } from './command-line.ts';
import { pattern, temporaryFolder, write, writePicture } from './image-files.ts';

const root = temporaryFolder();
let number = 0;
/** An empty place of its own. */
export const newFolder = (): string => join(root, String(number++));
let pictures = 0;
/** A picture like no other. */
export const picture = (...path: string[]): Promise<string> =>
  writePicture(join(...path), pattern(pictures++), 8);

/** Imports and lists what was written. */
export async function imported(name: string, folder: string, ...options: string[]): Promise<SampleList> {
  const output = join(newFolder(), `${name}.csv`);
  write(join(output, '../keep'), '');
  const { exitCode, errors } = await isnet('data', 'import', name, folder, '--output', output, ...options);
  expect(errors).toBe('');
  expect(exitCode).toBe(0);
  return listSamples(output);
}

/** The one sample whose file ends so. */
export const sampleOf = ({ samples }: SampleList, ending: string): Sample => {
  const found = samples.filter(({ file }) => file.endsWith(ending));
  expect(found.length, ending).toBe(1);
  return found[0];
};

/** Rows and columns of a mask that are white. */
export async function whiteOf(
  path: string | null,
): Promise<{ size: string; rows: number[]; columns: number[] }> {
  const { width, height, data } = await openPicture(path ?? '');
  const white = [...data.keys()].filter((i) => data[i] === 255);
  return {
    size: `${width}x${height}`,
    rows: [...new Set(white.map((i) => Math.floor(i / width)))].sort((a, b) => a - b),
    columns: [...new Set(white.map((i) => i % width))].sort((a, b) => a - b),
  };
}

/** Whether the list is one that training takes: only that small sets lack a split or a class is forgiven. */
export async function expectSound(list: SampleList): Promise<void> {
  const { problems } = await checkFiles(list);
  const serious = problems.filter(({ severity }) => severity === 'error');
  expect(
    serious.filter(({ kind }) => !['missing-split', 'class-missing-in-training'].includes(kind)),
  ).toEqual([]);
}
