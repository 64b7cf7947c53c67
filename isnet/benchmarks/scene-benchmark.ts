// Cuts objects and sceneries into the parts of a benchmark, alike for all that are made of scenes.
import { type Benchmark, type BenchmarkSize, checkSize } from './benchmark.ts';
import { type Canvas, type Cue, composeScenes, type Objects, type Scenery } from './scenes.ts';

/** Objects of one part, and which of them to show. */
export interface Cast {
  readonly objects: Objects;
  readonly indices: Uint32Array;
}

export interface SceneBenchmarkOptions {
  /** Begins the names of the random streams. */
  readonly name: string;
  readonly size: BenchmarkSize;
  readonly canvas: Pick<Canvas, 'channels' | 'height' | 'width'>;
  readonly train: Cast;
  readonly validation: Cast;
  readonly test: Cast;
  readonly trainScenery: Scenery;
  readonly testScenery: Scenery;
  /** Probability that a background is that of the object's class; the others are those of other classes. */
  readonly strength: number;
  /** What says nothing of the class: the background of any class, or none. */
  readonly unbiased: 'any' | 'none';
  /** The cast of `test` before new backgrounds, if left out. */
  readonly outOfDistribution?: { readonly cast: Cast; readonly cue: Cue };
}

/** The benchmark. Throws UsageError for counts that are none. */
export function sceneBenchmark(options: SceneBenchmarkOptions): Benchmark {
  const { name, size, canvas, train, validation, test, trainScenery, testScenery } = options;
  const { strength, unbiased, outOfDistribution = { cast: test, cue: 'new' } } = options;
  checkSize(size);
  const common = { size: canvas, seed: size.seed, strength };
  const training = (cast: Cast, cue: Cue, part: string) =>
    composeScenes({ ...common, ...cast, cue, scenery: trainScenery, stream: `${name}/${part}` });
  const testing = (cast: Cast, cue: Cue) =>
    composeScenes({ ...common, ...cast, cue, scenery: testScenery, stream: `${name}/test` });
  return {
    train: training(train, 'own', 'train'),
    validation: training(validation, 'own', 'validation'),
    unbiasedTrain: training(train, unbiased, 'train'),
    unbiasedValidation: training(validation, unbiased, 'validation'),
    tests: {
      biased: testing(test, 'own'),
      unbiased: testing(test, unbiased),
      deceiving: testing(test, 'other'),
      'out-of-distribution': testing(outOfDistribution.cast, outOfDistribution.cue),
    },
    isPaired: outOfDistribution.cast === test,
  };
}
