// Sums over all, rows and columns, and softmax: reads that meet in few numbers.
import { sum } from '../engine/ops/broadcast.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { sizeOf } from '../engine/shape.ts';
import { type BenchCase, gigabytes, opCase } from './case.ts';
import { softmaxSizes } from './shapes.ts';

const matrix = [1024, 4096];
const ways = [
  { label: 'all', axes: [0, 1] },
  { label: 'rows', axes: [1] },
  { label: 'columns', axes: [0] },
] as const;
const common = { family: 'reduce', unit: 'GB/s', isPositive: true } as const;

/** Sums read every number once; softmax is counted as one read and one write. */
export const reduceCases: readonly BenchCase[] = [
  opCase({
    ...common,
    name: 'sum-all-1m',
    workPerCall: gigabytes(2 ** 20),
    shapes: [[2 ** 20]],
    run: ([x]) => sum(x),
  }),
  ...ways.map(({ label, axes }) =>
    opCase({
      ...common,
      name: `sum-${label}-4m`,
      workPerCall: gigabytes(sizeOf(matrix)),
      shapes: [matrix],
      run: ([x]) => sum(x, axes),
    }),
  ),
  ...softmaxSizes.map((shape) =>
    opCase({
      ...common,
      name: `softmax-${shape.join('x')}`,
      workPerCall: gigabytes(2 * sizeOf(shape)),
      shapes: [shape],
      run: ([x]) => softmax(x),
    }),
  ),
];
