// What tests of captured steps share: random leaves, and a look at what a step gave and cost.
import type { NamedTensors } from '../engine/capture.ts';
import { read, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { keep } from '../engine/scope.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { randomValues } from './gradcheck.ts';

/** A kept tensor of random numbers in [-1, 1), another for each shape and `name`. */
export const randomTensor = (device: GpuDevice, shape: Shape, name = ''): Tensor =>
  keep(tensor(device, randomValues(`captured/${name}${shape}`, sizeOf(shape), [-1, 1]), shape));

/** Kernels that `work` launches. */
export function dispatchesOf(device: GpuDevice, work: () => unknown): number {
  const before = device.statistics.dispatchCount;
  work();
  return device.statistics.dispatchCount - before;
}

/** Numbers of all outputs; they are released. */
export async function valuesOf(outputs: NamedTensors): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {};
  for (const [name, t] of Object.entries(outputs)) {
    values[name] = [...(await read(t))];
    release(t);
  }
  return values;
}
