// Values of an imported graph while it runs: tensors, and numbers on the host, of which exporters make shapes.
import { CpuDevice, dataOf } from '../../engine/cpu-device.ts';
import { constant, literal, tensor } from '../../engine/create.ts';
import { reshape } from '../../engine/ops/broadcast.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';
import type { OnnxNode } from './graph-reader.ts';
import type { Numbers } from './numbers.ts';

// Arithmetic on shapes is the ops' own, on tensors of the CPU device: they need no home of their own.
const host = new CpuDevice();
host.recorder.isRecording = false;

/** Numbers that are known without the device: shapes, axes, and what is computed of them. */
export class HostValue implements Numbers {
  readonly t: Tensor;
  readonly isInteger: boolean;

  constructor(t: Tensor, isInteger: boolean) {
    this.t = t;
    this.isInteger = isInteger;
  }

  get shape() {
    return this.t.shape;
  }

  get data(): Float64Array {
    return dataOf(this.t);
  }
}

/** What a name of the graph stands for. */
export type Value = Tensor | HostValue;

export const hostValue = ({ data, shape, isInteger }: Numbers): HostValue =>
  new HostValue(tensor(host, data, shape), isInteger);

/** A list of whole numbers, such as a shape. */
export const hostList = (values: readonly number[]): HostValue =>
  hostValue({ data: values, shape: [values.length], isInteger: true });

/** The value as a tensor of the device. A single number is one of the device's constants. */
export function onDevice(value: Value, device: Device): Tensor {
  if (!(value instanceof HostValue)) return value;
  const { data, shape } = value;
  return data.length === 1 ? reshape(constant(device, data[0]), shape) : literal(device, data, shape);
}

/** `fn` on the values: on the host if all of them are there, else on the device of the others. */
export function applied(values: readonly Value[], fn: (...tensors: Tensor[]) => Tensor): Value {
  const first = values.find((value): value is Tensor => !(value instanceof HostValue));
  if (first) return fn(...values.map((value) => onDevice(value, first.device)));
  const own = values as readonly HostValue[];
  return new HostValue(
    fn(...own.map(({ t }) => t)),
    own.every(({ isInteger }) => isInteger),
  );
}

/** The whole numbers of a value that must be known: a shape, axes. */
export function integersOf(value: Value | undefined, node: OnnxNode, what: string): number[] {
  if (value === undefined) return node.fail(`has no ${what}`, 'export the model again');
  if (value instanceof HostValue) return [...value.data];
  return node.fail(
    `takes its ${what} from the image`,
    'only sizes that do not depend on the pixels can be imported',
  );
}
