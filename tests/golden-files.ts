// Finds the golden numbers, so that anybody can check the library against more cases than a clone carries: every file in
// tests/golden/ and, if the environment variable GOLDEN_DIR names a folder, every file there too. See golden/README.md.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../engine/errors.ts';
import { parseSafetensors, type SafetensorsTensor } from '../nn/safetensors.ts';

/** A golden file of tensors; `name` is the file name without its ending, marked when it comes from GOLDEN_DIR. */
export interface GoldenTensors {
  readonly name: string;
  readonly tensors: Map<string, SafetensorsTensor>;
  readonly metadata: Record<string, string>;
}

/** A golden file of JSON; the test that uses it knows its form. */
export interface GoldenJson {
  readonly name: string;
  readonly value: unknown;
}

/** All .safetensors files whose name begins so, parsed. Throws UsageError if there are none, CheckpointError if one is damaged. */
export function goldenTensors(prefix: string): GoldenTensors[] {
  return list(prefix, '.safetensors').map(({ name, bytes }) => ({ name, ...parseSafetensors(bytes, name) }));
}

/** All .json files whose name begins so, parsed. Throws UsageError if there are none, SyntaxError if one is damaged. */
export function goldenJson(prefix: string): GoldenJson[] {
  return list(prefix, '.json').map(({ name, bytes }) => ({
    name,
    value: JSON.parse(bytes.toString('utf8')),
  }));
}

interface GoldenBytes {
  readonly name: string;
  readonly bytes: Buffer;
}

function list(prefix: string, ending: string): GoldenBytes[] {
  const files = filesIn(fileURLToPath(new URL('golden/', import.meta.url)), prefix, ending);
  const extraFolder = process.env.GOLDEN_DIR;
  if (extraFolder) {
    for (const extra of filesIn(extraFolder, prefix, ending)) {
      // A folder that the clone's files were copied from need not be checked twice.
      const isCopy = files.some(({ name, bytes }) => name === extra.name && bytes.equals(extra.bytes));
      if (!isCopy) files.push({ name: `GOLDEN_DIR/${extra.name}`, bytes: extra.bytes });
    }
  }
  if (files.length === 0) {
    // An empty list would make a test that loops over it pass without checking anything.
    throw new UsageError(`golden: no file is named ${prefix}*${ending}; check the prefix and tests/golden`);
  }
  return files;
}

function filesIn(folder: string, prefix: string, ending: string): GoldenBytes[] {
  return readdirSync(folder)
    .filter((file) => file.startsWith(prefix) && file.endsWith(ending))
    .sort()
    .map((file) => ({ name: file.slice(0, -ending.length), bytes: readFileSync(join(folder, file)) }));
}
