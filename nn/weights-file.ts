// Weights on disk (Node only); the format itself is in safetensors.ts, which browsers can use too.
import { CheckpointError } from '../engine/errors.ts';
import { readFileBytes, writeFileAtomically } from '../engine/files.ts';
import {
  parseSafetensors,
  type SafetensorsFile,
  serializeSafetensors,
  type TensorToSave,
} from './safetensors.ts';

/** Reads a safetensors file. Throws CheckpointError, naming the path, if it is missing, unreadable or damaged. */
export async function readWeightsFile(path: string): Promise<SafetensorsFile> {
  const bytes = await readFileBytes(path, { where: 'load', error: CheckpointError });
  return parseSafetensors(bytes, `load '${path}'`);
}

/**
 * Writes tensors as F32 to a safetensors file, which appears whole or not at all. Throws CheckpointError if the path cannot
 * be written or a number is beyond F32, UsageError for names, shapes or metadata that no file can hold.
 */
export async function writeWeightsFile(
  path: string,
  tensors: Iterable<readonly [string, TensorToSave]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const bytes = serializeSafetensors(tensors, metadata);
  await writeFileAtomically(path, bytes, { where: 'save', error: CheckpointError });
}
