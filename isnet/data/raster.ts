// Decoded pictures as whole numbers, whatever file they came from, and the one way in which they change size: an image
// and its mask go through the same window, so they cannot slide apart.
import { DataError } from '../../engine/errors.ts';

/** A decoded picture [height, width, channels]: grey, grey + alpha, RGB or RGBA, alpha not multiplied in. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
  readonly data: Uint8Array | Uint16Array;
}

/**
 * How a picture of another shape gets into the frame: `'stretch'` to it, `'crop'` what is over after keeping the ratio,
 * or `'pad'` with black.
 */
export type ResizeMode = 'stretch' | 'crop' | 'pad';

/** White. */
export const whiteOf = ({ data }: Pick<Raster, 'data'>): number => (data instanceof Uint8Array ? 255 : 65535);

const hasAlpha = ({ channels }: Raster): boolean => channels === 2 || channels === 4;

/** Whether some pixel is not opaque, i.e. whether the alpha channel can be a mask. */
export function isCutOut(raster: Raster): boolean {
  if (!hasAlpha(raster)) return false;
  const { data, channels } = raster;
  const white = whiteOf(raster);
  for (let i = channels - 1; i < data.length; i += channels) if (data[i] !== white) return true;
  return false;
}

/** The part of a picture that fills the frame, in its own pixels; it may reach beyond the picture. */
interface Window {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function windowOf(
  { width, height }: Raster,
  frameHeight: number,
  frameWidth: number,
  mode: ResizeMode,
): Window {
  if (mode === 'stretch') return { x: 0, y: 0, width, height };
  const scales = [width / frameWidth, height / frameHeight];
  // Source pixels per frame pixel, the same on both axes.
  const scale = mode === 'crop' ? Math.min(...scales) : Math.max(...scales);
  const [w, h] = [scale * frameWidth, scale * frameHeight];
  return { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h };
}

/** For each of `count` places, which source pixels count and how much; places outside the picture have none. */
interface Taps {
  /** First source pixel of each place. */
  readonly starts: Int32Array;
  /** Weights of all places, one after the other; those of place i end before `ends[i]`. */
  readonly weights: Float64Array;
  readonly ends: Int32Array;
}

/** A triangle as wide as a frame pixel (at least a source pixel): smooth when enlarging, no aliases when reducing. */
function tapsOf(sourceSize: number, from: number, length: number, count: number): Taps {
  const scale = length / count;
  const reach = Math.max(scale, 1);
  const starts = new Int32Array(count);
  const ends = new Int32Array(count);
  const weights: number[] = [];
  for (let i = 0; i < count; i++) {
    const centre = from + (i + 0.5) * scale;
    if (centre >= 0 && centre <= sourceSize) {
      starts[i] = Math.max(0, Math.ceil(centre - reach - 0.5));
      const end = Math.min(sourceSize - 1, Math.floor(centre + reach - 0.5));
      const own: number[] = [];
      for (let k = starts[i]; k <= end; k++) own.push(Math.max(0, 1 - Math.abs(k + 0.5 - centre) / reach));
      // Where the edge of the picture cuts them off, the rest stands for the whole.
      const total = own.reduce((sum, value) => sum + value, 0);
      for (const value of own) weights.push(value / total);
    }
    ends[i] = weights.length;
  }
  return { starts, weights: Float64Array.from(weights), ends };
}

/**
 * The picture in a frame, [C, height, width] in its own range (0..255 or 0..65535), not rounded; C = its channels. A
 * picture that has the size of the frame comes through unchanged. Throws DataError for a picture without pixels.
 */
export function fitInto(raster: Raster, height: number, width: number, mode: ResizeMode): Float32Array {
  const { channels, data } = raster;
  if (raster.width < 1 || raster.height < 1) {
    throw new DataError(`fitInto: the picture is ${raster.width}x${raster.height}; leave it out`);
  }
  const window = windowOf(raster, height, width, mode);
  const columns = tapsOf(raster.width, window.x, window.width, width);
  const rows = tapsOf(raster.height, window.y, window.height, height);
  const out = new Float32Array(channels * height * width);
  // One source row at a time, squeezed to the width of the frame: beside the frame, memory holds only that.
  const line = new Float64Array(width * channels);
  for (const [y, users] of usersOf(rows, raster.height).entries()) {
    if (users.length === 0) continue;
    squeeze(data, y * raster.width * channels, channels, columns, line);
    for (const { place, weight } of users) {
      for (let c = 0; c < channels; c++) {
        const base = (c * height + place) * width;
        for (let x = 0; x < width; x++) out[base + x] += weight * line[x * channels + c];
      }
    }
  }
  return out;
}

/** For each source row, the frame rows that it counts for. */
function usersOf({ starts, weights, ends }: Taps, sourceSize: number): { place: number; weight: number }[][] {
  const users: { place: number; weight: number }[][] = Array.from({ length: sourceSize }, () => []);
  let at = 0;
  for (const [place, end] of ends.entries()) {
    for (let row = starts[place]; at < end; at++, row++) users[row].push({ place, weight: weights[at] });
  }
  return users;
}

function squeeze(
  data: Uint8Array | Uint16Array,
  row: number,
  channels: number,
  { starts, weights, ends }: Taps,
  line: Float64Array,
): void {
  for (let c = 0; c < channels; c++) {
    let at = 0;
    for (let x = 0; x < ends.length; x++) {
      let sum = 0;
      for (let from = row + starts[x] * channels + c; at < ends[x]; at++, from += channels) {
        sum += weights[at] * data[from];
      }
      line[x * channels + c] = sum;
    }
  }
}

/** What `imagePlanes` does with an alpha channel: `'drop'` it (it is the mask), or lay the colours over `'black'`. */
export type AlphaUse = 'drop' | 'black';

/**
 * Network input [C, H, W] as whole numbers of the picture's own depth. One channel is the mean of the colours, as it is
 * for `isnet explain`; a grey picture fills all of three channels.
 */
export function imagePlanes(
  raster: Raster,
  { channels, height, width, resize }: FrameOptions,
  alpha: AlphaUse,
): Uint8Array | Uint16Array {
  const size = height * width;
  const fitted = fitInto(
    alpha === 'black' && hasAlpha(raster) ? overBlack(raster) : raster,
    height,
    width,
    resize,
  );
  const colours = raster.channels < 3 ? 1 : 3;
  const out =
    raster.data instanceof Uint8Array ? new Uint8Array(channels * size) : new Uint16Array(channels * size);
  for (let i = 0; i < size; i++) {
    if (colours === 1) for (let c = 0; c < channels; c++) out[c * size + i] = Math.round(fitted[i]);
    else if (channels === 3) for (let c = 0; c < 3; c++) out[c * size + i] = Math.round(fitted[c * size + i]);
    else out[i] = Math.round((fitted[i] + fitted[size + i] + fitted[2 * size + i]) / 3);
  }
  return out;
}

/** Size and form of what the network gets, before augmentation cuts it. */
export interface FrameOptions {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  readonly resize: ResizeMode;
}

function overBlack(raster: Raster): Raster {
  const { channels, width, height } = raster;
  const white = whiteOf(raster);
  const data = raster.data.slice();
  for (let i = 0; i < data.length; i += channels) {
    const alpha = data[i + channels - 1];
    for (let c = 0; c < channels - 1; c++) data[i + c] = Math.round((data[i + c] * alpha) / white);
  }
  return { width, height, channels, data };
}

/** A mask of 0 and 1 and how many of its pixels had a value between. */
export interface BinaryMask {
  /** [height, width] with the values 0 and 255. */
  readonly raster: Raster;
  /** Pixels that were neither (almost) black nor (almost) white before they were cut at one half. */
  readonly softCount: number;
  readonly foregroundCount: number;
}

// JPEG and blurred brushes leave values just beside 0 and 1; those are nobody's soft edge.
const NEARLY = 0.1;

/**
 * The picture as a mask: foreground is what is at least half as bright as white, over black; of a cut-out, what is at
 * least half opaque. A file with no value above 1 holds the numbers 0 and 1 themselves.
 */
export function binaryMask(raster: Raster, source: 'colours' | 'alpha'): BinaryMask {
  const { width, height } = raster;
  const values = source === 'alpha' ? alphaOf(raster) : brightnessOf(raster);
  const isNumbers = source === 'colours' && values.every((value) => value <= 1);
  const white = isNumbers ? 1 : whiteOf(raster);
  const data = new Uint8Array(width * height);
  let softCount = 0;
  let foregroundCount = 0;
  for (let i = 0; i < data.length; i++) {
    const share = values[i] / white;
    if (share > NEARLY && share < 1 - NEARLY) softCount++;
    if (share < 0.5) continue;
    data[i] = 255;
    foregroundCount++;
  }
  return { raster: { width, height, channels: 1, data }, softCount, foregroundCount };
}

function alphaOf({ data, channels }: Raster): Float32Array {
  const out = new Float32Array(data.length / channels);
  for (let i = 0; i < out.length; i++) out[i] = data[(i + 1) * channels - 1];
  return out;
}

/** Mean of the colours, over black. */
function brightnessOf(raster: Raster): Float32Array {
  const { data, channels } = hasAlpha(raster) ? overBlack(raster) : raster;
  const out = new Float32Array(data.length / channels);
  const colours = channels < 3 ? 1 : 3;
  for (let i = 0; i < out.length; i++) {
    for (let c = 0; c < colours; c++) out[i] += data[i * channels + c] / colours;
  }
  return out;
}

/** A mask in the frame [H, W], 0 and 1: a pixel is foreground if at least half of what it shows is. */
export function maskPlane(mask: Raster, { height, width, resize }: FrameOptions): Uint8Array {
  return Uint8Array.from(fitInto(mask, height, width, resize), (value) => (value >= 127.5 ? 1 : 0));
}
