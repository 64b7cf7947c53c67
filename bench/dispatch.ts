// What one kernel launch costs when there is next to nothing to compute: the floor under every small network.
import { add } from '../engine/ops/arithmetic.ts';
import { type BenchCase, opCase } from './case.ts';

const LENGTH = 200;

/** Additions that each wait for the one before, of vectors of 256. */
export const dispatchCases: readonly BenchCase[] = [
  opCase({
    family: 'dispatch',
    name: `chain-of-${LENGTH}`,
    unit: 'thousand ops/s',
    workPerCall: LENGTH / 1e3,
    shapes: [[256], [256]],
    run([a, b]) {
      let total = a;
      for (let i = 0; i < LENGTH; i++) total = add(total, b);
      return total;
    },
  }),
];
