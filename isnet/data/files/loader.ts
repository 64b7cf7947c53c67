// Images on disk as sources of batches: threads work a few batches ahead of the device, and memory holds those few and
// the cache, however many images there are.
import type { ImageDataConfig } from '../../config.ts';
import {
  arePaired,
  maskCountOf,
  type Sample,
  type SampleList,
  soundList,
  testName,
  testSplitsOf,
} from '../sample-list.ts';
import { type BatchSource, checkIndices, type EpochOptions, type HostBatch, ordersOf } from '../source.ts';
import type { DataSplits, TestSets } from '../splits.ts';
import { listSamples } from './list-samples.ts';
import type { SampleNote } from './prepare.ts';
import { defaultWorkerCount, WorkerPool } from './worker-pool.ts';

export interface OpenImagesOptions {
  /** Fixes the variations; the order of images takes its own seed, in `epoch`. */
  readonly seed: number;
  /** Told once about masks with soft edges, and once about masks that are lost in the frame. */
  readonly log?: (line: string) => void;
}

/**
 * Opens a data set for training. Its list is checked here, its pictures when they come up: `isnet data check` opens all
 * of them beforehand. Throws DataError for the first error of the list.
 */
export async function openImages(config: ImageDataConfig, options: OpenImagesOptions): Promise<DataSplits> {
  const list = soundList(await listSamples(config.source));
  const opened = await openSplits(list, config, options);
  const validation = list.samples.some(({ split }) => split === 'val') ? opened.split('val') : null;
  return { train: opened.split('train'), validation, ...opened.tests };
}

/** Opens the tests of a data set, which need not have training images, for a model with these classes. Throws as `openImages`. */
export async function openTestImages(
  config: ImageDataConfig,
  { classNames, ...options }: OpenImagesOptions & { readonly classNames: readonly string[] },
): Promise<TestSets> {
  const list = soundList(await listSamples(config.source, { classNames }));
  return (await openSplits(list, config, options)).tests;
}

interface OpenedSplits {
  readonly split: (name: string) => BatchSource;
  readonly tests: TestSets;
}

async function openSplits(
  list: SampleList,
  config: ImageDataConfig,
  { seed, log }: OpenImagesOptions,
): Promise<OpenedSplits> {
  const { height, width, channels, resize, cropMargin, maskMargin, emptyMasks, augment } = config;
  const maskCount = maskCountOf(list);
  const pool = await WorkerPool.open(
    {
      samples: list.samples.map(({ file, mask }) => ({ file, mask })),
      frame: { channels, resize, height: height + cropMargin, width: width + cropMargin },
      classNames: list.classNames,
      augmentation: augment,
      cacheBytes: config.cacheMegabytes * 2 ** 20,
      seed,
      height,
      width,
      maskMargin,
      emptyMasks,
      maskCount,
    },
    config.workers ?? defaultWorkerCount(),
  );
  const report = reporterOf(log);
  const split = (name: string): BatchSource =>
    new ImageSource({ list, split: name, pool, config, maskCount, report });
  const tests = testSplitsOf(list.samples);
  return {
    split,
    tests: {
      tests: Object.fromEntries(tests.map((name) => [testName(name), split(name)])),
      isPaired: arePaired(list.samples, tests),
      close: () => pool.close(),
    },
  };
}

type Report = (note: SampleNote) => void;

/** Says the first note of each kind: a thousand masks of one origin share their faults. */
function reporterOf(log: OpenImagesOptions['log']): Report {
  const said = new Set<SampleNote['kind']>();
  return ({ kind, text }) => {
    if (said.has(kind)) return;
    said.add(kind);
    log?.(`warning: ${text}`);
  };
}

interface SplitOptions {
  readonly list: SampleList;
  readonly split: string;
  readonly pool: WorkerPool;
  readonly config: ImageDataConfig;
  readonly maskCount: number;
  readonly report: Report;
}

/** One split of a data set on disk. */
class ImageSource implements BatchSource {
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classNames: readonly string[];
  readonly isMultiLabel: boolean;
  readonly maskCount: number;
  /** Whether a picture has a mask is seen when it is opened. */
  readonly mayLackMasks = true;
  readonly #samples: readonly Sample[];
  /** Numbers of the samples in the whole list, which is how the threads know them. */
  readonly #numbers: Uint32Array;
  readonly #pool: WorkerPool;
  readonly #prefetch: number;
  readonly #report: Report;

  constructor({ list, split, pool, config, maskCount, report }: SplitOptions) {
    const chosen = [...list.samples.entries()].filter(([, sample]) => sample.split === split);
    this.#samples = chosen.map(([, sample]) => sample);
    this.#numbers = Uint32Array.from(chosen, ([number]) => number);
    this.count = chosen.length;
    this.channels = config.channels;
    this.height = config.height;
    this.width = config.width;
    this.classNames = list.classNames;
    this.isMultiLabel = list.isMultiLabel;
    this.maskCount = maskCount;
    this.#pool = pool;
    this.#prefetch = config.prefetch;
    this.#report = report;
  }

  get labels(): Int8Array {
    return Int8Array.from(this.#samples.flatMap(({ labels }) => labels));
  }

  async batch(indices: ArrayLike<number>): Promise<HostBatch> {
    checkIndices(this, indices);
    return this.#load(Uint32Array.from(indices), 0, false);
  }

  epoch(options: EpochOptions): AsyncIterable<HostBatch> {
    return this.#ahead(ordersOf(this, options), options);
  }

  async *#ahead(
    orders: readonly Uint32Array[],
    { epoch = 0, isAugmented = false }: EpochOptions,
  ): AsyncGenerator<HostBatch, void> {
    const coming: Promise<HostBatch>[] = [];
    for (let next = 0; next < orders.length || coming.length > 0; ) {
      while (next < orders.length && coming.length <= this.#prefetch) {
        const batch = this.#load(orders[next++], epoch, isAugmented);
        // Whoever awaits it gets the error; until then it is nobody's.
        batch.catch(() => undefined);
        coming.push(batch);
      }
      yield (await coming.shift()) as HostBatch;
    }
  }

  async #load(indices: Uint32Array, epoch: number, isAugmented: boolean): Promise<HostBatch> {
    const numbers = indices.map((n) => this.#numbers[n]);
    const parts = await this.#pool.load(numbers, epoch, isAugmented);
    const count = indices.length;
    const imageSize = this.channels * this.height * this.width;
    const maskSize = this.maskCount * this.height * this.width;
    const images = new Float32Array(count * imageSize);
    const masks = new Float32Array(count * maskSize);
    const hasMask = new Float32Array(count);
    for (const { places, loaded } of parts) {
      for (const note of loaded.notes) this.#report(note);
      places.forEach((n, k) => {
        images.set(loaded.images.subarray(k * imageSize, (k + 1) * imageSize), n * imageSize);
        masks.set(loaded.masks.subarray(k * maskSize, (k + 1) * maskSize), n * maskSize);
        hasMask[n] = loaded.hasMask[k];
      });
    }
    return { count, images, masks, hasMask, ...this.#labels(indices), indices };
  }

  #labels(indices: Uint32Array): Pick<HostBatch, 'targets' | 'known'> {
    const classCount = this.classNames.length;
    const targets = new Float32Array(indices.length * classCount);
    const known = new Float32Array(indices.length * classCount);
    indices.forEach((index, n) => {
      this.#samples[index].labels.forEach((label, c) => {
        targets[n * classCount + c] = label === 1 ? 1 : 0;
        known[n * classCount + c] = label === -1 ? 0 : 1;
      });
    });
    return { targets, known };
  }
}
