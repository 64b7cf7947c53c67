// The benchmarks that show Fashion-MNIST: with a marker, before stripes, and before photographs.
import { UsageError } from '../../engine/errors.ts';
import type { Digits } from '../data/idx.ts';
import { markerPlaces } from '../data/marker-bias.ts';
import { chooseBalanced } from '../data/marker-bias-benchmark.ts';
import { addNoise, between, paintAnyGrating, paintBlotches, paintGrating } from './backgrounds.ts';
import type { Benchmark, BenchmarkSize } from './benchmark.ts';
import { checkSize } from './benchmark.ts';
import { garments } from './garments.ts';
import { type Photo, photoScenery } from './photos.ts';
import { type Cast, sceneBenchmark } from './scene-benchmark.ts';
import type { Scenery } from './scenes.ts';

/** Training and test pictures of Fashion-MNIST. */
export interface Garments {
  readonly train: Digits;
  readonly test: Digits;
}

/** Random garments for the three parts, as many of each class as there are. Throws UsageError if there are too few. */
function casts(
  { train, test }: Garments,
  shift: number,
  size: BenchmarkSize,
): Record<'train' | 'validation' | 'test', Cast> {
  checkSize(size);
  const { trainCount, validationCount, testCount, seed } = size;
  checkAvailable('trainCount and validationCount', trainCount + validationCount, train.count, 'training');
  checkAvailable('testCount', testCount, test.count, 'test');
  const chosen = chooseBalanced(train.labels, trainCount + validationCount, seed, 'fashion/choose-train');
  const trainObjects = garments(train, { shift });
  return {
    train: { objects: trainObjects, indices: chosen.subarray(validationCount) },
    validation: { objects: trainObjects, indices: chosen.subarray(0, validationCount) },
    test: {
      objects: garments(test, { shift }),
      indices: chooseBalanced(test.labels, testCount, seed, 'fashion/choose-test'),
    },
  };
}

function checkAvailable(names: string, wanted: number, available: number, kind: string): void {
  if (wanted <= available) return;
  throw new UsageError(
    `benchmark: ${names} ask for ${wanted} of ${available} ${kind} garments; ask for fewer`,
  );
}

// A garment fills its 28 pixels; the frame has room for the marker and for the margin of the masks between the two, and can be
// halved three times.
const MARKED_SIDE = 40;
const MARKER_SIZE = 3;

/** A white square on black at the place of the class. Out of distribution: before stripes. Throws UsageError as `casts`. */
export function fashionMarker(data: Garments, size: BenchmarkSize): Benchmark {
  const places = markerPlaces(MARKED_SIDE, MARKED_SIDE, MARKER_SIZE);
  const scenery: Scenery = {
    paint(canvas, shown, random) {
      if (shown === 'new') paintAnyGrating(canvas, random);
      if (typeof shown === 'string') return;
      const { y, x } = places[shown];
      for (let row = y; row < y + MARKER_SIZE; row++) {
        canvas.image.fill(1, row * canvas.width + x, row * canvas.width + x + MARKER_SIZE);
      }
    },
  };
  return sceneBenchmark({
    name: 'fashion-marker',
    size,
    canvas: { channels: 1, height: MARKED_SIDE, width: MARKED_SIDE },
    ...casts(data, 0, size),
    trainScenery: scenery,
    testScenery: scenery,
    strength: 1,
    unbiased: 'none',
  });
}

/** Share of the training images whose background is that of their class, where it fills the image. */
const STRENGTH = 0.95;
const SIDE = 32;
const SHIFT = 2;

// Five directions, wide and narrow; the directions are 36 degrees apart and vary by 6 either way.
const DIRECTIONS = 5;
const PERIODS = [9, 4.5];
const NOISE = 0.08;

const stripes: Scenery = {
  paint(canvas, shown, random) {
    if (typeof shown === 'string') paintBlotches(canvas, { cell: 6, low: 0.1, high: 0.9 }, random);
    else {
      const turn = (shown % DIRECTIONS) + between(random, -1 / 6, 1 / 6);
      paintGrating(canvas, {
        angle: (Math.PI / DIRECTIONS) * turn,
        period: PERIODS[Math.floor(shown / DIRECTIONS)] * between(random, 0.9, 1.1),
        phase: random.uniform(),
        middle: between(random, 0.4, 0.6),
        amplitude: between(random, 0.15, 0.35),
      });
    }
    addNoise(canvas, NOISE, random);
  },
};

/** Stripes whose direction and width are those of the class. Out of distribution: blotches. Throws UsageError as `casts`. */
export function fashionGratings(data: Garments, size: BenchmarkSize): Benchmark {
  return sceneBenchmark({
    name: 'fashion-gratings',
    size,
    canvas: { channels: 1, height: SIDE, width: SIDE },
    ...casts(data, SHIFT, size),
    trainScenery: stripes,
    testScenery: stripes,
    strength: STRENGTH,
    unbiased: 'any',
  });
}

/**
 * Patches of the photograph of the class: training from its left half, tests from its right half. Out of distribution:
 * patches of other photographs. Throws UsageError as `casts` and `photoScenery`.
 */
export function fashionPhotos(data: Garments, photos: readonly Photo[], size: BenchmarkSize): Benchmark {
  return sceneBenchmark({
    name: 'fashion-photos',
    size,
    canvas: { channels: 3, height: SIDE, width: SIDE },
    ...casts(data, SHIFT, size),
    trainScenery: photoScenery(photos, 10, 'left'),
    testScenery: photoScenery(photos, 10, 'right'),
    strength: STRENGTH,
    unbiased: 'any',
  });
}
