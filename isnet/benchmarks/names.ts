// What the benchmarks are called: apart from the catalogue, which needs Node to read files, because configurations name them
// in browsers, too.

/** From the easiest upwards. */
export const benchmarkNames = [
  'mnist-marker',
  'mnist-marker-grey',
  'mnist-marker-noise',
  'fashion-marker',
  'fashion-gratings',
  'fashion-photos',
  'emoji-photos',
] as const;

/** One of them. */
export type BenchmarkName = (typeof benchmarkNames)[number];
