// Elementwise work: bound by memory, so counted in bytes.
import { gelu } from '../engine/ops/activations.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { exp } from '../engine/ops/pointwise.ts';
import { sizeOf } from '../engine/shape.ts';
import { type BenchCase, gigabytes, opCase } from './case.ts';
import { additionLengths } from './shapes.ts';

const MILLION = 2 ** 20;
const images = [32, 64, 56, 56];
const common = { family: 'elementwise', unit: 'GB/s' } as const;

/** Sums: two reads and one write of four bytes per element; one read and one write for functions of one number. */
export const elementwiseCases: readonly BenchCase[] = [
  ...additionLengths.map(({ label, count }) =>
    opCase({
      ...common,
      name: `add-${label}`,
      workPerCall: gigabytes(3 * count),
      shapes: [[count], [count]],
      checkShapes: [[MILLION], [MILLION]],
      run: ([a, b]) => add(a, b),
    }),
  ),
  opCase({
    ...common,
    name: 'add-channels',
    workPerCall: gigabytes(2 * sizeOf(images)),
    shapes: [images, [64, 1, 1]],
    checkShapes: [
      [2, 64, 56, 56],
      [64, 1, 1],
    ],
    run: ([x, b]) => add(x, b),
  }),
  opCase({
    ...common,
    name: 'exp-1m',
    workPerCall: gigabytes(2 * MILLION),
    shapes: [[MILLION]],
    run: ([x]) => exp(x),
  }),
  opCase({
    ...common,
    name: 'gelu-1m',
    workPerCall: gigabytes(2 * MILLION),
    shapes: [[MILLION]],
    run: ([x]) => gelu(x),
  }),
];
