// Small pictures for tests: read pixel by pixel, and drawn with letters.
import { expect } from 'vitest';
import type { Picture } from '../lrp/picture.ts';

/** RGB of every pixel; fails on a pixel that is not opaque. */
export function colorsOf({ rgba }: Picture): number[][] {
  return Array.from({ length: rgba.length / 4 }, (_, i) => {
    expect(rgba[4 * i + 3]).toBe(255);
    return [...rgba.subarray(4 * i, 4 * i + 3)];
  });
}

/** A picture of one colour per letter: w white, k black, r red, g green, b blue. */
export function drawn(...lines: string[]): Picture {
  const colors: Record<string, number[]> = {
    w: [255, 255, 255],
    k: [0, 0, 0],
    r: [255, 0, 0],
    g: [0, 255, 0],
    b: [0, 0, 255],
  };
  const rgba = new Uint8ClampedArray([...lines.join('')].flatMap((letter) => [...colors[letter], 255]));
  return { width: lines[0].length, height: lines.length, rgba };
}
