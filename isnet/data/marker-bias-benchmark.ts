// Cuts MNIST into the five data sets of the background-bias benchmark, the same five for the same seed.
import { UsageError } from '../../engine/errors.ts';
import { randomStream } from '../../engine/random-bits.ts';
import type { Dataset } from './dataset.ts';
import type { Digits } from './idx.ts';
import { type BackgroundKind, composeMarkerBias, type MarkerKind } from './marker-bias.ts';

export interface MarkerBiasBenchmarkOptions {
  readonly train: Digits;
  readonly test: Digits;
  readonly trainCount: number;
  readonly validationCount: number;
  readonly testCount: number;
  readonly seed: number;
  readonly background?: BackgroundKind;
  readonly markerSize?: number;
}

/** The last three show the same test digits in the same order, and differ in their markers only. */
export interface MarkerBiasBenchmark {
  readonly train: Dataset;
  /** Biased like `train`, of other training digits: choosing a model here must not leak what the test asks. */
  readonly validation: Dataset;
  readonly biased: Dataset;
  readonly unbiased: Dataset;
  readonly deceiving: Dataset;
}

/**
 * The benchmark with randomly chosen digits, as many of each class as there are. Throws UsageError if a count is not a
 * whole number from 1 up or asks for more digits than given, and whatever `composeMarkerBias` throws.
 */
export function markerBiasBenchmark(options: MarkerBiasBenchmarkOptions): MarkerBiasBenchmark {
  const { train, test, trainCount, validationCount, testCount, seed, background, markerSize } = options;
  checkCounts({ trainCount, validationCount }, train.count, 'training');
  checkCounts({ testCount }, test.count, 'test');
  // Validation first: when a class runs out, the large training set should miss it, not the small validation set.
  const chosen = chooseBalanced(train.labels, validationCount + trainCount, seed, 'marker-bias/choose-train');
  const tested = chooseBalanced(test.labels, testCount, seed, 'marker-bias/choose-test');
  const compose = (digits: Digits, indices: Uint32Array, marker: MarkerKind, stream: string): Dataset =>
    composeMarkerBias(digits, { marker, seed, background, markerSize, indices, stream });
  return {
    train: compose(train, chosen.subarray(validationCount), 'own', 'marker-bias/train'),
    validation: compose(train, chosen.subarray(0, validationCount), 'own', 'marker-bias/train'),
    biased: compose(test, tested, 'own', 'marker-bias/test'),
    unbiased: compose(test, tested, 'none', 'marker-bias/test'),
    deceiving: compose(test, tested, 'other', 'marker-bias/test'),
  };
}

/**
 * The training and validation digits of the benchmark without their markers: what an oracle is trained on. The same digits
 * in the same order. Throws as `markerBiasBenchmark` does.
 */
export function unbiasedTraining(
  options: Omit<MarkerBiasBenchmarkOptions, 'test' | 'testCount'>,
): Pick<MarkerBiasBenchmark, 'train' | 'validation'> {
  const { train, trainCount, validationCount, seed, background, markerSize } = options;
  checkCounts({ trainCount, validationCount }, train.count, 'training');
  const chosen = chooseBalanced(train.labels, validationCount + trainCount, seed, 'marker-bias/choose-train');
  const compose = (indices: Uint32Array): Dataset =>
    composeMarkerBias(train, {
      marker: 'none',
      seed,
      background,
      markerSize,
      indices,
      stream: 'marker-bias/train',
    });
  return {
    train: compose(chosen.subarray(validationCount)),
    validation: compose(chosen.subarray(0, validationCount)),
  };
}

function checkCounts(counts: Readonly<Record<string, number>>, available: number, split: string): void {
  let wanted = 0;
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isInteger(count) || count < 1) {
      throw new UsageError(`markerBiasBenchmark: ${name} is ${count}; pass a whole number from 1 up`);
    }
    wanted += count;
  }
  if (wanted > available) {
    throw new UsageError(
      `markerBiasBenchmark: ${Object.keys(counts).join(' and ')} ask for ${wanted} of ${available} ${split} digits; ` +
        `ask for fewer`,
    );
  }
}

/** Numbers of `count` random samples, one of each class in turn while there are any. */
export function chooseBalanced(labels: Uint8Array, count: number, seed: number, name: string): Uint32Array {
  const waiting = new Map<number, number[]>();
  for (const n of randomStream(seed, name).permutation(labels.length)) {
    const queue = waiting.get(labels[n]);
    if (queue === undefined) waiting.set(labels[n], [n]);
    else queue.push(n);
  }
  const chosen = new Uint32Array(count);
  let i = 0;
  while (i < count) {
    for (const queue of waiting.values()) {
      const n = queue.pop();
      if (n !== undefined && i < count) chosen[i++] = n;
    }
  }
  return chosen;
}
