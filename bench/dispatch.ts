// What one kernel launch costs when there is next to nothing to compute: the floor under every small network.
import { add } from '../engine/ops/arithmetic.ts';
import { type BenchCase, opCase } from './case.ts';
import { chain } from './shapes.ts';

/** Additions that each wait for the one before, of short vectors. */
export const dispatchCases: readonly BenchCase[] = chain.counts.map((count) =>
  opCase({
    family: 'dispatch',
    name: `chain-of-${chain.length}x${count}`,
    unit: 'thousand ops/s',
    workPerCall: chain.length / 1e3,
    shapes: [[count], [count]],
    run([a, b]) {
      let total = a;
      for (let i = 0; i < chain.length; i++) total = add(total, b);
      return total;
    },
  }),
);
