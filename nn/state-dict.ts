// Weights into and out of a module. Nothing is loaded unless everything fits: a half-loaded model is a silent bug.
import { assign, readAll, tensor } from '../engine/create.ts';
import { CheckpointError } from '../engine/errors.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { formatShape, isSameShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Module } from './module.ts';
import type { TensorToSave } from './safetensors.ts';

export interface LoadOptions {
  /** Whether every name must be on both sides; true if left out. Shapes must fit in any case. */
  readonly strict?: boolean;
  /** Opens the error message, e.g. `load 'best.safetensors'`. */
  readonly where?: string;
}

/** Names on one side only; both empty after a strict load. */
export interface LoadReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

/** PyTorch's count of batches seen by BatchNorm: it matters only with momentum None, which we do not have. */
const isBatchCount = (name: string): boolean => name.endsWith('num_batches_tracked');

/**
 * Overwrites the module's parameters and buffers with the tensors of the same names. Throws one CheckpointError with all
 * names that are missing, unexpected (unless `strict` is false) or of another shape, and then has changed nothing.
 */
export function loadStateDict(
  module: Module,
  tensors: ReadonlyMap<string, TensorToSave>,
  { strict = true, where = 'load' }: LoadOptions = {},
): LoadReport {
  const own = module.stateDict();
  const missing = [...own.keys()].filter((name) => !tensors.has(name));
  const unexpected = [...tensors.keys()].filter((name) => !own.has(name) && !isBatchCount(name));
  const shared = [...own].flatMap(([name, target]) => {
    const source = tensors.get(name);
    return source ? [{ name, target, source }] : [];
  });
  const misshapen = shared.filter(({ target, source }) => !isSameShape(target.shape, source.shape));
  const problems = [
    ...listed('missing', strict ? missing : []),
    ...listed('unexpected', strict ? unexpected : []),
    ...listed(
      'misshapen',
      misshapen.map(
        ({ name, target, source }) =>
          `${name} is ${formatShape(target.shape)} in the model and ${formatShape(source.shape)} in the file`,
      ),
    ),
  ];
  if (problems.length > 0) {
    const advice =
      misshapen.length > 0 ? 'build the model as it was saved' : 'rename them or pass { strict: false }';
    throw new CheckpointError(`${where}: ${problems.join(', ')}; ${advice}`);
  }
  for (const { target, source } of shared) overwrite(target, source);
  return { missing, unexpected };
}

function listed(kind: string, names: readonly string[]): string[] {
  return names.length > 0 ? [`${names.length} ${kind} (${names.join(', ')})`] : [];
}

function overwrite(target: Tensor, { data, shape }: TensorToSave): void {
  const { device } = target;
  withoutRecording(device, () => scope(device, () => assign(target, tensor(device, data, shape))));
}

/** Numbers of named tensors, in the order given: what a weights file takes. Waits for the device. */
export async function readTensors(
  tensors: ReadonlyMap<string, Tensor>,
): Promise<[name: string, tensor: TensorToSave][]> {
  const values = await readAll([...tensors.values()]);
  return [...tensors].map(([name, { shape }], i) => [name, { shape, data: values[i] }]);
}
