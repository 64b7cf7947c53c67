// Made-up material for the benchmarks, in which everything that is shown can be read off its colour.

import { randomStream } from '../engine/random-bits.ts';
import type { Drawing } from '../isnet/benchmarks/emoji.ts';
import { emojiConcepts } from '../isnet/benchmarks/emoji-concepts.ts';
import type { Photo } from '../isnet/benchmarks/photos.ts';
import type { Digits } from '../isnet/data/idx.ts';

/** Garments of a kind: a bright rectangle each, none like another, with a hole as large as a handle. */
export function madeUpGarments(perClass: number, seed: number): Digits {
  const [height, width] = [28, 28];
  const count = 10 * perClass;
  const pixels = new Uint8Array(count * height * width);
  const labels = Uint8Array.from({ length: count }, (_, n) => n % 10);
  for (let n = 0; n < count; n++) {
    const random = randomStream(seed, 'garment', n);
    const [top, left] = [4 + random.below(4), 4 + random.below(4)];
    for (let y = top; y < 26; y++) {
      for (let x = left; x < 24; x++) {
        const isHole = y >= 12 && y < 17 && x >= 12 && x < 17;
        pixels[(n * height + y) * width + x] = isHole ? 0 : 60 + random.below(190);
      }
    }
  }
  return { pixels, labels, count, height, width };
}

/** Photographs whose red is ten times their number; blue tells the half: 0 left, 200 right. */
export const madeUpPhotos: readonly Photo[] = Array.from({ length: 12 }, (_, n) => {
  const [height, width] = [60, 100];
  const rgb = new Uint8Array(3 * height * width);
  for (let i = 0; i < height * width; i++) {
    rgb[3 * i] = 10 * n;
    rgb[3 * i + 2] = i % width < width / 2 ? 0 : 200;
  }
  return { name: `photo ${n}`, height, width, rgb };
});

/** Number and half of a photograph, from a colour in 0..1. */
export const photoOf = (red: number, blue: number): { photo: number; half: string } => ({
  photo: Math.round((255 * red) / 10),
  half: blue > 0.5 ? 'right' : 'left',
});

/** Names of made-up artists. */
export const madeUpStyles = { known: ['a', 'b'], heldOut: ['c'] } as const;

const concepts = Object.values(emojiConcepts).flat();

/** Discs whose colour is their concept (green and blue) and their artist (red: 255, 254, 253). */
export const madeUpDrawings: readonly Drawing[] = [...madeUpStyles.known, ...madeUpStyles.heldOut].flatMap(
  (style, s) =>
    concepts.map((concept, n) => {
      const side = 24;
      const rgba = new Uint8Array(4 * side * side);
      for (let i = 0; i < side * side; i++) {
        const isDisc = Math.hypot((i % side) - 11.5, Math.floor(i / side) - 11.5) < 12;
        rgba.set([255 - s, n >> 4, 16 * (n & 15), isDisc ? 255 : 0], 4 * i);
      }
      return { concept, style, side, rgba };
    }),
);

/** Concept and artist of a colour of `madeUpDrawings`, in 0..1. */
export const drawingOf = (color: readonly number[]): { concept: string; style: string } => {
  const [red, green, blue] = color.map((value) => Math.round(255 * value));
  return { style: 'abc'[255 - red], concept: concepts[16 * green + blue / 16] };
};
