// The images that a configuration names (Node only): MNIST with a marker, or the user's own.
import { DataError, UsageError } from '../engine/errors.ts';
import type { ModelCard } from './checkpoint.ts';
import {
  type DataConfig,
  type ImageDataConfig,
  type MarkerDataConfig,
  parseImageDataConfig,
} from './config.ts';
import { openImages, openTestImages } from './data/files/loader.ts';
import { markerBiasBenchmark } from './data/marker-bias-benchmark.ts';
import { loadMnist } from './data/mnist.ts';
import { type DataSplits, markerSplits, type TestSets } from './data/splits.ts';
import { imageDefaults } from './quickstart-config.ts';

/**
 * Opens what a run is trained and tested on; close it at the end. Without test images the validation images are tested on,
 * under the name `validation`. Throws DataError if files are missing or damaged, or if nothing is left to test on.
 */
export async function openData(
  config: DataConfig,
  seed: number,
  log?: (line: string) => void,
): Promise<DataSplits> {
  if (config.dataset === 'mnist-marker') return openMarker(config, seed);
  return withTests(await openImages(config, { seed, log }), config.source);
}

async function withTests<T extends TestSets>(data: T, source: string): Promise<T> {
  if (Object.keys(data.tests).length > 0) return data;
  await data.close();
  throw new DataError(
    `data: '${source}' has neither test nor validation images; put some aside in the split test`,
  );
}

function openMarker({ folder, dataset: _, ...options }: MarkerDataConfig, seed: number): DataSplits {
  const digits = loadMnist(folder === null ? {} : { folder });
  return markerSplits(markerBiasBenchmark({ ...digits, ...options, seed }));
}

/** Which test images to open, where they are not those of the training. */
export interface TestDataOptions {
  /** Folder or CSV file of other images. */
  readonly data?: string;
  readonly testCount?: number;
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
  if (source === undefined && data.dataset === 'mnist-marker') {
    const chosen = { testCount: testCount ?? data.testCount, folder: mnistFolder ?? data.folder };
    // Training images are not needed here, and the choice of test images does not depend on their number.
    return openMarker({ ...data, ...chosen, trainCount: 1, validationCount: 1 }, seed);
  }
  if (testCount !== undefined || mnistFolder !== undefined) {
    const option = testCount === undefined ? '--mnist-folder' : '--test-count';
    throw new UsageError(
      `evaluate: ${option} is for MNIST with a marker; leave it out for images of one's own`,
    );
  }
  const config = imageConfigOf({ data, input }, source);
  const tests = await openTestImages(config, { seed, classNames: input.classNames, log });
  return withTests(tests, config.source);
}

/** Settings by which images become input of a model: those of its training if it was trained on images of one's own. */
export function imageConfigOf(
  { data, input: { height, width, channels } }: Pick<ModelCard, 'data' | 'input'>,
  source?: string,
): ImageDataConfig {
  if (data.dataset === 'images') return source === undefined ? data : { ...data, source };
  return parseImageDataConfig({ ...imageDefaults, source, height, width, channels });
}
