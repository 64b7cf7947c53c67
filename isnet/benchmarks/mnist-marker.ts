// MNIST with a marker that tells the digit, on black, grey or noise. Black pixels carry no relevance under the epsilon rule,
// so black is the easiest ground for an ISNet; the other two are there to see what remains of that.
import { randomStream } from '../../engine/random-bits.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Digits } from '../data/idx.ts';
import { markerBiasBenchmark, unbiasedTraining } from '../data/marker-bias-benchmark.ts';
import { between, paintAnyGrating, paintPlain } from './backgrounds.ts';
import type { Benchmark, BenchmarkSize } from './benchmark.ts';
import type { Scenery } from './scenes.ts';

/** What is behind digit and marker. */
export type Ground = 'black' | 'grey' | 'noise';

/**
 * The benchmark of `markerBiasBenchmark`, the same images for the same seed. Out of distribution: unmarked before stripes.
 * Throws as `markerBiasBenchmark` does.
 */
export function mnistMarker(
  digits: { train: Digits; test: Digits },
  ground: Ground,
  size: BenchmarkSize,
): Benchmark {
  const options = { ...digits, ...size, background: ground === 'noise' ? 'noise' : 'black' } as const;
  const { train, validation, biased, unbiased, deceiving } = markerBiasBenchmark(options);
  const bareTraining = unbiasedTraining(options);
  const { seed } = size;
  const onGround = (dataset: Dataset, part: string): Dataset =>
    ground === 'grey' ? before(dataset, paintGrey, seed, `mnist-marker-grey/${part}`) : dataset;
  // The choice of test digits does not depend on the ground, nor on how many there are to train with.
  const black = { ...options, background: 'black', trainCount: 1, validationCount: 1 } as const;
  const bare = ground === 'noise' ? markerBiasBenchmark(black).unbiased : unbiased;
  return {
    train: onGround(train, 'train'),
    validation: onGround(validation, 'validation'),
    unbiasedTrain: onGround(bareTraining.train, 'train'),
    unbiasedValidation: onGround(bareTraining.validation, 'validation'),
    tests: {
      biased: onGround(biased, 'test'),
      unbiased: onGround(unbiased, 'test'),
      deceiving: onGround(deceiving, 'test'),
      'out-of-distribution': before(bare, paintAnyGrating, seed, 'mnist-marker/stripes'),
    },
    isPaired: true,
  };
}

type Paint = (canvas: Parameters<Scenery['paint']>[0], random: ReturnType<typeof randomStream>) => void;

const paintGrey: Paint = (canvas, random) => paintPlain(canvas, between(random, 0.1, 0.5));

/** Bright ink on black laid over another ground, as opaque as it is bright. */
function before(dataset: Dataset, paint: Paint, seed: number, stream: string): Dataset {
  const { count, channels, height, width } = dataset;
  const size = channels * height * width;
  const images = new Float32Array(dataset.images.length);
  const mask = new Float32Array(height * width);
  for (let i = 0; i < count; i++) {
    const image = images.subarray(i * size, (i + 1) * size);
    paint({ image, mask, channels, height, width }, randomStream(seed, stream, i));
    for (let p = 0; p < size; p++) {
      const ink = dataset.images[i * size + p];
      image[p] = Math.round(255 * (ink + (1 - ink) * image[p])) / 255;
    }
  }
  return { ...dataset, images };
}
