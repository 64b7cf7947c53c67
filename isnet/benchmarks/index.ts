// The catalogue of background-bias benchmarks (Node only), from the easiest upwards: what they are called, what they are made
// of, and how to get them.
import { unknownName } from '../../engine/nearest-name.ts';
import { withMaskMargin } from '../data/mask-margin.ts';
import { benchmarkDefaults } from '../quickstart-config.ts';
import { type Benchmark, type BenchmarkSize, mapParts } from './benchmark.ts';
import { emojiPhotos } from './emoji.ts';
import { fashionGratings, fashionMarker, fashionPhotos } from './fashion.ts';
import type { FindOptions } from './files/find.ts';
import { emojiStyles, loadDigits, loadDrawings, loadGarments, loadPhotos } from './files/load-sources.ts';
import type { DataSourceName } from './files/sources.ts';
import { mnistMarker } from './mnist-marker.ts';
import type { BenchmarkName } from './names.ts';

/** A benchmark before it is made. */
export interface BenchmarkEntry {
  readonly title: string;
  /** What gives the class away in training, and how often. */
  readonly bias: string;
  /** What the test out of distribution shows. */
  readonly outOfDistribution: string;
  /** What it is made of: names in `dataSources`, where licences are. */
  readonly sources: readonly DataSourceName[];
  /** Of images that suit two cores without a GPU. */
  readonly defaults: Omit<BenchmarkSize, 'seed'>;
  make(size: BenchmarkSize, options: FindOptions): Promise<Benchmark>;
}

/**
 * The masks of garments and emoji are their outlines, which neurons at the edge see beyond: half the 5x5 kernel of the small
 * networks is added. MNIST's are boxes, which have room.
 */
const OUTLINE_MARGIN = 2;
const withRoom = (benchmark: Benchmark): Benchmark =>
  mapParts(benchmark, (part) => withMaskMargin(part, OUTLINE_MARGIN));

const onGround = (ground: 'black' | 'grey' | 'noise'): BenchmarkEntry => ({
  title: `MNIST with a marker on ${ground}`,
  bias: 'a white square at the place of the class, always',
  outOfDistribution: 'no marker, before stripes',
  sources: ['mnist'],
  defaults: benchmarkDefaults,
  make: async (size, options) => mnistMarker(loadDigits(options), ground, size),
});

const entries: Readonly<Record<BenchmarkName, BenchmarkEntry>> = {
  'mnist-marker': onGround('black'),
  'mnist-marker-grey': onGround('grey'),
  'mnist-marker-noise': onGround('noise'),
  'fashion-marker': {
    title: 'Fashion-MNIST with a marker',
    bias: 'a white square at the place of the class, always',
    outOfDistribution: 'no marker, before stripes',
    sources: ['fashion-mnist'],
    defaults: benchmarkDefaults,
    make: async (size, options) => withRoom(fashionMarker(await loadGarments(options), size)),
  },
  'fashion-gratings': {
    title: 'Fashion-MNIST before stripes',
    bias: 'direction and width of the stripes, 95 %',
    outOfDistribution: 'blotches',
    sources: ['fashion-mnist'],
    defaults: benchmarkDefaults,
    make: async (size, options) => withRoom(fashionGratings(await loadGarments(options), size)),
  },
  'fashion-photos': {
    title: 'Fashion-MNIST before photographs',
    bias: 'which photograph the patch is from, 95 %',
    outOfDistribution: 'patches of other photographs',
    sources: ['fashion-mnist', 'photos'],
    defaults: benchmarkDefaults,
    make: async (size, options) =>
      withRoom(fashionPhotos(await loadGarments(options), await loadPhotos(options), size)),
  },
  'emoji-photos': {
    title: 'Emoji of several artists before photographs',
    bias: 'which photograph the patch is from, 95 %',
    outOfDistribution: 'artists that training never shows',
    sources: ['photos', ...emojiStyles.known, ...emojiStyles.heldOut],
    defaults: benchmarkDefaults,
    make: async (size, options) =>
      withRoom(emojiPhotos(await loadDrawings(options), await loadPhotos(options), emojiStyles, size)),
  },
};

/** All benchmarks by name, from the easiest upwards. */
export const benchmarks: ReadonlyMap<string, BenchmarkEntry> = new Map(Object.entries(entries));

/** The benchmark of this name. Throws UsageError, with the nearest name, if there is none. */
export function benchmarkNamed(name: string): BenchmarkEntry {
  const entry = benchmarks.get(name);
  if (entry) return entry;
  throw unknownName('benchmark: there is no', name, [...benchmarks.keys()]);
}

/** Which draw of a benchmark, and how tight its masks are. */
export interface LoadBenchmarkOptions extends Partial<BenchmarkSize>, FindOptions {
  /** Pixels that masks are grown by, beyond those that the benchmark has; see `withMargin`. None if left out. */
  readonly maskMargin?: number;
}

/**
 * Makes a benchmark: the same for the same counts and seed (0 if left out). Throws UsageError for an unknown name, for
 * counts that are none or too many, and for a margin that is no whole number; rejects with DataError, with the command that
 * fetches it, if a source is missing.
 */
export async function loadBenchmark(
  name: string,
  { folder, maskMargin = 0, ...size }: LoadBenchmarkOptions = {},
): Promise<Benchmark> {
  const entry = benchmarkNamed(name);
  const found = folder === undefined ? {} : { folder };
  const benchmark = await entry.make({ ...entry.defaults, seed: 0, ...size }, found);
  return mapParts(benchmark, (part) => withMaskMargin(part, maskMargin));
}
