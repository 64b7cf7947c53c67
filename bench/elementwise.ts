// Elementwise work: bound by memory, so counted in bytes.
import { add } from '../engine/ops/arithmetic.ts';
import { type BenchCase, opCase } from './case.ts';

const COUNT = 2 ** 20;

/** The sum of two vectors: two reads and one write of four bytes per element. */
export const elementwiseCases: readonly BenchCase[] = [
  opCase({
    family: 'elementwise',
    name: 'add-1m',
    unit: 'GB/s',
    workPerCall: (3 * 4 * COUNT) / 1e9,
    shapes: [[COUNT], [COUNT]],
    run: ([a, b]) => add(a, b),
  }),
];
