// The convolution triple (forward, input gradient, weight gradient): a middle layer of a CNN, and the quickstart's first.
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../engine/ops/conv.ts';
import type { Shape } from '../engine/shape.ts';
import { type BenchCase, opCase } from './case.ts';

interface ConvSizes {
  readonly label: string;
  readonly N: number;
  readonly C: number;
  readonly H: number;
  readonly O: number;
  readonly kernel: number;
  readonly stride: number;
}

const sizes: readonly ConvSizes[] = [
  { label: '3x3', N: 8, C: 32, H: 32, O: 64, kernel: 3, stride: 1 },
  { label: '5x5-s2', N: 64, C: 1, H: 28, O: 8, kernel: 5, stride: 2 },
];

// One image of eight: the reference's plain loops take a second for the whole batch of the larger triple.
const CHECKED_SHARE = 8;

/** Three cases per layer, each of the same number of operations. */
export const convCases: readonly BenchCase[] = sizes.flatMap(({ label, N, C, H, O, kernel, stride }) => {
  const padding = Math.floor(kernel / 2);
  const options = { stride, padding };
  const OH = Math.floor((H + 2 * padding - kernel) / stride) + 1;
  const w: Shape = [O, C, kernel, kernel];
  const x = (count: number): Shape => [count, C, H, H];
  const y = (count: number): Shape => [count, O, OH, OH];
  const common = {
    family: 'conv',
    unit: 'GFLOP/s',
    workPerCall: (2 * N * O * C * kernel ** 2 * OH ** 2) / 1e9,
  };
  const few = N / CHECKED_SHARE;
  return [
    opCase({
      ...common,
      name: `conv-${label}`,
      shapes: [x(N), w],
      checkShapes: [x(few), w],
      run: ([images, weight]) => conv2d(images, weight, options),
    }),
    opCase({
      ...common,
      name: `conv-${label}-input-gradient`,
      shapes: [y(N), w],
      checkShapes: [y(few), w],
      run: ([g, weight]) => conv2dInputGrad(g, weight, [H, H], options),
    }),
    opCase({
      ...common,
      name: `conv-${label}-weight-gradient`,
      shapes: [x(N), y(N)],
      checkShapes: [x(few), y(few)],
      run: ([images, g]) => conv2dWeightGrad(images, g, [kernel, kernel], options),
    }),
  ];
});
