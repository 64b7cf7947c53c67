// Proves that files appear whole or not at all, and that every path that cannot be used is one clear sentence.
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CheckpointError, DataError } from '../engine/errors.ts';
import { writeFileAtomically } from '../engine/files.ts';
import { readWeightsFile, writeWeightsFile } from '../nn/weights-file.ts';
import { goldenTensors } from './golden-files.ts';
import { messageForm } from './safetensors-bytes.ts';

describe('files', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isnet-weights-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('weights come back from the disk, and nothing but them is left there', async () => {
    const path = join(folder, 'model.safetensors');
    await writeWeightsFile(path, new Map([['w', { shape: [2], data: [1, 2] }]]), { epoch: '3' });
    const { tensors, metadata } = await readWeightsFile(path);
    expect([...(tensors.get('w')?.data ?? [])]).toEqual([1, 2]);
    expect(metadata).toEqual({ epoch: '3' });
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  test('tensors that were read can be written as they are', async () => {
    const path = join(folder, 'copy.safetensors');
    const golden = goldenTensors('gwrp')[0];
    await writeWeightsFile(path, golden.tensors, golden.metadata);
    expect(await readWeightsFile(path)).toEqual({ tensors: golden.tensors, metadata: golden.metadata });
  });

  test('a write that fails leaves what was there, and no temporary file', async () => {
    const path = join(folder, 'model.safetensors');
    await mkdir(path);
    await expect(writeFileAtomically(path, 'new')).rejects.toThrow(/is a folder; name a file/);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  test('whoever has the old file open goes on reading the old contents, whole', async () => {
    const path = join(folder, 'metrics.json');
    await writeFile(path, 'the old contents');
    const reader = await open(path);
    await writeFileAtomically(path, 'new');
    const seen = await reader.readFile('utf8');
    await reader.close();
    expect(seen).toBe('the old contents');
  });

  test('a shorter text replaces a longer one entirely', async () => {
    const path = join(folder, 'metrics.json');
    await writeFile(path, 'something much longer');
    await writeFileAtomically(path, '{}');
    expect(await readFile(path, 'utf8')).toBe('{}');
  });

  test('errors are DataError unless the caller says otherwise', async () => {
    await expect(writeFileAtomically(join(folder, 'no', 'x'), '')).rejects.toThrow(DataError);
  });

  test.each<[string, (folder: string) => Promise<unknown>, RegExp]>([
    [
      'a missing file',
      (at) => readWeightsFile(join(at, 'no.safetensors')),
      /^load: there is no file '.*no\.safetensors'; /,
    ],
    ['a folder', (at) => readWeightsFile(at), /^load: '.*' is a folder; /],
    [
      'a file below a file',
      (at) => readWeightsFile(join(at, 'file', 'x')),
      /^load: part of the path .* is a file/,
    ],
    [
      'a damaged file',
      (at) => readWeightsFile(join(at, 'file')),
      /^load '.*file': 3 bytes are no safetensors file/,
    ],
    [
      'a missing folder to write to',
      (at) => writeWeightsFile(join(at, 'no', 'x'), []),
      /^save: the folder of .* does not exist/,
    ],
    [
      'a file to write below',
      (at) => writeWeightsFile(join(at, 'file', 'x'), []),
      /^save: part of the path .* is a file/,
    ],
    ['a path no system allows', (at) => readWeightsFile(join(at, 'a\0b')), /^load: cannot read /],
  ])('%s is a CheckpointError that names the path', async (_, act, expected) => {
    await writeFile(join(folder, 'file'), 'abc');
    const error = await act(folder).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).message).toMatch(expected);
    expect((error as CheckpointError).message).toMatch(messageForm);
    expect((error as CheckpointError).message).toContain(folder);
  });
});
