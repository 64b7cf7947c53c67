// Emoji of several artists before photographs. Concepts (a lemon, a tram) are divided among training, validation and tests,
// and so are the artists: what is learnt has to hold for another lemon, and for another hand that drew it.
import { UsageError } from '../../engine/errors.ts';
import { type RandomStream, randomStream } from '../../engine/random-bits.ts';
import { between } from './backgrounds.ts';
import { type Benchmark, type BenchmarkSize, checkSize } from './benchmark.ts';
import { emojiConcepts } from './emoji-concepts.ts';
import { type Photo, photoScenery } from './photos.ts';
import { type Cast, sceneBenchmark } from './scene-benchmark.ts';
import { blend, type Canvas, type Objects } from './scenes.ts';

/** One drawing [side, side, RGBA], alpha not multiplied in, filling its square in one direction. */
export interface Drawing {
  readonly concept: string;
  readonly style: string;
  readonly side: number;
  readonly rgba: Uint8Array;
}

/** Whose drawings are trained on, and whose are kept for the test out of distribution. */
export interface EmojiStyles {
  readonly known: readonly string[];
  readonly heldOut: readonly string[];
}

/** Side of the images. */
const SIDE = 48;
const STRENGTH = 0.95;
/** Sizes of the drawings as shares of the image. */
const [SMALLEST, LARGEST] = [0.65, 0.9];
/** A pixel that is covered less than this counts as background. */
const COVERED = 0.1;

type Part = 'train' | 'validation' | 'test';

/**
 * Photographs and emoji, as many of each class. The tests show concepts that training does not; out of distribution they are
 * drawn by the held-out artists, before the photographs of any class. Throws UsageError as `photoScenery` does, and if a
 * class has no drawing for a part.
 */
export function emojiPhotos(
  drawings: readonly Drawing[],
  photos: readonly Photo[],
  { known, heldOut }: EmojiStyles,
  size: BenchmarkSize,
): Benchmark {
  checkSize(size);
  const { seed } = size;
  const classNames = Object.keys(emojiConcepts);
  const parts = partsOfConcepts(seed);
  const labelOf = new Map(
    Object.values(emojiConcepts).flatMap((names, label) => names.map((name) => [name, label] as const)),
  );
  const cast = (part: Part, styles: readonly string[], count: number): Cast => {
    const chosen = drawings.filter(
      ({ concept, style }) => parts.get(concept) === part && styles.includes(style),
    );
    const labels = chosen.map(({ concept }) => labelOf.get(concept) ?? 0);
    const indices = chooseDrawings(labels, classNames, count, randomStream(seed, `emoji/choose-${part}`));
    return { objects: drawnObjects(chosen, labels, classNames), indices };
  };
  return sceneBenchmark({
    name: 'emoji-photos',
    size,
    canvas: { channels: 3, height: SIDE, width: SIDE },
    train: cast('train', known, size.trainCount),
    validation: cast('validation', known, size.validationCount),
    test: cast('test', known, size.testCount),
    trainScenery: photoScenery(photos, classNames.length, 'left'),
    testScenery: photoScenery(photos, classNames.length, 'right'),
    strength: STRENGTH,
    unbiased: 'any',
    outOfDistribution: { cast: cast('test', heldOut, size.testCount), cue: 'any' },
  });
}

/** Of the concepts of each class, in random order: a quarter for tests, an eighth for validation, the others for training. */
function partsOfConcepts(seed: number): Map<string, Part> {
  const parts = new Map<string, Part>();
  for (const [className, concepts] of Object.entries(emojiConcepts)) {
    const order = randomStream(seed, `emoji/concepts/${className}`).permutation(concepts.length);
    const testCount = Math.round(concepts.length / 4);
    const validationCount = Math.max(1, Math.round(concepts.length / 8));
    order.forEach((n, rank) => {
      const part = rank < testCount ? 'test' : rank < testCount + validationCount ? 'validation' : 'train';
      parts.set(concepts[n], part);
    });
  }
  return parts;
}

/** Classes in turn, a random drawing of the class each time. */
function chooseDrawings(
  labels: readonly number[],
  classNames: readonly string[],
  count: number,
  random: RandomStream,
): Uint32Array {
  const ofClass = classNames.map((name, c) => {
    const own = labels.flatMap((label, n) => (label === c ? [n] : []));
    if (own.length > 0) return own;
    throw new UsageError(`benchmark: there are too few drawings of '${name}'; fetch the emoji once more`);
  });
  return Uint32Array.from({ length: count }, (_, i) => {
    const own = ofClass[i % ofClass.length];
    return own[random.below(own.length)];
  });
}

const drawnObjects = (
  drawings: readonly Drawing[],
  labels: readonly number[],
  classNames: readonly string[],
): Objects => ({ labels, classNames, draw: (canvas, n, random) => draw(canvas, drawings[n], random) });

/** At a random place and size, mirrored half of the time. */
function draw(canvas: Canvas, { side, rgba }: Drawing, random: RandomStream): void {
  const { height, width } = canvas;
  const length = Math.round(between(random, SMALLEST, LARGEST) * Math.min(height, width));
  const top = random.below(height - length + 1);
  const left = random.below(width - length + 1);
  const isMirrored = random.below(2) === 1;
  const color = [0, 0, 0];
  for (let y = 0; y < length; y++) {
    for (let x = 0; x < length; x++) {
      const alpha = meanColor(rgba, side, y, isMirrored ? length - 1 - x : x, length, color);
      if (alpha === 0) continue;
      const pixel = (top + y) * width + left + x;
      blend(canvas, pixel, alpha, color);
      if (alpha > COVERED) canvas.mask[pixel] = 1;
    }
  }
}

/** Mean colour of what falls into pixel (y, x) of a drawing reduced to `length`, weighted by its alpha; returns that. */
function meanColor(
  rgba: Uint8Array,
  side: number,
  y: number,
  x: number,
  length: number,
  color: number[],
): number {
  const top = Math.floor((y * side) / length);
  const bottom = Math.ceil(((y + 1) * side) / length);
  const left = Math.floor((x * side) / length);
  const right = Math.ceil(((x + 1) * side) / length);
  let alphas = 0;
  color.fill(0);
  for (let v = top; v < bottom; v++) {
    for (let u = left; u < right; u++) {
      const at = 4 * (v * side + u);
      const alpha = rgba[at + 3];
      alphas += alpha;
      for (let c = 0; c < 3; c++) color[c] += alpha * rgba[at + c];
    }
  }
  if (alphas === 0) return 0;
  for (let c = 0; c < 3; c++) color[c] /= 255 * alphas;
  return alphas / (255 * (bottom - top) * (right - left));
}
