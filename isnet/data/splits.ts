// What a run is trained and tested on, wherever its images come from.
import type { MarkerBiasBenchmark } from './marker-bias-benchmark.ts';
import { type BatchSource, memorySource } from './source.ts';

/** The images that a model is tested on. */
export interface TestSets {
  /** By name. The first is the one that training resembles: there relevance is measured, and gaps are from there. */
  readonly tests: Readonly<Record<string, BatchSource>>;
  /** All tests show the same images in the same order, so that answers can be compared image by image. */
  readonly isPaired: boolean;
  /** Ends what opens the images; batches that are still awaited are rejected. */
  close(): Promise<void>;
}

/** The images of a run. */
export interface DataSplits extends TestSets {
  readonly train: BatchSource;
  /** The best weights are those with the lowest loss here; without validation images, those of the last epoch. */
  readonly validation: BatchSource | null;
}

/** The five sets of the marker benchmark. */
export function markerSplits({
  train,
  validation,
  biased,
  unbiased,
  deceiving,
}: MarkerBiasBenchmark): DataSplits {
  return {
    train: memorySource(train),
    validation: memorySource(validation),
    tests: {
      biased: memorySource(biased),
      unbiased: memorySource(unbiased),
      deceiving: memorySource(deceiving),
    },
    isPaired: true,
    close: async () => {},
  };
}

/** Numbers of the images that have the same labels, for all labels that occur, in the order in which they do. */
function imagesByLabels({ count, classNames, labels }: LabelledImages): number[][] {
  const K = classNames.length;
  const groups = new Map<string, number[]>();
  for (let n = 0; n < count; n++) {
    const key = labels.subarray(n * K, (n + 1) * K).join();
    const group = groups.get(key);
    if (group) group.push(n);
    else groups.set(key, [n]);
  }
  return [...groups.values()];
}

type LabelledImages = Pick<BatchSource, 'count' | 'classNames' | 'labels'>;

/**
 * Numbers of about `limit` images that stand for all, in order: of those with the same labels the first ones, by their
 * share. Folders hold one class after the other, so the first thousand images may all be of one.
 */
export function representatives(source: LabelledImages, limit: number): number[] {
  if (source.count <= limit) return Array.from({ length: source.count }, (_, n) => n);
  return imagesByLabels(source)
    .flatMap((group) => group.slice(0, Math.max(1, Math.round((limit * group.length) / source.count))))
    .sort((a, b) => a - b);
}

/** Number of the first image of each class that is not that of a class before, for classes that have one. */
export function firstOfEachClass({ count, classNames, labels }: LabelledImages): number[] {
  const K = classNames.length;
  const chosen: number[] = [];
  for (let c = 0; c < K; c++) {
    for (let n = 0; n < count; n++) {
      if (labels[n * K + c] !== 1 || chosen.includes(n)) continue;
      chosen.push(n);
      break;
    }
  }
  return chosen;
}

/** Names of the classes that image n shows: `cat`, `edema + effusion`, `none`. */
export function shownClasses(
  { classNames }: Pick<BatchSource, 'classNames'>,
  row: ArrayLike<number>,
): string {
  return classNames.filter((_, c) => row[c] === 1).join(' + ') || 'none';
}
