// Square matrix products: from one that is all overhead to one that is all arithmetic.
import { matmul } from '../engine/ops/matmul.ts';
import { type BenchCase, opCase } from './case.ts';

/** Products of n x n matrices; 2 n^3 operations each. */
export const matmulCases: readonly BenchCase[] = [128, 256, 512].map((n) =>
  opCase({
    family: 'matmul',
    name: `matmul-${n}`,
    unit: 'GFLOP/s',
    workPerCall: (2 * n ** 3) / 1e9,
    shapes: [
      [n, n],
      [n, n],
    ],
    run: ([a, b]) => matmul(a, b),
  }),
);
