// What a kernel call is, as plain data. An op describes its dispatches; only the GPU device runs them.
import type { ShaderName } from '../shaders/catalogue.ts';
import type { Shape } from './shape.ts';

/** The kernels for products of matrices, see gemm-variants.ts. */
export type GemmVariant = 'plain' | 'tiled' | 'wide' | 'panel';

/** What the choice of a kernel for a product of matrices depends on. */
export interface ProductFacts {
  /** How the right-hand matrix is read: as a matrix, or out of the images of a convolution. */
  readonly operandsShader: ShaderName;
  readonly batches: number;
  readonly rows: number;
  readonly columns: number;
  readonly terms: number;
}

/** Sizes of a convolution x [N, C, H, W], w [O, C/groups, kernel] -> y [N, O, OH, OW]; pairs are (y, x). */
export interface ConvGeometry {
  readonly N: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly O: number;
  readonly OH: number;
  readonly OW: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

export type ConvDirection = 'forward' | 'input' | 'weight';

/** The ways to compute a direction of a convolution, see conv-plan.ts. */
export type ConvVariant = 'product' | 'taps' | 'direct' | 'windows';

/** In what products of matrices and convolutions compute; see `PrecisionOption` in adapter-profile.ts. */
export type Precision = 'f32' | 'mixed';

/** What a kernel may know about the adapter when it picks a variant. */
export interface AdapterProfile {
  /** `software` = a CPU rasteriser (SwiftShader, lavapipe): no barriers there, and subgroups are SIMD lanes. */
  readonly family: 'gpu' | 'software';
  /** Lanes per subgroup if that number is fixed and subgroups can be used, else 0. */
  readonly subgroupSize: number;
  readonly maxWorkgroupsPerDimension: number;
  /** `mixed` = products of matrices keep their operands as f16 while they reuse them, and add in f32. */
  readonly precision: Precision;
  /** Bytes of workgroup memory. */
  readonly maxWorkgroupStorageSize: number;
  readonly maxInvocationsPerWorkgroup: number;
  /** Overrides the choice of the kernel for a product of matrices: what was measured here, or what a test wants. */
  readonly chooseGemm?: (product: ProductFacts) => GemmVariant | undefined;
  /** The same for a direction of a convolution. What the direction cannot do is not done. */
  readonly chooseConv?: (direction: ConvDirection, sizes: ConvGeometry) => ConvVariant | undefined;
  /** Buffers that one kernel can bind, the uniform not counted. */
  readonly maxStorageBuffers: number;
}

/** A buffer bound to a dispatch: input i of the op, its output, or temporary buffer i of the plan. */
export type Operand = { readonly input: number } | { readonly temp: number } | 'output';

/** One kernel launch. Bindings are numbered 1, 2, ...; the last one is written, of a fused map the last few; all others are read. */
export interface Dispatch {
  readonly shader: ShaderName;
  /** A second file of functions that is put between the prelude and the shader. */
  readonly operandsShader?: ShaderName;
  /** Consts, aliases and functions that are put before the shader's text. It is part of the pipeline's identity. */
  readonly prelude: string;
  /** Values of the uniform struct `Params` by field name: u32, sizes in elements. */
  readonly params: Readonly<Record<string, number>>;
  readonly operands: readonly Operand[];
  readonly workgroups: readonly [number, number, number];
}

/** Fills an operand with zeros before the next dispatch. */
export interface Clear {
  readonly clear: Operand;
}

/** Copies a run of elements from an operand to the output, as they lie in the buffers. */
export interface Copy {
  readonly copy: Operand;
  /** First element in the operand, and in the output. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/**
 * An elementwise op in a form that can be put together with others: every element of the output is
 * `apply(input 0, input 1, ...)` of one element each.
 */
export interface MapForm {
  /** What `body` calls its arguments, one for each input. */
  readonly parameters: readonly string[];
  /** Body of `fn apply(...) -> Vec`, which computes one element or four at a time; literals are written `Vec(1)`. */
  readonly body: string;
  /** WGSL functions that the body calls. Their names say what they do: two ops may share one. */
  readonly functions: string;
  /** Of each input: its step in elements along each axis of the output, 0 where it repeats. */
  readonly strides: readonly (readonly number[])[];
}

/** How an op runs on WebGPU: its steps in order, and the temporary buffers they share. */
export interface KernelPlan {
  readonly steps: readonly (Dispatch | Clear | Copy)[];
  /** Sizes of the temporary buffers, in elements. */
  readonly temps?: readonly number[];
  /** The same computation for `capture`, which fuses elementwise ops that follow one another. */
  readonly map?: MapForm;
}

/** What an op's `kernel` is asked: shapes, attributes, and the adapter it shall run on. */
export interface KernelRequest<Attrs> {
  readonly inputs: readonly Shape[];
  readonly output: Shape;
  readonly attrs: Attrs;
  readonly adapter: AdapterProfile;
}

/** Elements of the largest temporary buffer of a plan that could do without, 128 MiB: the smallest binding limit that we know of. */
export const MOST_TEMP_ELEMENTS = 2 ** 25;

/** Threads of a workgroup: one subgroup on a software adapter, where barriers between subgroups cost much; 64 on a GPU. */
export const threadsPerWorkgroup = ({ family, subgroupSize }: AdapterProfile): number =>
  family === 'software' ? Math.max(4, subgroupSize) : 64;

/** Enough workgroups to share them evenly between the threads of a CPU; each more has its price. */
export const SOFTWARE_WORKGROUPS = 16;

/** Enough threads to fill a GPU. */
export const GPU_THREADS = 16384;

/**
 * Whether subgroups of so many lanes are SwiftShader's: lavapipe's are as wide as the CPU's vectors, which have eight numbers or
 * more on most. SwiftShader compiles quickly, so that it may have a program more, and runs without Dawn's bounds checks. It is
 * told by its lanes alone: a plan for four computes the same on any adapter that has four.
 */
export const isSwiftShader = (lanes: number): boolean => lanes === 4;

/** Workgroup counts for `count` groups in a row, folded into y where x would exceed the adapter's limit. */
export function foldWorkgroups(count: number, adapter: AdapterProfile): [number, number, number] {
  const limit = adapter.maxWorkgroupsPerDimension;
  if (count <= limit) return [Math.max(1, count), 1, 1];
  const rows = Math.ceil(count / limit);
  return [Math.ceil(count / rows), rows, 1];
}
