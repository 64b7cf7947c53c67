// Compares kernels with the reference, whatever variant the adapter at hand would choose.
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { AdapterProfile, ConvVariant, GemmVariant, KernelPlan } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { apply } from '../engine/op.ts';
import { possibleConvVariants } from '../engine/ops/conv-plan.ts';
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

const onGpu = { family: 'gpu', subgroupSize: 0 } as const;
const onSoftware = { family: 'software', subgroupSize: 0 } as const;

/** Kernels for products that are asked for by name, of adapters that would choose others. */
const askedFor: Record<string, readonly [variant: GemmVariant, changes: Partial<AdapterProfile>]> = {
  'a GPU with plain products': ['plain', onGpu],
  'a GPU with tiles': ['tiled', onGpu],
  'a GPU with wide tiles': ['wide', onGpu],
  'a GPU with panels': ['panel', { family: 'gpu' }],
  'a software adapter with tiles': ['tiled', onSoftware],
};

/** Windows would take most convolutions away from the products. */
const noWindows: AdapterProfile['chooseConv'] = (direction, sizes) =>
  possibleConvVariants(direction, sizes).includes('windows') ? 'product' : undefined;

/** Adapters that differ in how they multiply matrices: small products must reach what is made for large ones. */
export const gemmAdapters: typeof adapters = {
  ...adapters,
  ...Object.fromEntries(
    Object.entries(askedFor).map(([name, [variant, changes]]) => [
      name,
      (own: AdapterProfile) => ({ ...own, ...changes, chooseGemm: () => variant, chooseConv: noWindows }),
    ]),
  ),
};

/** Whether the adapter at hand has what the kernels asked for need: panels are a subgroup each. */
export const canRun = (name: string, { subgroupSize }: AdapterProfile): boolean =>
  askedFor[name]?.[0] !== 'panel' || subgroupSize > 0;

/** Adapters that compute every convolution in one way, where that is possible. */
export const convAdapters: Record<string, readonly [way: ConvVariant, changes?: Partial<AdapterProfile>]> = {
  'all convolutions as products': ['product'],
  'all convolutions by taps': ['taps'],
  'all convolutions directly': ['direct'],
  'all convolutions by windows': ['windows'],
  'all convolutions by windows on a GPU': ['windows', onGpu],
  'all convolutions by windows in few workgroups': ['windows', { maxWorkgroupsPerDimension: 3 }],
};

/** The op with its kernel planned for another adapter. A plan without the kernel that this one asks for is an error. */
export function plannedFor<A>(op: Op<A>, name: string): Op<A> {
  const kernel: Op<A>['kernel'] = (request) => {
    if (!convAdapters[name]) {
      const plan = op.kernel({ ...request, adapter: gemmAdapters[name](request.adapter) });
      if (askedFor[name]) checkProducts(plan, askedFor[name][0]);
      return plan;
    }
    const [wanted, changes] = convAdapters[name];
    let isPossible = false;
    const chooseConv: AdapterProfile['chooseConv'] = (direction, sizes) => {
      isPossible = possibleConvVariants(direction, sizes).includes(wanted);
      return wanted;
    };
    const plan = op.kernel({ ...request, adapter: { ...request.adapter, ...changes, chooseConv } });
    const way = convVariantOf(plan);
    if (isPossible && way !== wanted) throw new Error(`${op.name}: planned as ${way} instead of ${wanted}`);
    return plan;
  };
  return { ...op, name: `${op.name} for ${name}`, kernel };
}

const shadersOf = ({ steps }: KernelPlan): string[] =>
  steps.flatMap((step) => ('shader' in step ? [step.shader] : []));

/** How a plan computes a direction of a convolution. */
export function convVariantOf(plan: KernelPlan): ConvVariant {
  const shaders = shadersOf(plan);
  if (shaders.some((shader) => shader.startsWith('conv_direct'))) return 'direct';
  if (shaders.some((shader) => shader.startsWith('conv_windows'))) return 'windows';
  return shaders.includes('col2im') ? 'taps' : 'product';
}

/** Every product must be computed by the kernel that was asked for. Convolutions without one are computed directly. */
function checkProducts(plan: KernelPlan, variant: GemmVariant): void {
  const products = shadersOf(plan).filter((shader) =>
    /^gemm_(plain|tiled|wide|panel|panel_wide)$/.test(shader),
  );
  const isMissing = products.length === 0 && convVariantOf(plan) !== 'direct';
  if (isMissing || products.some((shader) => shader.replace('panel_wide', 'panel') !== `gemm_${variant}`)) {
    throw new Error(`product: planned as [${products}] instead of gemm_${variant}`);
  }
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

/** Where results are no numbers because one number of the inputs is none: on the GPU against the reference. */
export interface Spread {
  /** The one of the input. */
  readonly place: number;
  /** Results that are numbers and should not be, */
  readonly tooFew: readonly number[];
  /** and the other way round. */
  readonly tooMany: readonly number[];
}

/** Runs an op on numbers from 0.5 to 1 but one, `value` in place of the number `at` (0 to 1) of the way through an input. */
export async function spreadOnGpu<A>(
  gpu: GpuDevice,
  op: Op<A>,
  shapes: readonly Shape[],
  attrs: A,
  { input, value, at }: { readonly input: number; readonly value: number; readonly at: number },
): Promise<Spread> {
  const values = shapes.map((shape, i) => randomValues(`spread ${i}`, sizeOf(shape), [0.5, 1]));
  const place = Math.floor(at * (values[input].length - 1));
  values[input][place] = value;
  const inputsOn = (device: CpuDevice | GpuDevice) =>
    shapes.map((shape, i) => tensor(device, values[i], shape));
  const expected = dataOf(apply(op, inputsOn(new CpuDevice()), attrs));
  const [actual] = await gpu.read([apply(op, inputsOn(gpu), attrs)]);
  const places = [...actual.keys()];
  return {
    place,
    tooFew: places.filter((i) => !Number.isFinite(expected[i]) && Number.isFinite(actual[i])),
    tooMany: places.filter((i) => Number.isFinite(expected[i]) && !Number.isFinite(actual[i])),
  };
}
