// What a benchmark is: a computation that runs on any device, so that what is timed on one is checked against another.
import { tensor } from '../engine/create.ts';
import { withoutRecording } from '../engine/scope.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { seedOf, uniformNumbers } from './data.ts';

/** A computation on one device, with its inputs. Both functions are called inside a scope. */
export interface Workload {
  /** Encodes one call; this is what is timed. A promise is waited for before the next call. */
  readonly call: () => unknown;
  /** The numbers of a call that are checked. */
  readonly result: () => Tensor;
  readonly close: () => void;
}

/** One row of the table. */
export interface BenchCase {
  /** The file's name without its ending. */
  readonly family: string;
  readonly name: string;
  readonly size: string;
  readonly unit: string;
  /** How many of the unit, times seconds, one call is. */
  readonly workPerCall: number;
  /** Largest difference from the CPU reference that passes, relative to the largest number of the result. */
  readonly tolerance: number;
  /** The computation, or a smaller one of its kind that the reference can do in a second. */
  readonly prepare: (device: Device, isCheck: boolean) => Workload;
  /** For GPUs only: it would keep a software adapter busy for minutes, and say nothing that smaller ones do not. */
  readonly isLarge?: boolean;
}

/** Billions of bytes in `count` numbers of f32. */
export const gigabytes = (count: number): number => (4 * count) / 1e9;

/** Uniform numbers in [-1, 1), or their magnitudes, the same on every device. */
export function randomTensor(device: Device, name: string, shape: Shape, isPositive = false): Tensor {
  const values = uniformNumbers(sizeOf(shape), seedOf(name));
  return tensor(device, isPositive ? values.map(Math.abs) : values, shape);
}

export interface OpCaseOptions extends Omit<BenchCase, 'prepare' | 'size' | 'tolerance'> {
  readonly shapes: readonly Shape[];
  /** Smaller shapes for the check, where the reference takes too long. */
  readonly checkShapes?: readonly Shape[];
  /** Inputs from [0, 1) and not [-1, 1), for sums that would cancel to next to nothing. */
  readonly isPositive?: boolean;
  /** `run` differentiates. */
  readonly isRecorded?: boolean;
  readonly run: (inputs: readonly Tensor[]) => Tensor;
}

// Sums of up to a few thousand products in f32, against f64: rounding grows with the root of their number, to some 1e-6.
export const OP_TOLERANCE = 1e-5;

/** A case of plain tensor functions on random inputs, with nothing recorded unless `isRecorded`. */
export function opCase(options: OpCaseOptions): BenchCase {
  const { shapes, checkShapes = shapes, isPositive, isRecorded, run, ...rest } = options;
  return {
    ...rest,
    size: shapes.map(formatShape).join(' '),
    tolerance: OP_TOLERANCE,
    prepare(device, isCheck) {
      const inputs = (isCheck ? checkShapes : shapes).map((shape, i) =>
        randomTensor(device, `${rest.name}/${i}`, shape, isPositive),
      );
      const result = () => (isRecorded ? run(inputs) : withoutRecording(device, () => run(inputs)));
      return { call: result, result, close: () => inputs.forEach(release) };
    },
  };
}
