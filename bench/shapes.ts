// The sizes that are measured, each once: `npm run bench` and `npm run bench:peers` must mean the same by a name.
import { type Pair, pairOf } from '../engine/ops/pair.ts';
import type { Shape } from '../engine/shape.ts';

/** A product of [M, K] and [K, N]. */
export interface MatmulSizes {
  readonly label: string;
  readonly M: number;
  readonly K: number;
  readonly N: number;
}

const square = (n: number): MatmulSizes => ({ label: String(n), M: n, K: n, N: n });

/** From one that is all overhead to those that are all arithmetic, and a fully connected layer. */
export const matmulSizes: readonly MatmulSizes[] = [
  ...[128, 256, 512, 1024].map(square),
  { label: '128x4096x1000', M: 128, K: 4096, N: 1000 },
];

/** What fills a GPU; software adapters are not asked for these. */
export const largeMatmulSizes: readonly MatmulSizes[] = [2048, 4096].map(square);

/** Two operations per product. */
export const matmulFlop = ({ M, K, N }: MatmulSizes): number => 2 * M * K * N;

/** A convolution of N images [C, H, W] with O filters, with padding that keeps the size at stride 1. */
export interface ConvSizes {
  readonly label: string;
  readonly N: number;
  readonly C: number;
  /** [H, W], or one number for both. */
  readonly size: number | Pair;
  readonly O: number;
  readonly kernel: number;
  readonly stride: number;
  readonly groups?: number;
}

/** Layers of known networks; the peers are measured on these. */
export const convLayers: readonly ConvSizes[] = [
  { label: 'c32', N: 8, C: 32, size: 32, O: 64, kernel: 3, stride: 1 },
  { label: 'c56', N: 8, C: 64, size: 56, O: 64, kernel: 3, stride: 1 },
  { label: 'c224', N: 1, C: 3, size: 224, O: 64, kernel: 7, stride: 2 },
];

/** Nothing here is a multiple of a vector or a tile. */
export const oddConvLayers: readonly ConvSizes[] = [
  { label: '5x5-s2', N: 64, C: 1, size: 28, O: 8, kernel: 5, stride: 2 },
  { label: 'odd-3-5', N: 4, C: 3, size: [37, 41], O: 5, kernel: 3, stride: 1 },
  { label: 'odd-5-13-s2', N: 4, C: 5, size: [37, 41], O: 13, kernel: 3, stride: 2 },
  { label: 'odd-13-n1', N: 1, C: 13, size: [37, 41], O: 13, kernel: 3, stride: 1 },
  { label: 'depthwise', N: 8, C: 64, size: 28, O: 64, kernel: 3, stride: 1, groups: 64 },
  { label: '1x1', N: 8, C: 64, size: 28, O: 128, kernel: 1, stride: 1 },
];

/** Beside the odd ones: the nearest multiples of four. Odd ones are to take as long for each operation, within 1.5 times. */
export const evenConvLayers: readonly ConvSizes[] = [
  { label: 'even-4-4', N: 4, C: 4, size: [36, 40], O: 4, kernel: 3, stride: 1 },
  { label: 'even-4-12-s2', N: 4, C: 4, size: [36, 40], O: 12, kernel: 3, stride: 2 },
  { label: 'even-12-n1', N: 1, C: 12, size: [36, 40], O: 12, kernel: 3, stride: 1 },
];

/** What follows from the sizes of a convolution. */
export interface ConvShapes {
  readonly x: Shape;
  readonly w: Shape;
  readonly y: Shape;
  readonly padding: number;
  readonly flop: number;
}

/** Shapes of input, weight and output, for `count` images instead of N where given. */
export function convShapes(sizes: ConvSizes, count = sizes.N): ConvShapes {
  const { C, O, kernel, stride, groups = 1 } = sizes;
  const [H, W] = pairOf(sizes.size);
  const padding = Math.floor(kernel / 2);
  const out = (n: number) => Math.floor((n + 2 * padding - kernel) / stride) + 1;
  const y = [count, O, out(H), out(W)];
  const terms = (C / groups) * kernel ** 2;
  const flop = 2 * y.reduce((a, b) => a * b) * terms;
  return { x: [count, C, H, W], w: [O, C / groups, kernel, kernel], y, padding, flop };
}

/** Lengths of sums of two vectors. */
export const additionLengths = [
  { label: '1m', count: 2 ** 20 },
  { label: '16m', count: 2 ** 24 },
] as const;

/** [rows, classes]: many logits, and many rows of few. */
export const softmaxSizes: readonly Shape[] = [
  [128, 1000],
  [4096, 256],
];

/** Ops that each wait for the one before, on so many numbers: the floor under every small network. */
export const chain = { length: 200, counts: [256, 1024], square: [32, 32] } as const;

/** The classifier of the training steps: 3x3 convolutions with ReLU, max pooling of 2 behind the last two, one Linear. */
export const cnn = { N: 32, C: 3, size: 32, widths: [32, 32, 64], pools: [1, 2, 2], classCount: 10 } as const;

/** Parameters of `cnn` in order, each a weight [O, ..] and a bias [O]. */
export const cnnLayers: readonly { readonly weight: Shape; readonly bias: Shape }[] = [
  ...cnn.widths.map((O, i) => ({ weight: [O, i === 0 ? cnn.C : cnn.widths[i - 1], 3, 3], bias: [O] })),
  { weight: [cnn.classCount, 64 * 8 * 8], bias: [cnn.classCount] },
];
