// The images that a configuration names (Node only): a benchmark's, or the user's own.
import { DataError, UsageError } from '../engine/errors.ts';
import { benchmarkSplits } from './benchmarks/benchmark.ts';
import { loadBenchmark } from './benchmarks/index.ts';
import type { ModelCard } from './checkpoint.ts';
import {
  type BenchmarkDataConfig,
  type DataConfig,
  type ImageDataConfig,
  type MarkerDataConfig,
  parseImageDataConfig,
} from './config.ts';
import type { Dataset } from './data/dataset.ts';
import { openImages, openTestImages } from './data/files/loader.ts';
import { markerBiasBenchmark } from './data/marker-bias-benchmark.ts';
import { withMaskMargin } from './data/mask-margin.ts';
import { loadMnist } from './data/mnist.ts';
import { type BatchSource, toDataset } from './data/source.ts';
import { type DataSplits, markerSplits, type TestSets } from './data/splits.ts';
import { imageDefaults } from './quickstart-config.ts';

/**
 * Opens what a run is trained and tested on; close it at the end. Without test images the validation images are tested on,
 * under the name `validation`. Throws DataError if files are missing or damaged, or if nothing is left to test on;
 * UsageError if a benchmark has fewer images than asked for, or no background left beyond the margin of its masks.
 */
export async function openData(
  config: DataConfig,
  seed: number,
  log?: (line: string) => void,
): Promise<DataSplits> {
  if (config.dataset !== 'images') {
    const data = await openBenchmark(config, seed);
    await checkBackgrounds(data.train, config.maskMargin, log);
    return data;
  }
  return withTests(await openImages(config, { seed, log }), config.source);
}

/** Every image of a benchmark has a mask, unless the margin covers the rest of the image: that is said, or refused. */
async function checkBackgrounds(
  train: BatchSource,
  maskMargin: number,
  log: (line: string) => void = () => {},
): Promise<void> {
  if (!train.mayLackMasks) return;
  const { hasMask, count } = await toDataset(train);
  const fullCount = count - (hasMask?.filter((flag) => flag === 1).length ?? 0);
  const problem = `a maskMargin of ${maskMargin} pixels leaves no background in ${fullCount} of ${count} training images`;
  if (fullCount === count) throw new UsageError(`data: ${problem}; use fewer pixels`);
  log(`warning: ${problem}, which count for classification only`);
}

async function withTests<T extends TestSets>(data: T, source: string): Promise<T> {
  if (Object.keys(data.tests).length > 0) return data;
  await data.close();
  throw new DataError(
    `data: '${source}' has neither test nor validation images; put some aside in the split test`,
  );
}

/** MNIST with a marker has settings of its own, and no test out of distribution: it is what the quickstart has room for. */
async function openBenchmark(
  config: BenchmarkDataConfig | MarkerDataConfig,
  seed: number,
): Promise<DataSplits> {
  if (config.dataset !== 'mnist-marker') {
    const { dataset, ...options } = config;
    return benchmarkSplits(await loadBenchmark(dataset, { ...options, seed }));
  }
  const { folder, maskMargin, dataset: _, ...options } = config;
  const digits = loadMnist(folder === null ? {} : { folder });
  const made = markerBiasBenchmark({ ...digits, ...options, seed });
  const grown = (part: Dataset): Dataset => withMaskMargin(part, maskMargin);
  return markerSplits({
    train: grown(made.train),
    validation: grown(made.validation),
    biased: grown(made.biased),
    unbiased: grown(made.unbiased),
    deceiving: grown(made.deceiving),
  });
}

/** Which test images to open, where they are not those of the training. */
export interface TestDataOptions {
  /** Folder or CSV file of other images. */
  readonly data?: string;
  /** Of benchmarks. */
  readonly testCount?: number;
  /** Of MNIST with a marker. */
  readonly mnistFolder?: string;
  readonly log?: (line: string) => void;
}

/**
 * Opens the test images of a model: those of its data, or others with the same classes. Throws as `openData` does, and
 * UsageError for options of the other kind of data.
 */
export async function openTests(
  { data, seed, input }: Pick<ModelCard, 'data' | 'seed' | 'input'>,
  { data: source, testCount, mnistFolder, log }: TestDataOptions = {},
): Promise<TestSets> {
  const isBenchmark = source === undefined && data.dataset !== 'images';
  if (testCount !== undefined && !isBenchmark) {
    throw new UsageError("evaluate: --test-count is for benchmarks; leave it out for images of one's own");
  }
  if (mnistFolder !== undefined && !(isBenchmark && data.dataset === 'mnist-marker')) {
    throw new UsageError('evaluate: --mnist-folder is for models of mnist-marker; leave it out');
  }
  if (isBenchmark) {
    const folder = data.dataset === 'mnist-marker' ? { folder: mnistFolder ?? data.folder } : {};
    // Training images are not needed here, and the choice of test images does not depend on their number.
    const counts = { trainCount: 1, validationCount: 1, testCount: testCount ?? data.testCount };
    return openBenchmark({ ...data, ...folder, ...counts }, seed);
  }
  const config = imageConfigOf({ data, input }, source);
  const tests = await openTestImages(config, { seed, classNames: input.classNames, log });
  return withTests(tests, config.source);
}

/**
 * Settings by which images become input of a model: those of its training if it was trained on images of one's own. After a
 * benchmark only its size and the margin of its masks are left.
 */
export function imageConfigOf(
  { data, input: { height, width, channels } }: Pick<ModelCard, 'data' | 'input'>,
  source?: string,
): ImageDataConfig {
  if (data.dataset === 'images') return source === undefined ? data : { ...data, source };
  const { maskMargin } = data;
  return parseImageDataConfig({ ...imageDefaults, source, height, width, channels, maskMargin });
}
