// Background-bias benchmark: a marker beside the digit gives the class away, so a classifier that looks at backgrounds
// learns the marker and is right until the marker is gone (unbiased) or lies (deceiving). One that ignores backgrounds
// scores the same on all three. Synthetic bias of the kind the ISNet papers use; places, sizes and noise are ours.
//
// Random parts come from counters, never from a running generator: a background depends on (seed, stream, digit number)
// and on nothing else, so the versions of one image differ in the marker alone.
import { DataError, UsageError } from '../../engine/errors.ts';
import { randomStream } from '../../engine/random-bits.ts';
import type { Dataset } from './dataset.ts';
import type { Digits } from './idx.ts';

/** `'own'` shows the place of the right class, `'other'` that of a random wrong class, `'none'` shows no marker. */
export type MarkerKind = 'own' | 'none' | 'other';

/** `'black'`, or `'noise'`: a grey level per image plus noise per pixel, with the digit blended over it. */
export type BackgroundKind = 'black' | 'noise';

export interface MarkerBiasOptions {
  readonly marker: MarkerKind;
  readonly seed: number;
  readonly background?: BackgroundKind;
  /** Side of the square, in pixels. */
  readonly markerSize?: number;
  /** Numbers of the digits to use, in this order; all by default. A digit looks the same in every selection. */
  readonly indices?: ArrayLike<number>;
  /** Data sets of another stream share no random numbers: training and test digit 7 get different noise. */
  readonly stream?: string;
}

// 2x2: 24,779 of the 70,000 MNIST digits must move, by 3 pixels at most. 3x3: 52,827 and 4; 4x4 leaves no room.
const MARKER_SIZE = 2;
/** Foreground round the ink: strokes fade out, and a box that cuts them would call their edge background. */
const MASK_MARGIN = 1;
const CLASS_NAMES = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const;
const CLASS_COUNT = CLASS_NAMES.length;
// Grey 0.1..0.5 plus or minus 0.1 stays inside 0..0.6: markers and ink (1) remain the brightest things in sight.
const GREY_MIN = 0.1;
const GREY_MAX = 0.5;
const NOISE_AMPLITUDE = 0.1;

/** Row and column of a pixel, or of the upper left pixel of a square. */
export interface Place {
  readonly y: number;
  readonly x: number;
}

/** Where the marker of each class sits: four along the top, right, four along the bottom, left; clockwise. */
export function markerPlaces(
  height: number,
  width: number,
  markerSize: number = MARKER_SIZE,
): readonly Place[] {
  const bottom = height - markerSize;
  const right = width - markerSize;
  const middle = Math.round(bottom / 2);
  const columns = [0, Math.round(right / 3), Math.round((2 * right) / 3), right];
  return [
    ...columns.map((x) => ({ y: 0, x })),
    { y: middle, x: right },
    ...columns.toReversed().map((x) => ({ y: bottom, x })),
    { y: middle, x: 0 },
  ];
}

/**
 * Digits with or without a class marker, as images [N, 1, H, W]. The mask is the bounding box of the ink plus one
 * pixel. A digit whose mask would reach into the marker-wide frame round the image is moved inwards by the few pixels
 * that takes, whatever its marker. Throws DataError for a digit without ink, a label over 9 or a digit that does not
 * fit between the markers, UsageError for an unknown option.
 */
export function composeMarkerBias(digits: Digits, options: MarkerBiasOptions): Dataset {
  const { marker, seed, background = 'black', markerSize = MARKER_SIZE, stream = 'marker-bias' } = options;
  checkOptions(digits, marker, background, markerSize);
  const count = options.indices?.length ?? digits.count;
  const { height, width } = digits;
  const size = height * width;
  const places = markerPlaces(height, width, markerSize);
  const images = new Float32Array(count * size);
  const masks = new Float32Array(count * size);
  const labels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const n = options.indices === undefined ? i : options.indices[i];
    checkDigit(digits, n);
    const label = digits.labels[n];
    const image = images.subarray(i * size, (i + 1) * size);
    const box = boxOf(digits, n);
    const shift = shiftIntoFrame(digits, n, box, markerSize);
    if (background === 'noise') drawNoise(image, seed, stream, n);
    drawDigit(image, digits, n, box, shift);
    drawMask(masks.subarray(i * size, (i + 1) * size), width, box, shift);
    if (marker !== 'none') {
      const shown = marker === 'own' ? label : otherClass(label, seed, stream, n);
      drawSquare(image, width, places[shown], markerSize);
    }
    labels[i] = label;
  }
  return { images, masks, labels, count, channels: 1, height, width, classNames: CLASS_NAMES };
}

function checkOptions(digits: Digits, marker: string, background: string, markerSize: number): void {
  const { height, width } = digits;
  if (!['own', 'none', 'other'].includes(marker)) {
    throw new UsageError(`composeMarkerBias: marker '${marker}' is unknown; pass 'own', 'none' or 'other'`);
  }
  if (!['black', 'noise'].includes(background)) {
    throw new UsageError(`composeMarkerBias: background '${background}' is unknown; pass 'black' or 'noise'`);
  }
  if (!Number.isInteger(markerSize) || markerSize < 1 || 4 * markerSize > Math.min(height, width)) {
    throw new UsageError(
      `composeMarkerBias: ten markers of size ${markerSize} do not fit round ${height}x${width}; ` +
        `pass a whole number from 1 to ${Math.floor(Math.min(height, width) / 4)}`,
    );
  }
  if (digits.pixels.length !== digits.count * height * width || digits.labels.length !== digits.count) {
    throw new DataError(
      `composeMarkerBias: ${digits.pixels.length} pixels and ${digits.labels.length} labels for ` +
        `[${digits.count}, ${height}, ${width}]; pass digits as parseDigits returns them`,
    );
  }
}

function checkDigit({ labels, count }: Digits, n: number): void {
  if (!Number.isInteger(n) || n < 0 || n >= count) {
    throw new UsageError(`composeMarkerBias: index ${n} is no digit; use 0 to ${count - 1}`);
  }
  if (labels[n] >= CLASS_COUNT) {
    throw new DataError(
      `composeMarkerBias: digit ${n} has label ${labels[n]}; there are ${CLASS_COUNT} marker places, so use labels 0 to 9`,
    );
  }
}

/** Inclusive bounds, in pixels. */
interface Box {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

function boxOf({ pixels, height, width }: Digits, n: number): Box {
  let top = height;
  let left = width;
  let bottom = -1;
  let right = -1;
  let i = n * height * width;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (pixels[i] === 0) continue;
      if (top === height) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  }
  if (bottom < 0) {
    throw new DataError(`composeMarkerBias: digit ${n} is blank, so it has no mask; leave it out`);
  }
  return { top, left, bottom, right };
}

/** The smallest move that keeps the mask out of the frame. Blind to the class, or the move itself would be a marker. */
function shiftIntoFrame({ height, width }: Digits, n: number, box: Box, markerSize: number): Place {
  const border = markerSize + MASK_MARGIN;
  const y = shiftInto(box.top, box.bottom, border, height - 1 - border);
  const x = shiftInto(box.left, box.right, border, width - 1 - border);
  if (Number.isNaN(y) || Number.isNaN(x)) {
    throw new DataError(
      `composeMarkerBias: digit ${n} is ${box.bottom - box.top + 1}x${box.right - box.left + 1}, but markers of size ` +
        `${markerSize} leave room for ${height - 2 * border}x${width - 2 * border}; use smaller markers or leave it out`,
    );
  }
  return { y, x };
}

/** How far [from, to] must move to lie inside [low, high]; NaN if it is longer than that. */
function shiftInto(from: number, to: number, low: number, high: number): number {
  if (to - from > high - low) return Number.NaN;
  return from < low ? low - from : to > high ? high - to : 0;
}

function drawNoise(image: Float32Array, seed: number, stream: string, n: number): void {
  const random = randomStream(seed, `${stream}/background`, n);
  const grey = GREY_MIN + (GREY_MAX - GREY_MIN) * random.uniform();
  // Uniform bytes, four from a word. Normal noise would need `log` and `cos`, whose last bits differ between engines.
  let word = 0;
  for (let i = 0; i < image.length; i++) {
    word = i % 4 === 0 ? random.word() : word >>> 8;
    image[i] = grey + NOISE_AMPLITUDE * ((2 * (word & 0xff)) / 255 - 1);
  }
}

/** White ink over what is there, as opaque as the pixel is bright; on black that is the pixel itself. */
function drawDigit(
  image: Float32Array,
  { pixels, height, width }: Digits,
  n: number,
  box: Box,
  shift: Place,
): void {
  for (let y = box.top; y <= box.bottom; y++) {
    for (let x = box.left; x <= box.right; x++) {
      const ink = pixels[(n * height + y) * width + x] / 255;
      const i = (y + shift.y) * width + x + shift.x;
      image[i] = ink + (1 - ink) * image[i];
    }
  }
}

function drawMask(mask: Float32Array, width: number, box: Box, shift: Place): void {
  // No clipping: shiftIntoFrame has left at least the margin on every side.
  const left = box.left + shift.x - MASK_MARGIN;
  const end = box.right + shift.x + MASK_MARGIN + 1;
  const last = box.bottom + shift.y + MASK_MARGIN;
  for (let y = box.top + shift.y - MASK_MARGIN; y <= last; y++)
    mask.fill(1, y * width + left, y * width + end);
}

function drawSquare(image: Float32Array, width: number, place: Place, size: number): void {
  for (let y = place.y; y < place.y + size; y++)
    image.fill(1, y * width + place.x, y * width + place.x + size);
}

function otherClass(label: number, seed: number, stream: string, n: number): number {
  const other = randomStream(seed, `${stream}/other`, n).below(CLASS_COUNT - 1);
  return other < label ? other : other + 1;
}
