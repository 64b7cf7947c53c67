// What the tuner measures: products of matrices and convolutions as networks have them.

import { full } from '../engine/create.ts';
import type { ConvDirection, ConvGeometry } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { conv2d, conv2dInputGrad, conv2dWeightGrad, convAttrs } from '../engine/ops/conv.ts';
import { geometryOf } from '../engine/ops/conv-geometry.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { keep, withoutRecording } from '../engine/scope.ts';
import type { Shape } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { takeTurns } from './take-turns.ts';

/** Something to measure. Its inputs [shapes] are made for it; `run` must compute it once. */
export interface TuningCase {
  readonly name: string;
  readonly shapes: readonly Shape[];
  readonly run: (inputs: readonly Tensor[]) => Tensor;
}

/** A direction of a convolution to measure. */
export interface ConvCase extends TuningCase {
  readonly direction: ConvDirection;
  readonly sizes: ConvGeometry;
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

/** A convolution of N images [C, size, size] with O filters, with padding that keeps the size at stride 1. */
export interface ConvLayer {
  readonly N: number;
  readonly C: number;
  readonly O: number;
  readonly size: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
}

/** The three directions of one layer. */
export function convCases({ N, C, O, size, kernel, stride = 1, groups = 1 }: ConvLayer): ConvCase[] {
  const padding = (kernel - 1) / 2;
  const options = { stride, padding, groups };
  const x = [N, C, size, size];
  const w = [O, C / groups, kernel, kernel];
  const sizes = geometryOf('tune', x, w, convAttrs(options));
  const y = [N, O, sizes.OH, sizes.OW];
  const window = `${kernel}x${kernel}${stride > 1 ? `/${stride}` : ''}${groups > 1 ? `, ${groups} groups` : ''}`;
  const layer = `${x.join('x')} -> ${O}, ${window}`;
  return [
    {
      name: `conv ${layer}`,
      direction: 'forward',
      sizes,
      shapes: [x, w],
      run: ([a, b]) => conv2d(a, b, options),
    },
    {
      name: `its input gradient, ${layer}`,
      direction: 'input',
      sizes,
      shapes: [y, w],
      run: ([a, b]) => conv2dInputGrad(a, b, [size, size], options),
    },
    {
      name: `its weight gradient, ${layer}`,
      direction: 'weight',
      sizes,
      shapes: [x, y],
      run: ([a, b]) => conv2dWeightGrad(a, b, [kernel, kernel], options),
    },
  ];
}

// The quickstart's layers, and those of a ResNet at two resolutions.
const quickstartLayers: readonly ConvLayer[] = [
  { N: 32, C: 1, O: 8, size: 28, kernel: 5, stride: 2 },
  { N: 32, C: 8, O: 16, size: 14, kernel: 3, stride: 2 },
];
const middleLayer: ConvLayer = { N: 8, C: 32, O: 64, size: 32, kernel: 3 };
const firstLayer: ConvLayer = { N: 1, C: 3, O: 64, size: 224, kernel: 7, stride: 2 };
const productLayers: readonly ConvLayer[] = [
  ...quickstartLayers,
  middleLayer,
  { N: 8, C: 64, O: 64, size: 56, kernel: 3 },
  { N: 8, C: 256, O: 256, size: 14, kernel: 3 },
  firstLayer,
];

// Hundreds of channels are a product's on every adapter, and would take minutes in the other ways.
const wayLayers: readonly ConvLayer[] = [
  ...quickstartLayers,
  // Small U-Nets, at both of their resolutions.
  { N: 32, C: 1, O: 4, size: 28, kernel: 3 },
  { N: 32, C: 4, O: 4, size: 28, kernel: 3 },
  { N: 32, C: 8, O: 8, size: 28, kernel: 3 },
  { N: 32, C: 16, O: 16, size: 28, kernel: 3 },
  { N: 32, C: 8, O: 8, size: 14, kernel: 3 },
  { N: 32, C: 16, O: 16, size: 14, kernel: 3 },
  // Small CNNs for colours.
  { N: 32, C: 3, O: 32, size: 32, kernel: 3 },
  { N: 8, C: 16, O: 32, size: 32, kernel: 3 },
  middleLayer,
  firstLayer,
  // MobileNets.
  { N: 8, C: 64, O: 64, size: 28, kernel: 3, groups: 64 },
  { N: 8, C: 256, O: 256, size: 14, kernel: 3, groups: 256 },
  { N: 8, C: 64, O: 128, size: 28, kernel: 1 },
];

/** What the kernels for products are measured on. */
export const typicalProducts: readonly TuningCase[] = [
  matmulCase(32, 784, 32),
  matmulCase(64, 64, 64),
  matmulCase(128, 4096, 1000),
  matmulCase(256, 256, 256),
  matmulCase(1024, 1024, 1024),
  ...productLayers.flatMap(convCases),
];

/** What the ways of convolutions are measured on. */
export const typicalConvolutions: readonly ConvCase[] = wayLayers.flatMap(convCases);

const ROUND_COUNT = 5;
const TURN_MS = 15;
/** What takes this many times as long as the best is not timed further. */
const HOPELESS = 4;

/**
 * Milliseconds per call of a case on each of some devices, which take turns; ascending, one for each turn. `standard`, which others
 * shall be compared with, gets all its turns however slow it seems: its first one may have been disturbed.
 */
export async function timesOf(
  { shapes, run }: TuningCase,
  devices: readonly GpuDevice[],
  standard?: GpuDevice,
): Promise<number[][]> {
  const works = devices.map((device) => {
    const inputs = shapes.map((shape) => keep(full(device, shape, 0.5)));
    return { device, inputs, call: () => withoutRecording(device, () => run(inputs)) };
  });
  const isWorthwhile = (ms: number, leastMs: number, i: number): boolean =>
    devices[i] === standard || ms <= HOPELESS * leastMs;
  const times = await takeTurns(works, { rounds: ROUND_COUNT, turnMs: TURN_MS, isWorthwhile });
  for (const { inputs, device } of works) {
    for (const t of inputs) release(t);
    device.trim();
  }
  return times;
}
