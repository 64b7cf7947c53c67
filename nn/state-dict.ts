// Weights into and out of a module. Nothing is loaded unless everything fits: a half-loaded model is a silent bug.
import { assign, readAll, tensor } from '../engine/create.ts';
import { CheckpointError, UsageError } from '../engine/errors.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { formatShape, isSameShape, type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Module } from './module.ts';
import type { TensorToSave } from './safetensors.ts';

export interface LoadOptions {
  /** Whether every name must be on both sides; true if left out. Shapes must fit in any case. */
  readonly strict?: boolean;
  /**
   * Names that are left as they are, whatever the file has for them: `headNames(model)` where the classes are others.
   * Every one must be a name of the module.
   */
  readonly skip?: readonly string[];
  /** Opens the error message, e.g. `load 'best.safetensors'`. */
  readonly where?: string;
}

/** Names on one side only, both empty after a strict load, and those that were to be skipped. */
export interface LoadReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly skipped: readonly string[];
}

/** PyTorch's count of batches seen by BatchNorm: it matters only with momentum None, which we do not have. */
const isBatchCount = (name: string): boolean => name.endsWith('num_batches_tracked');

/** What one tensor of a file is in memory: one tensor, or those of a `WideLinear`, its rows in blocks. */
interface Entry {
  readonly shape: Shape;
  readonly parts: readonly Tensor[];
}

const blockName = /^(.+)\.rows\d+\.(weight|bias)$/;

/** Named tensors as files hold them: blocks of rows joined under the name of the whole. */
function entriesOf(named: ReadonlyMap<string, Tensor>): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const [name, t] of named) {
    const block = blockName.exec(name);
    const whole = block ? `${block[1]}.${block[2]}` : name;
    const { shape: [rows = 0] = [], parts = [] } = entries.get(whole) ?? {};
    const shape = block ? [rows + t.shape[0], ...t.shape.slice(1)] : t.shape;
    entries.set(whole, { shape, parts: [...parts, t] });
  }
  return entries;
}

/** Names and shapes of everything a weights file of the module holds, in the module's order. */
export function stateLayout(module: Module): Map<string, Shape> {
  return new Map([...entriesOf(module.stateDict())].map(([name, { shape }]) => [name, shape]));
}

/**
 * Overwrites the module's parameters and buffers with the tensors of the same names. Throws one CheckpointError with all
 * names that are missing, unexpected (unless `strict` is false) or of another shape, and then has changed nothing; and
 * UsageError for a name to skip that the module does not have.
 */
export function loadStateDict(
  module: Module,
  tensors: ReadonlyMap<string, TensorToSave>,
  { strict = true, skip = [], where = 'load' }: LoadOptions = {},
): LoadReport {
  const own = entriesOf(module.stateDict());
  const unknown = skip.filter((name) => !own.has(name));
  if (unknown.length > 0) {
    throw new UsageError(
      `${where}: there is nothing named ${unknown.join(', ')} to skip; use names of the model's own state dict`,
    );
  }
  const isWanted = (name: string): boolean => !skip.includes(name);
  const missing = [...own.keys()].filter((name) => isWanted(name) && !tensors.has(name));
  const unexpected = [...tensors.keys()].filter((name) => !own.has(name) && !isBatchCount(name));
  const shared = [...own].flatMap(([name, target]) => {
    const source = tensors.get(name);
    return source && isWanted(name) ? [{ name, target, source }] : [];
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
      misshapen.length > 0
        ? 'build the model as it was saved, or skip the head with { skip: headNames(model) } if only that differs'
        : 'rename them or pass { strict: false }';
    throw new CheckpointError(`${where}: ${problems.join(', ')}; ${advice}`);
  }
  for (const { target, source } of shared) overwrite(target, source);
  return { missing, unexpected, skipped: skip };
}

// Weights of another network fit nowhere, and nobody reads a hundred names.
const MOST_NAMES = 8;

function listed(kind: string, names: readonly string[]): string[] {
  const others = names.length > MOST_NAMES ? `, and ${names.length - MOST_NAMES} more` : '';
  const shown = names.slice(0, MOST_NAMES).join(', ');
  return names.length > 0 ? [`${names.length} ${kind} (${shown}${others})`] : [];
}

function overwrite({ parts }: Entry, { data }: TensorToSave): void {
  let start = 0;
  for (const target of parts) {
    const { device, shape } = target;
    const values = parts.length === 1 ? data : section(data, start, sizeOf(shape));
    withoutRecording(device, () => scope(device, () => assign(target, tensor(device, values, shape))));
    start += values.length;
  }
}

function section(data: ArrayLike<number>, start: number, count: number): ArrayLike<number> {
  if (data instanceof Float32Array || data instanceof Float64Array)
    return data.subarray(start, start + count);
  return Array.from({ length: count }, (_, i) => data[start + i]);
}

/** Numbers of named tensors, in the order given: what a weights file takes. Waits for the device. */
export async function readTensors(
  tensors: ReadonlyMap<string, Tensor>,
): Promise<[name: string, tensor: TensorToSave][]> {
  const list = [...tensors.values()];
  const values = await readAll(list);
  const valuesOf = new Map(list.map((t, i) => [t, values[i]]));
  return [...entriesOf(tensors)].map(([name, { shape, parts }]) => {
    const own = parts.flatMap((t) => valuesOf.get(t) ?? []);
    return [name, { shape, data: own.length === 1 ? own[0] : joined(own) }];
  });
}

function joined(blocks: readonly (Float32Array | Float64Array)[]): Float32Array | Float64Array {
  const count = blocks.reduce((sum, { length }) => sum + length, 0);
  const whole = blocks[0] instanceof Float64Array ? new Float64Array(count) : new Float32Array(count);
  let start = 0;
  for (const block of blocks) {
    whole.set(block, start);
    start += block.length;
  }
  return whole;
}
