// The weights and the metadata of ONNX files on disk (Node only), as those of a weights file.
import { CheckpointError } from '../../engine/errors.ts';
import { readFileBytes } from '../../engine/files.ts';
import type { TensorToSave } from '../../nn/safetensors.ts';
import { readGraph } from './graph-reader.ts';
import { isConstantName } from './graph-writer.ts';

/** What a file that `exportOnnx` wrote has of its model. Throws CheckpointError, naming the path, if it is damaged. */
export async function readOnnxWeights(
  path: string,
): Promise<{ tensors: Map<string, TensorToSave>; metadata: Readonly<Record<string, string>> }> {
  const where = `load '${path}'`;
  const bytes = await readFileBytes(path, { where: 'load', error: CheckpointError });
  const { numbers, metadata } = readGraph(bytes, where);
  return { tensors: new Map([...numbers].filter(([name]) => !isConstantName(name))), metadata };
}
