// What a background-bias benchmark consists of, whatever it shows: the same parts under the same names for all of them, so
// that numbers can be read side by side.
import { UsageError } from '../../engine/errors.ts';
import type { Dataset } from '../data/dataset.ts';
import { memorySource } from '../data/source.ts';
import type { DataSplits } from '../data/splits.ts';

/**
 * The four tests. `biased`: backgrounds tell the class as they do in training. `unbiased`: they say nothing of it.
 * `deceiving`: each is that of another class. `out-of-distribution`: something that training never showed; what that is
 * differs between benchmarks.
 */
export const testNames = ['biased', 'unbiased', 'deceiving', 'out-of-distribution'] as const;

/** One of the four. */
export type TestName = (typeof testNames)[number];

/** How many images, and which draw of them. */
export interface BenchmarkSize {
  readonly trainCount: number;
  readonly validationCount: number;
  /** Of each of the four tests. */
  readonly testCount: number;
  readonly seed: number;
}

/** The parts of a benchmark; no object of one of training, validation and tests is in another. */
export interface Benchmark {
  readonly train: Dataset;
  /** Biased like `train`: choosing a model here must not leak what the tests ask. */
  readonly validation: Dataset;
  /**
   * The objects of `train` before backgrounds that say nothing of the class. An ordinary classifier trained on it is the
   * oracle: what can be had at best, and what nobody has in earnest.
   */
  readonly unbiasedTrain: Dataset;
  /** The objects of `validation` in the same way: what the weights of the oracle are chosen by. */
  readonly unbiasedValidation: Dataset;
  readonly tests: Readonly<Record<TestName, Dataset>>;
  /** All tests show the same objects in the same order. */
  readonly isPaired: boolean;
}

/** The benchmark with each of its parts changed. */
export function mapParts(benchmark: Benchmark, change: (part: Dataset) => Dataset): Benchmark {
  const { train, validation, unbiasedTrain, unbiasedValidation, tests } = benchmark;
  const changed = Object.fromEntries(testNames.map((name) => [name, change(tests[name])]));
  return {
    ...benchmark,
    train: change(train),
    validation: change(validation),
    unbiasedTrain: change(unbiasedTrain),
    unbiasedValidation: change(unbiasedValidation),
    tests: changed as Record<TestName, Dataset>,
  };
}

/** The benchmark as what a run is trained and tested on. */
export function benchmarkSplits({ train, validation, tests, isPaired }: Benchmark): DataSplits {
  return {
    train: memorySource(train),
    validation: memorySource(validation),
    tests: Object.fromEntries(testNames.map((name) => [name, memorySource(tests[name])])),
    isPaired,
    close: async () => {},
  };
}

/** Throws UsageError for a count that is not a whole number from 1 up. */
export function checkSize({ trainCount, validationCount, testCount }: BenchmarkSize): void {
  for (const [name, count] of Object.entries({ trainCount, validationCount, testCount })) {
    if (Number.isInteger(count) && count >= 1) continue;
    throw new UsageError(`benchmark: ${name} is ${count}; pass a whole number from 1 up`);
  }
}
