// Matrix products: from one that is all overhead to those that are all arithmetic.
import { matmul } from '../engine/ops/matmul.ts';
import { type BenchCase, opCase } from './case.ts';
import { largeMatmulSizes, type MatmulSizes, matmulFlop, matmulSizes } from './shapes.ts';

// Rows of a product do not know of each other: checking a few says as much, and the reference is slow.
const CHECKED_FLOP = 2 ** 26;

function caseOf(sizes: MatmulSizes, isLarge: boolean): BenchCase {
  const { label, M, K, N } = sizes;
  const few = Math.max(1, Math.min(M, Math.floor(CHECKED_FLOP / (2 * K * N))));
  const b = [K, N];
  return opCase({
    family: 'matmul',
    name: `matmul-${label}`,
    unit: 'GFLOP/s',
    workPerCall: matmulFlop(sizes) / 1e9,
    shapes: [[M, K], b],
    checkShapes: [[few, K], b],
    isLarge,
    run: ([x, y]) => matmul(x, y),
  });
}

/** Products of two matrices; 2 M K N operations each. */
export const matmulCases: readonly BenchCase[] = [
  ...matmulSizes.map((sizes) => caseOf(sizes, false)),
  ...largeMatmulSizes.map((sizes) => caseOf(sizes, true)),
];
