// Weights travel as safetensors: no code runs on reading, and PyTorch, JAX and Rust read and write the same files.
import { CheckpointError, ShapeError, UsageError } from '../engine/errors.ts';
import { checkShape, formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import type { SafetensorsData } from './safetensors-dtypes.ts';
import { lengthBytes, maxHeaderBytes, metadataKey, readHeader } from './safetensors-header.ts';

/** One tensor of a file; `dtype` is the type in the file (`F32`, `BF16`, ...). */
export interface SafetensorsTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
}

/** Contents of a file: tensors in the order of their data, and the free-form strings of `__metadata__`. */
export interface SafetensorsFile {
  readonly tensors: Map<string, SafetensorsTensor>;
  readonly metadata: Record<string, string>;
}

/** What `serializeSafetensors` needs to know of a tensor; a `SafetensorsTensor` fits. */
export interface TensorToSave {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

/**
 * Reads a whole safetensors file; `where` (a path, say) opens every error message. The data is copied, so `bytes` may be
 * released. Throws CheckpointError for any damage, for a type we do not read, and for integers beyond 2^53.
 */
export function parseSafetensors(bytes: Uint8Array, where = 'safetensors'): SafetensorsFile {
  const { entries, metadata, dataStart } = readHeader(bytes, where);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const { name, dtypeName, dtype, shape, begin, end } of entries) {
    // Not slice(): a Node Buffer's returns a view. The copy also puts the data at an aligned address.
    const { buffer } = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end));
    const data = dtype.decode(buffer, `${where}: tensor '${name}'`);
    tensors.set(name, { dtype: dtypeName, shape, data });
  }
  return { tensors, metadata };
}

/**
 * Bytes of a safetensors file with every tensor as F32, in the order given. Throws ShapeError for data that does not fill
 * its shape, UsageError for a name that is taken or metadata no file can hold, CheckpointError for a number beyond F32.
 */
export function serializeSafetensors(
  tensors: Iterable<readonly [string, TensorToSave]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const list = [...tensors];
  const names = new Set<string>();
  // The header is joined by hand: an object would list names such as '10' before all others.
  const fields = Object.keys(metadata).length > 0 ? [metadataField(metadata)] : [];
  let dataBytes = 0;
  for (const [name, { shape, data }] of list) {
    if (names.has(name) || name === metadataKey) {
      throw new UsageError(
        `serializeSafetensors: the name '${name}' is taken; give each tensor its own name`,
      );
    }
    checkShape(`serializeSafetensors: tensor '${name}'`, shape);
    if (sizeOf(shape) !== data.length) {
      throw new ShapeError(
        `serializeSafetensors: tensor '${name}' has shape ${formatShape(shape)} but ${data.length} values; pass as many values as the shape holds`,
      );
    }
    names.add(name);
    const info = { dtype: 'F32', shape, data_offsets: [dataBytes, dataBytes + 4 * data.length] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    dataBytes += 4 * data.length;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > maxHeaderBytes) {
    throw new UsageError(
      `serializeSafetensors: names and metadata take ${headerBytes} bytes, a file may have ${maxHeaderBytes}; keep long texts in a file of their own`,
    );
  }
  const bytes = new Uint8Array(lengthBytes + headerBytes + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, lengthBytes, lengthBytes + headerBytes);
  bytes.set(json, lengthBytes);
  let offset = lengthBytes + headerBytes;
  for (const [name, { data }] of list) {
    const values = new Float32Array(bytes.buffer, offset, data.length);
    values.set(data);
    checkOverflow(name, data, values);
    offset += values.byteLength;
  }
  return bytes;
}

function metadataField(metadata: Readonly<Record<string, string>>): string {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new UsageError(
        `serializeSafetensors: metadata '${key}' is a ${typeof value}; the format holds only strings, use JSON.stringify`,
      );
    }
  }
  return `"${metadataKey}":${JSON.stringify(metadata)}`;
}

function checkOverflow(name: string, data: ArrayLike<number>, stored: Float32Array): void {
  for (let i = 0; i < stored.length; i++) {
    if (Number.isFinite(data[i]) && !Number.isFinite(stored[i])) {
      throw new CheckpointError(
        `serializeSafetensors: tensor '${name}' holds ${data[i]} at ${i}, beyond the largest f32; look for the layer that diverged`,
      );
    }
  }
}
