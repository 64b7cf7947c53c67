// Pictures as plain RGBA bytes, in Node and in a browser's ImageData alike, and the few things reports do with them.
// There is no text: whoever shows a mosaic names its columns in the page or the line beside it.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { notFiniteColor, type Rgb } from './color-maps.ts';

/** Pixels row by row, four bytes each. The functions here return new pictures and leave their arguments alone. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8ClampedArray<ArrayBuffer>;
}

/** Size [C, H, W] of an input and the values that are drawn black and white. */
export interface ImageOptions {
  readonly height: number;
  readonly width: number;
  /** 1 if left out. */
  readonly channels?: number;
  /** 0 if left out. */
  readonly low?: number;
  /** 1 if left out. */
  readonly high?: number;
}

/**
 * Network input [C, H, W] in shades of grey, the mean of its channels; NaN and infinity get `notFiniteColor`. Throws
 * ShapeError if the sizes do not fit.
 */
export function grayImage(pixels: ArrayLike<number>, options: ImageOptions): Picture {
  const { channels = 1 } = options;
  checkPixels('grayImage', pixels, channels, options);
  const pixelCount = options.height * options.width;
  return paint(options, (i, shade) => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += pixels[c * pixelCount + i];
    const gray = shade(sum / channels);
    return [gray, gray, gray];
  });
}

/**
 * Network input [3, H, W] in its own colours; a pixel with NaN or infinity gets `notFiniteColor`. Throws ShapeError if the
 * sizes do not fit.
 */
export function rgbImage(pixels: ArrayLike<number>, options: Omit<ImageOptions, 'channels'>): Picture {
  checkPixels('rgbImage', pixels, 3, options);
  const pixelCount = options.height * options.width;
  return paint(options, (i, shade) => [
    shade(pixels[i]),
    shade(pixels[pixelCount + i]),
    shade(pixels[2 * pixelCount + i]),
  ]);
}

/**
 * Every pixel as a square of `factor` x `factor`, without smoothing. Throws UsageError unless factor is a whole number from
 * 1 up.
 */
export function upscale(picture: Picture, factor: number): Picture {
  checkFactor('upscale', factor);
  const out = blank(picture.width * factor, picture.height * factor, [0, 0, 0]);
  for (let y = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++) {
      const i = Math.floor(y / factor) * picture.width + Math.floor(x / factor);
      out.rgba.set(picture.rgba.subarray(4 * i, 4 * i + 4), 4 * (y * out.width + x));
    }
  }
  return out;
}

/** How `maskContour` draws. */
export interface ContourOptions {
  /** Magenta if left out: it stands out from every colour map and from photographs. */
  readonly color?: Rgb;
  /** Picture pixels per mask pixel and side, 1 if left out: a contour on an upscaled picture is a thin line. */
  readonly factor?: number;
}

/**
 * The picture with the outline of a mask [H, W] (inside = not 0) drawn on the innermost pixels of the mask, the picture's
 * edge included. Throws ShapeError if mask times `factor` is not the size of the picture.
 */
export function maskContour(
  picture: Picture,
  mask: ArrayLike<number>,
  options: ContourOptions = {},
): Picture {
  const { color = [255, 0, 255], factor = 1 } = options;
  checkFactor('maskContour', factor);
  const { width, height } = picture;
  const columns = width / factor;
  if (width % factor !== 0 || height % factor !== 0 || mask.length !== (columns * height) / factor) {
    throw new ShapeError(
      `maskContour: a mask of ${mask.length} values times ${factor} does not cover the picture [${height}, ${width}]; pass the mask [H, W] of that image`,
    );
  }
  const isInside = (x: number, y: number): boolean =>
    x >= 0 &&
    x < width &&
    y >= 0 &&
    y < height &&
    mask[Math.floor(y / factor) * columns + Math.floor(x / factor)] !== 0;
  const rgba = picture.rgba.slice();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isEnclosed = isInside(x - 1, y) && isInside(x + 1, y) && isInside(x, y - 1) && isInside(x, y + 1);
      if (isInside(x, y) && !isEnclosed) rgba.set([...color, 255], 4 * (y * width + x));
    }
  }
  return { width, height, rgba };
}

/** Space between the pictures of a mosaic, 2 pixels of white if left out. */
export interface MosaicOptions {
  readonly gap?: number;
  readonly background?: Rgb;
}

/**
 * One picture out of rows of pictures: a column is as wide as its widest picture, a row as high as its highest, each
 * picture lies at the top left of its cell, and `null` leaves a cell empty. Throws UsageError if all cells are empty.
 */
export function mosaic(rows: readonly (readonly (Picture | null)[])[], options: MosaicOptions = {}): Picture {
  const { gap = 2, background = [255, 255, 255] } = options;
  if (!Number.isInteger(gap) || gap < 0) {
    throw new UsageError(`mosaic: gap is ${gap}; pass a whole number of pixels from 0 up`);
  }
  if (!rows.some((row) => row.some((cell) => cell !== null))) {
    throw new UsageError('mosaic: there is no picture in the rows; pass at least one');
  }
  const heights = rows.map((row) => Math.max(0, ...row.map((cell) => cell?.height ?? 0)));
  const columnCount = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columnCount }, (_, column) =>
    Math.max(0, ...rows.map((row) => row[column]?.width ?? 0)),
  );
  const tops = starts(heights, gap);
  const lefts = starts(widths, gap);
  const height = tops[rows.length] - gap;
  const width = lefts[columnCount] - gap;
  const out = blank(width, height, background);
  rows.forEach((row, r) => {
    row.forEach((cell, column) => {
      if (cell !== null) copyInto(out, cell, lefts[column], tops[r]);
    });
  });
  return out;
}

/** Where each cell begins, and behind the last where one more would. */
function starts(sizes: readonly number[], gap: number): number[] {
  const out = [0];
  for (const [i, size] of sizes.entries()) out.push(out[i] + size + gap);
  return out;
}

function copyInto(target: Picture, source: Picture, left: number, top: number): void {
  for (let y = 0; y < source.height; y++) {
    const row = source.rgba.subarray(4 * y * source.width, 4 * (y + 1) * source.width);
    target.rgba.set(row, 4 * ((top + y) * target.width + left));
  }
}

function blank(width: number, height: number, color: Rgb): Picture {
  const rgba = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < rgba.length; i += 4) rgba.set([...color, 255], i);
  return { width, height, rgba };
}

function paint(options: ImageOptions, colorOf: (i: number, shade: (v: number) => number) => Rgb): Picture {
  const { height, width, low = 0, high = 1 } = options;
  const out = blank(width, height, [0, 0, 0]);
  const shade = (v: number): number => (255 * (v - low)) / (high - low);
  for (let i = 0; i < width * height; i++) {
    const color = colorOf(i, shade);
    // The array rounds and clamps to 0..255 by itself, but it would also turn NaN into black.
    out.rgba.set(color.every(Number.isFinite) ? color : notFiniteColor, 4 * i);
  }
  return out;
}

function checkPixels(
  where: string,
  pixels: ArrayLike<number>,
  channels: number,
  options: ImageOptions,
): void {
  const { height, width } = options;
  const isSized = [channels, height, width].every((n) => Number.isInteger(n) && n > 0);
  if (!isSized || pixels.length !== channels * height * width) {
    throw new ShapeError(
      `${where}: ${pixels.length} values do not fill [${channels}, ${height}, ${width}]; pass one image and its sizes`,
    );
  }
}

function checkFactor(where: string, factor: number): void {
  if (!Number.isInteger(factor) || factor < 1) {
    throw new UsageError(`${where}: factor is ${factor}; pass a whole number from 1 up`);
  }
}
