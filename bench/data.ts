// Random numbers that every device and every peer computes the same: an own generator, so that they stay when the
// engine's changes.
import { sizeOf } from '../engine/shape.ts';
import { cnn, cnnLayers } from './shapes.ts';

/** Uniform numbers in [-scale, scale), fixed by `seed`: the upper bits of a linear congruence (Numerical Recipes, ranqd1). */
export function uniformNumbers(count: number, seed: number, scale = 1): Float32Array {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = ((state >>> 8) / 2 ** 23 - 1) * scale;
  }
  return values;
}

/** A number for a name, to seed by. */
export function seedOf(name: string): number {
  let seed = 0;
  for (const letter of name) seed = (Math.imul(seed, 31) + letter.charCodeAt(0)) >>> 0;
  return seed;
}

/** Start values of the `cnn`, parameters in order: weights uniform as after He et al. 2015, biases 0. */
export const cnnParameters = (): Float32Array[] =>
  cnnLayers.flatMap(({ weight, bias }, i) => {
    const [O] = weight;
    const scale = Math.sqrt((6 * O) / sizeOf(weight));
    return [uniformNumbers(sizeOf(weight), 100 + i, scale), new Float32Array(sizeOf(bias))];
  });

/** The images repeat after so many: a batch of 32 has the losses of one of 2, which the reference can afford. */
export const DISTINCT_COUNT = 2;

/** Images [count, C, H, W] and labels of the `cnn`. `count` should be a multiple of DISTINCT_COUNT. */
export function cnnBatch(count: number): { images: Float32Array; labels: number[] } {
  const pixels = cnn.C * cnn.size ** 2;
  const distinct = uniformNumbers(DISTINCT_COUNT * pixels, 200);
  const images = Float32Array.from({ length: count * pixels }, (_, i) => distinct[i % distinct.length]);
  return {
    images,
    labels: Array.from({ length: count }, (_, n) => ((n % DISTINCT_COUNT) * 3) % cnn.classCount),
  };
}

/** Operand number `index` of a computation, row-major: in [-1, 1). */
export const operand = (index: number, shape: readonly number[]): Float32Array =>
  uniformNumbers(sizeOf(shape), index + 1);
