// The number types of safetensors and how their bytes become JavaScript numbers, exactly or not at all.
// The format is little-endian, as is every machine with WebGPU; typed arrays are laid over the bytes as they are.
import { CheckpointError } from '../engine/errors.ts';

/** Values of one tensor. 64-bit integers arrive as f64, the 16-bit floats as f32; both are exact. */
export type SafetensorsData =
  | Float64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

/** A number type: its size and its decoder, which throws CheckpointError, about `subject`, for values it cannot keep. */
export interface Dtype {
  readonly bytes: number;
  readonly decode: (buffer: ArrayBuffer, subject: string) => SafetensorsData;
}

/** Every type we read. Absent: 8-bit and smaller floats and complex numbers, which have no weights we could use. */
export const dtypes = new Map<string, Dtype>([
  ['F64', { bytes: 8, decode: (buffer) => new Float64Array(buffer) }],
  ['F32', { bytes: 4, decode: (buffer) => new Float32Array(buffer) }],
  ['F16', { bytes: 2, decode: (buffer) => Float32Array.from(new Uint16Array(buffer), halfToNumber) }],
  ['BF16', { bytes: 2, decode: brainFloats }],
  ['I64', { bytes: 8, decode: (buffer, subject) => exactNumbers(new BigInt64Array(buffer), subject) }],
  ['U64', { bytes: 8, decode: (buffer, subject) => exactNumbers(new BigUint64Array(buffer), subject) }],
  ['I32', { bytes: 4, decode: (buffer) => new Int32Array(buffer) }],
  ['U32', { bytes: 4, decode: (buffer) => new Uint32Array(buffer) }],
  ['I16', { bytes: 2, decode: (buffer) => new Int16Array(buffer) }],
  ['U16', { bytes: 2, decode: (buffer) => new Uint16Array(buffer) }],
  ['I8', { bytes: 1, decode: (buffer) => new Int8Array(buffer) }],
  ['U8', { bytes: 1, decode: (buffer) => new Uint8Array(buffer) }],
  ['BOOL', { bytes: 1, decode: booleans }],
]);

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** bf16 is the upper half of an f32. */
function brainFloats(buffer: ArrayBuffer): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
}

function exactNumbers(values: BigInt64Array | BigUint64Array, subject: string): Float64Array<ArrayBuffer> {
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    out[i] = Number(values[i]);
    if (!Number.isSafeInteger(out[i])) {
      throw new CheckpointError(
        `${subject} holds ${values[i]} at ${i}, beyond the integers a number holds exactly; store it as F64`,
      );
    }
  }
  return out;
}

function booleans(buffer: ArrayBuffer, subject: string): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(buffer);
  const bad = values.findIndex((value) => value > 1);
  if (bad >= 0) {
    throw new CheckpointError(
      `${subject} is BOOL but holds the byte ${values[bad]} at ${bad}; store it as U8`,
    );
  }
  return values;
}
