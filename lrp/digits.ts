// Numbers on pictures without a font file or a canvas, so that a scale reads the same in Node and in a browser.
import { UsageError } from '../engine/errors.ts';
import type { Rgb } from './color-maps.ts';
import type { Picture } from './picture.ts';

/** Rows of each letter from top to bottom, 3 x 5 dots, '#' is ink. */
export const glyphs: Readonly<Record<string, readonly string[]>> = {
  '0': ['###', '#.#', '#.#', '#.#', '###'],
  '1': ['.#.', '##.', '.#.', '.#.', '###'],
  '2': ['###', '..#', '###', '#..', '###'],
  '3': ['###', '..#', '###', '..#', '###'],
  '4': ['#.#', '#.#', '###', '..#', '..#'],
  '5': ['###', '#..', '###', '..#', '###'],
  '6': ['###', '#..', '###', '#.#', '###'],
  '7': ['###', '..#', '..#', '..#', '..#'],
  '8': ['###', '#.#', '###', '#.#', '###'],
  '9': ['###', '#.#', '###', '..#', '###'],
  '.': ['...', '...', '...', '...', '.#.'],
  '-': ['...', '...', '###', '...', '...'],
  '+': ['...', '.#.', '###', '.#.', '...'],
  e: ['...', '##.', '###', '#..', '.##'],
  ' ': ['...', '...', '...', '...', '...'],
};

/** Where and how `drawText` writes: x and y are the top left pixel of the first letter. */
export interface TextOptions {
  readonly x: number;
  readonly y: number;
  /** Pixels per dot and side, 1 if left out. */
  readonly scale?: number;
  /** Black if left out. */
  readonly color?: Rgb;
}

/** A rectangle of pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Width and height in pixels of one line of text, with one dot between letters. Throws UsageError for a bad scale. */
export function textSize(text: string, scale = 1): { width: number; height: number } {
  if (!Number.isInteger(scale) || scale < 1) {
    throw new UsageError(`drawText: scale is ${scale}; pass a whole number from 1 up`);
  }
  return { width: scale * Math.max(0, 4 * text.length - 1), height: 5 * scale };
}

/**
 * The picture with one line of text on it. Throws UsageError for a letter without a glyph, and for text that would leave
 * the picture: half a number is a wrong number.
 */
export function drawText(picture: Picture, text: string, options: TextOptions): Picture {
  const { x, y, scale = 1, color = [0, 0, 0] } = options;
  const { width, height } = textSize(text, scale);
  const isPlaced = [x, y].every((n) => Number.isInteger(n) && n >= 0);
  if (!isPlaced || x + width > picture.width || y + height > picture.height) {
    throw new UsageError(
      `drawText: '${text}' is ${width} x ${height} and does not fit at (${x}, ${y}) on a picture of ${picture.width} x ${picture.height}; move it, or lower the scale`,
    );
  }
  const out = { ...picture, rgba: picture.rgba.slice() };
  [...text].forEach((letter, i) => {
    if (!Object.hasOwn(glyphs, letter)) {
      throw new UsageError(
        `drawText: there is no glyph for '${letter}' in '${text}'; use only ${Object.keys(glyphs).join('')}`,
      );
    }
    glyphs[letter].forEach((dots, row) => {
      for (let column = 0; column < 3; column++) {
        if (dots[column] !== '#') continue;
        const left = x + scale * (4 * i + column);
        fillBox(out, { x: left, y: y + scale * row, width: scale, height: scale }, color);
      }
    });
  });
  return out;
}

/** A finite number in three digits, with an exponent below 1e-3 and from 1e5 on: all letters have glyphs. */
export function shortNumber(value: number): string {
  const rounded = Number(value.toPrecision(3));
  const size = Math.abs(rounded);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? rounded.toExponential() : String(rounded);
}

/** White paper, for `fillBox` and `drawText`. */
export function paper(width: number, height: number): Picture {
  return { width, height, rgba: new Uint8ClampedArray(4 * width * height).fill(255) };
}

/** Fills a rectangle of a picture in place: only for pictures that the caller has just made. */
export function fillBox(picture: Picture, box: Box, color: Rgb): void {
  for (let y = box.y; y < box.y + box.height; y++) {
    for (let x = box.x; x < box.x + box.width; x++) {
      picture.rgba.set([...color, 255], 4 * (y * picture.width + x));
    }
  }
}
