// What is compared: computations as plain data, so that each peer says in its own words how it does them.
import {
  additionLengths,
  type ConvSizes,
  chain,
  cnn,
  convLayers,
  convShapes,
  type MatmulSizes,
  matmulFlop,
  matmulSizes,
  softmaxSizes,
} from '../shapes.ts';

export type ConvDirection = 'forward' | 'input gradient' | 'weight gradient';

/** A computation. Operands are `operand(0)` and `operand(1)` of data.ts; images are [N, C, H, W], weights [O, C, H, W]. */
export type Work =
  | { readonly kind: 'matmul'; readonly sizes: MatmulSizes }
  /** Operands: x and w, g and w, x and g. */
  | { readonly kind: 'conv'; readonly direction: ConvDirection; readonly sizes: ConvSizes }
  | { readonly kind: 'add'; readonly count: number }
  | { readonly kind: 'softmax'; readonly rows: number; readonly columns: number }
  /** `length` additions of the second operand, one after the other: each a kernel of its own, or as the library likes. */
  | { readonly kind: 'chain'; readonly count: number; readonly length: number; readonly isCompiled: boolean }
  /** Steps of SGD on the CNN of shapes.ts; see `cnnGradients` for the penalty. */
  | { readonly kind: 'train'; readonly hasPenalty: boolean };

export interface PeerCase {
  readonly name: string;
  readonly unit: string;
  /** How many of the unit, times seconds, one call is. */
  readonly workPerCall: number;
  readonly work: Work;
}

/** Learning rate of the training steps: one moves the loss by some percent, hundreds do not blow it up. */
export const LEARNING_RATE = 0.001;

const directions: readonly ConvDirection[] = ['forward', 'input gradient', 'weight gradient'];
const gigabytes = (count: number): number => (4 * count) / 1e9;

export const peerCases: readonly PeerCase[] = [
  ...matmulSizes
    .filter(({ label }) => label !== '128')
    .map((sizes): PeerCase => {
      const work = { kind: 'matmul', sizes } as const;
      return { name: `matmul ${sizes.label}`, unit: 'GFLOP/s', workPerCall: matmulFlop(sizes) / 1e9, work };
    }),
  ...convLayers.flatMap((sizes) =>
    directions.map((direction): PeerCase => {
      const work = { kind: 'conv', direction, sizes } as const;
      const workPerCall = convShapes(sizes).flop / 1e9;
      return { name: `conv ${sizes.label} ${direction}`, unit: 'GFLOP/s', workPerCall, work };
    }),
  ),
  ...additionLengths.map(({ label, count }): PeerCase => {
    const work = { kind: 'add', count } as const;
    return { name: `add ${label}`, unit: 'GB/s', workPerCall: gigabytes(3 * count), work };
  }),
  ...softmaxSizes.slice(0, 1).map(([rows, columns]): PeerCase => {
    const work = { kind: 'softmax', rows, columns } as const;
    return {
      name: `softmax ${rows}x${columns}`,
      unit: 'GB/s',
      workPerCall: gigabytes(2 * rows * columns),
      work,
    };
  }),
  ...[false, true].map((isCompiled): PeerCase => {
    const name = `chain of ${chain.length} additions${isCompiled ? ', compiled' : ''}`;
    const work = { kind: 'chain', count: chain.counts[1], length: chain.length, isCompiled } as const;
    return { name, unit: 'thousand ops/s', workPerCall: chain.length / 1e3, work };
  }),
  ...[false, true].map((hasPenalty): PeerCase => {
    const name = hasPenalty ? 'training step with gradient penalty' : 'training step';
    return { name, unit: 'images/s', workPerCall: cnn.N, work: { kind: 'train', hasPenalty } };
  }),
];

/** Shapes of both operands. */
export function operandShapes(work: Exclude<Work, { kind: 'train' }>): readonly (readonly number[])[] {
  switch (work.kind) {
    case 'matmul':
      return [
        [work.sizes.M, work.sizes.K],
        [work.sizes.K, work.sizes.N],
      ];
    case 'conv': {
      const { x, w, y } = convShapes(work.sizes);
      return { forward: [x, w], 'input gradient': [y, w], 'weight gradient': [x, y] }[work.direction];
    }
    case 'softmax':
      return [[work.rows, work.columns]];
    case 'add':
    case 'chain':
      return [[work.count], [work.count]];
  }
}
