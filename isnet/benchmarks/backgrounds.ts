// Backgrounds that a program draws: nothing to download, and every pixel of them is known.
import type { RandomStream } from '../../engine/random-bits.ts';
import type { Canvas } from './scenes.ts';

/** Stripes: a sine wave across the image. Lengths are in pixels, the angle is in radians. */
export interface Grating {
  readonly angle: number;
  readonly period: number;
  /** In periods. */
  readonly phase: number;
  readonly middle: number;
  /** Of the wave, from its middle. */
  readonly amplitude: number;
}

/** Adds the same grey to all channels of each pixel. */
function paintGrey({ image, height, width }: Canvas, grey: (y: number, x: number) => number): void {
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const value = grey(y, x);
      for (let i = p; i < image.length; i += height * width) image[i] = value;
    }
  }
}

/** Stripes all over the image. */
export function paintGrating(canvas: Canvas, { angle, period, phase, middle, amplitude }: Grating): void {
  const [stepX, stepY] = [Math.cos(angle) / period, Math.sin(angle) / period];
  paintGrey(canvas, (y, x) => middle + amplitude * Math.sin(2 * Math.PI * (phase + x * stepX + y * stepY)));
}

/** One grey all over the image. */
export const paintPlain = (canvas: Canvas, grey: number): void => paintGrey(canvas, () => grey);

/** Soft blotches: greys on a coarse grid of cells, and smooth between them. */
export function paintBlotches(
  canvas: Canvas,
  { cell, low, high }: { readonly cell: number; readonly low: number; readonly high: number },
  random: RandomStream,
): void {
  const columns = Math.ceil(canvas.width / cell) + 2;
  const rows = Math.ceil(canvas.height / cell) + 2;
  const grid = Float32Array.from({ length: rows * columns }, () => low + (high - low) * random.uniform());
  const [shiftY, shiftX] = [random.uniform(), random.uniform()];
  const smooth = (t: number): number => t * t * (3 - 2 * t);
  paintGrey(canvas, (y, x) => {
    const [v, u] = [y / cell + shiftY, x / cell + shiftX];
    const [row, column] = [Math.floor(v), Math.floor(u)];
    const [s, t] = [smooth(v - row), smooth(u - column)];
    const at = row * columns + column;
    const above = grid[at] + t * (grid[at + 1] - grid[at]);
    const below = grid[at + columns] + t * (grid[at + columns + 1] - grid[at + columns]);
    return above + s * (below - above);
  });
}

/** Adds noise to every pixel: uniform, up to `amplitude` either way. */
export function addNoise({ image }: Canvas, amplitude: number, random: RandomStream): void {
  let word = 0;
  for (let i = 0; i < image.length; i++) {
    word = i % 4 === 0 ? random.word() : word >>> 8;
    image[i] += amplitude * ((2 * (word & 0xff)) / 255 - 1);
  }
}

/** Between `low` and `high`, each value equally likely. */
export const between = (random: RandomStream, low: number, high: number): number =>
  low + (high - low) * random.uniform();

/** Stripes of any direction and width: what sets with other backgrounds never show in training. */
export function paintAnyGrating(canvas: Canvas, random: RandomStream): void {
  paintGrating(canvas, {
    angle: Math.PI * random.uniform(),
    period: between(random, 4, 12),
    phase: random.uniform(),
    middle: between(random, 0.2, 0.4),
    amplitude: between(random, 0.1, 0.2),
  });
}
