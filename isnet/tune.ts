// Finds the fastest kernel for products of matrices on this machine (Node only): all that can run take turns.

import { full } from '../engine/create.ts';
import type { GemmVariant, Precision, ProductFacts } from '../engine/dispatch.ts';
import { type GemmTuning, productClass } from '../engine/gemm-tuning.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../engine/ops/conv.ts';
import { possibleVariants } from '../engine/ops/gemm-variants.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { keep, withoutRecording } from '../engine/scope.ts';
import type { Shape } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { takeTurns } from './take-turns.ts';

/** One class of products and the time of each kernel that can run, in milliseconds per call. */
export interface TunedClass {
  readonly name: string;
  readonly example: string;
  readonly ms: Readonly<Partial<Record<GemmVariant, number>>>;
  readonly fastest: GemmVariant;
}

/** A product to measure. Its inputs [shapes] are made for it; `run` must make one product of them. */
export interface TuningCase {
  readonly name: string;
  readonly shapes: readonly Shape[];
  readonly run: (inputs: readonly Tensor[]) => Tensor;
}

/** The product of [m, k] and [k, n]. */
export const matmulCase = (m: number, k: number, n: number): TuningCase => ({
  name: `matmul ${m}x${k}x${n}`,
  shapes: [
    [m, k],
    [k, n],
  ],
  run: ([a, b]) => matmul(a, b),
});

interface ConvLayer {
  readonly N: number;
  readonly C: number;
  readonly O: number;
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
}

/** The three directions of one layer. */
function convCases({ N, C, O, size, kernel, stride }: ConvLayer): TuningCase[] {
  const padding = (kernel - 1) / 2;
  const out = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const x = [N, C, size, size];
  const w = [O, C, kernel, kernel];
  const y = [N, O, out, out];
  const options = { stride, padding };
  const layer = `${N}x${C}x${size}x${size} -> ${O}, ${kernel}x${kernel}${stride > 1 ? `/${stride}` : ''}`;
  return [
    { name: `conv ${layer}`, shapes: [x, w], run: ([a, b]) => conv2d(a, b, options) },
    {
      name: `its input gradient, ${layer}`,
      shapes: [y, w],
      run: ([a, b]) => conv2dInputGrad(a, b, [size, size], options),
    },
    {
      name: `its weight gradient, ${layer}`,
      shapes: [x, y],
      run: ([a, b]) => conv2dWeightGrad(a, b, [kernel, kernel], options),
    },
  ];
}

// The quickstart's layers, and those of a ResNet at two resolutions.
const layers: readonly ConvLayer[] = [
  { N: 32, C: 1, O: 8, size: 28, kernel: 5, stride: 2 },
  { N: 32, C: 8, O: 16, size: 14, kernel: 3, stride: 2 },
  { N: 8, C: 32, O: 64, size: 32, kernel: 3, stride: 1 },
  { N: 8, C: 64, O: 64, size: 56, kernel: 3, stride: 1 },
  { N: 8, C: 256, O: 256, size: 14, kernel: 3, stride: 1 },
  { N: 1, C: 3, O: 64, size: 224, kernel: 7, stride: 2 },
];

const typicalCases: readonly TuningCase[] = [
  matmulCase(32, 784, 32),
  matmulCase(64, 64, 64),
  matmulCase(128, 4096, 1000),
  matmulCase(256, 256, 256),
  matmulCase(1024, 1024, 1024),
  ...layers.flatMap(convCases),
];

const ROUND_COUNT = 5;
const TURN_MS = 15;
/** A kernel that takes this many times as long as the best is not timed further. */
const HOPELESS = 4;

/** A device that runs one variant and remembers what it was asked for. */
interface Candidate {
  readonly variant: GemmVariant;
  readonly device: GpuDevice;
  readonly products: ProductFacts[];
}

async function openCandidate(variant: GemmVariant, precision: Precision): Promise<Candidate> {
  const products: ProductFacts[] = [];
  const chooseGemm = (product: ProductFacts) => {
    products.push(product);
    return variant;
  };
  return { variant, device: await openDevice({ precision, profile: { chooseGemm } }), products };
}

/**
 * Measures every class of a list of products, by default of those typical for networks, with all kernels that the adapter of
 * `device` can run, in its precision; `onClass` is told of each. The default takes one to a few minutes.
 */
export async function tuneGemm(
  device: GpuDevice,
  onClass?: (tuned: TunedClass) => void,
  cases: readonly TuningCase[] = typicalCases,
): Promise<GemmTuning> {
  const { precision } = device.profile;
  const candidates: Candidate[] = [];
  try {
    for (const variant of possibleVariants(device.profile)) {
      candidates.push(await openCandidate(variant, precision));
    }
    const variants: Record<string, GemmVariant> = {};
    for (const each of cases) {
      const tuned = await tuneCase(each, candidates);
      if (!tuned || tuned.name in variants) continue;
      variants[tuned.name] = tuned.fastest;
      onClass?.(tuned);
    }
    return { adapter: device.description, date: new Date().toISOString(), variants };
  } finally {
    for (const candidate of candidates) await candidate.device.close();
  }
}

/** Null for what this adapter computes without a product, as it does thin convolutions: there is nothing to choose. */
async function tuneCase(
  { name, shapes, run }: TuningCase,
  candidates: readonly Candidate[],
): Promise<TunedClass | null> {
  const works = candidates.map(({ device, products }) => {
    products.length = 0;
    const inputs = shapes.map((shape) => keep(full(device, shape, 0.5)));
    return { device, inputs, call: () => withoutRecording(device, () => run(inputs)) };
  });
  const isWorthwhile = (ms: number, leastMs: number): boolean => ms <= HOPELESS * leastMs;
  const times = await takeTurns(works, { rounds: ROUND_COUNT, turnMs: TURN_MS, isWorthwhile });
  for (const { inputs, device } of works) {
    for (const t of inputs) release(t);
    device.trim();
  }
  const [first] = candidates;
  if (first.products.length === 0) return null;
  const medians = times.map((each) => each[each.length >> 1]);
  const ms = Object.fromEntries(candidates.map(({ variant }, i) => [variant, medians[i]]));
  const fastest = candidates[medians.indexOf(Math.min(...medians))].variant;
  return {
    name: productClass(first.products[0], first.device.profile.precision),
    example: name,
    ms,
    fastest,
  };
}
