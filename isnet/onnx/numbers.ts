// Tensors of ONNX files as plain numbers, and the other way.
import { CheckpointError } from '../../engine/errors.ts';
import { formatShape, type Shape, sizeOf } from '../../engine/shape.ts';
import { elementTypes, type TensorDraft, type TensorMessage } from './schema.ts';

/** Numbers with a shape. */
export interface Numbers {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
  /** Whole numbers: sizes, axes, indices. */
  readonly isInteger: boolean;
}

/** Reals as f32. */
export function floatTensor(name: string, shape: Shape, data: ArrayLike<number>): TensorDraft {
  const { buffer, byteOffset, byteLength } = data instanceof Float32Array ? data : Float32Array.from(data);
  const rawData = new Uint8Array(buffer, byteOffset, byteLength);
  return { name, dims: shape, dataType: elementTypes.float, rawData };
}

/** Whole numbers as i64, which is what ONNX takes for shapes and axes: a list of them, or one [] alone. */
export function intTensor(name: string, values: readonly number[] | number): TensorDraft {
  const list = typeof values === 'number' ? [values] : values;
  const rawData = new Uint8Array(BigInt64Array.from(list.map(BigInt)).buffer);
  const dims = typeof values === 'number' ? [] : [list.length];
  return { name, dims, dataType: elementTypes.int64, rawData };
}

/** Numbers from raw bytes: their width, and how one is read. */
interface RawType {
  readonly width: number;
  readonly read: (view: DataView, offset: number) => number;
  readonly isInteger: boolean;
}

const readFloat = (view: DataView, at: number): number => view.getFloat32(at, true);

const rawTypes: Readonly<Record<number, RawType>> = {
  [elementTypes.float]: { width: 4, read: readFloat, isInteger: false },
  [elementTypes.double]: { width: 8, read: (view, at) => view.getFloat64(at, true), isInteger: false },
  [elementTypes.float16]: { width: 2, read: (view, at) => half(view.getUint16(at, true)), isInteger: false },
  [elementTypes.int64]: { width: 8, read: (view, at) => Number(view.getBigInt64(at, true)), isInteger: true },
  [elementTypes.int32]: { width: 4, read: (view, at) => view.getInt32(at, true), isInteger: true },
  [elementTypes.int8]: { width: 1, read: (view, at) => view.getInt8(at), isInteger: true },
  [elementTypes.uint8]: { width: 1, read: (view, at) => view.getUint8(at), isInteger: true },
  [elementTypes.bool]: { width: 1, read: (view, at) => view.getUint8(at), isInteger: true },
};

/** The number that 16 bits stand for: sign, 5 bits of exponent, 10 of mantissa. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1 + mantissa / 1024) * 2 ** (exponent - 15) : mantissa * 2 ** -24);
}

/** Numbers of a tensor. Throws CheckpointError where they are of another type, elsewhere, or not as many as its shape. */
export function numbersOf(tensor: TensorMessage, where: string): Numbers {
  const { name = '', dims: shape, dataType = 0, rawData, dataLocation = 0 } = tensor;
  const type = rawTypes[dataType];
  const fail = (problem: string, advice: string): never => {
    throw new CheckpointError(`${where}: tensor '${name}' ${problem}; ${advice}`);
  };
  if (dataLocation !== 0) {
    return fail('lies in a file of its own', 'export the model as one file (save_as_external_data=False)');
  }
  if (!type) return fail(`has numbers of type ${dataType}`, 'export the model in float32');
  if (!shape.every((n) => n >= 0)) return fail(`has the shape ${formatShape(shape)}`, 'export it again');
  const count = sizeOf(shape);
  const data = rawData ? rawNumbers(rawData, type) : listedNumbers(tensor, dataType);
  if (data.length !== count) {
    fail(`has ${data.length} numbers for shape ${formatShape(shape)}`, 'copy the file again');
  }
  return { shape, data, isInteger: type.isInteger };
}

function rawNumbers(bytes: Uint8Array, { width, read, isInteger }: RawType): ArrayLike<number> {
  // Weights, and there may be many. A copy, because they need not lie at a multiple of four.
  if (read === readFloat && bytes.length % width === 0) return new Float32Array(new Uint8Array(bytes).buffer);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length / width;
  // A length that is no whole number is one that no shape has: the caller says so.
  if (!Number.isInteger(length)) return { length };
  const data = isInteger ? new Float64Array(length) : new Float32Array(length);
  for (let i = 0; i < length; i++) data[i] = read(view, i * width);
  return data;
}

/** f16 and the small whole numbers are listed as i32. */
function listedNumbers(tensor: TensorMessage, dataType: number): ArrayLike<number> {
  const { floatData, doubleData, int32Data, int64Data } = tensor;
  if (dataType === elementTypes.float) return Float32Array.from(floatData);
  if (dataType === elementTypes.double) return Float32Array.from(doubleData);
  if (dataType === elementTypes.float16) return Float32Array.from(int32Data, half);
  return dataType === elementTypes.int64 ? int64Data : int32Data;
}
