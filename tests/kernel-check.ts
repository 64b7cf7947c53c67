// Compares kernels with the reference, whatever variant the adapter at hand would choose.
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { AdapterProfile } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { apply } from '../engine/op.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Example, Op } from '../engine/tensor.ts';
import { randomValues } from './gradcheck.ts';

/** Adapters that make the chooser take each kernel family; `own` is the adapter at hand. */
export const adapters: Record<string, (own: AdapterProfile) => AdapterProfile> = {
  'the own adapter': (own) => own,
  'a GPU': (own) => ({ ...own, family: 'gpu', subgroupSize: 0 }),
  'a software adapter without subgroups': (own) => ({ ...own, family: 'software', subgroupSize: 0 }),
  'few workgroups per dimension': (own) => ({ ...own, maxWorkgroupsPerDimension: 3 }),
  'a GPU with few workgroups': (own) => ({
    ...own,
    family: 'gpu',
    subgroupSize: 0,
    maxWorkgroupsPerDimension: 3,
  }),
};

/** Adapters that differ in how they multiply matrices: small products must reach what is made for large ones. */
export const gemmAdapters: typeof adapters = {
  ...adapters,
  'a GPU with plain products': (own) => ({
    ...own,
    family: 'gpu',
    subgroupSize: 0,
    chooseGemm: () => 'plain',
  }),
  'a GPU with wide tiles': (own) => ({ ...own, family: 'gpu', subgroupSize: 0, chooseGemm: () => 'wide' }),
};

/** Adapters that compute every convolution in one way, where that is possible. */
export const convAdapters: typeof adapters = {
  'all convolutions as products': (own) => ({ ...own, chooseConv: () => 'product' }),
  'all convolutions by taps': (own) => ({ ...own, chooseConv: () => 'taps' }),
  'all convolutions directly': (own) => ({ ...own, chooseConv: () => 'direct' }),
};

/** The op with its kernel planned for another adapter. */
export function plannedFor<A>(op: Op<A>, name: string): Op<A> {
  const kernel: Op<A>['kernel'] = (request) =>
    op.kernel({ ...request, adapter: { ...gemmAdapters, ...convAdapters }[name](request.adapter) });
  return { ...op, name: `${op.name} for ${name}`, kernel };
}

// Sums of up to a few thousand products of numbers below 1 in f32.
export const BOUND = 2e-5;

/** Largest error of the GPU relative to the largest reference value. `fixed` holds inputs that are not random. */
export async function errorOnGpu<A>(
  gpu: GpuDevice,
  op: Op<A>,
  shapes: readonly Shape[],
  attrs: A,
  { range = [-1, 1], fixed = {} }: Pick<Example<A>, 'range' | 'fixed'> = {},
): Promise<number> {
  const values = shapes.map((shape, i) =>
    (fixed[i] ?? randomValues(`kernel ${i}`, sizeOf(shape), range)).map(Math.fround),
  );
  const inputsOn = (device: CpuDevice | GpuDevice) =>
    shapes.map((shape, i) => tensor(device, values[i], shape));
  const expected = dataOf(apply(op, inputsOn(new CpuDevice()), attrs));
  const [actual] = await gpu.read([apply(op, inputsOn(gpu), attrs)]);
  let [scale, error] = [1e-3, 0];
  expected.forEach((value, i) => {
    scale = Math.max(scale, Math.abs(value));
    // NaN must count as wrong, and Math.max hands it on.
    error = Math.max(error, Math.abs(value - actual[i]));
  });
  return error / scale;
}
