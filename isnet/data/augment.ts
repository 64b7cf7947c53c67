// Random variations of training images. Each is drawn from (seed, epoch, sample number) alone, so a run that is resumed
// in the middle of an epoch sees the images it would have seen; and it moves image and mask in one step, by one map.
import { UsageError } from '../../engine/errors.ts';
import { randomStream } from '../../engine/random-bits.ts';
import { whiteOf } from './raster.ts';

/** What may vary, and how far; nothing does by default. */
export interface Augmentation {
  /** Mirror every second image, left for right. Not for organs, letters or digits. */
  readonly flip?: boolean;
  /** Turn by up to this many degrees either way. */
  readonly rotate?: number;
  /** Add up to this share of white, or take it away: 0 to 1. */
  readonly brightness?: number;
  /** Stretch values about mid-grey by up to this share: 0 to 1. */
  readonly contrast?: number;
}

/** An image [C, H, W] as whole numbers and its masks [M, H, W] of 0 and 1 (null: it has none), in one frame. */
export interface FramedSample {
  readonly image: Uint8Array | Uint16Array;
  readonly masks: Uint8Array | null;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** One draw: output pixel (row, column) shows the place `mirror, turn, shift` of it in the frame. */
export interface Variation {
  readonly isMirrored: boolean;
  /** In degrees. */
  readonly angle: number;
  /** Upper left corner of the cut, in frame pixels. */
  readonly top: number;
  readonly left: number;
  readonly brightness: number;
  readonly contrast: number;
}

/** Which draw: everything that decides it. */
export interface DrawKey {
  readonly seed: number;
  readonly epoch: number;
  readonly index: number;
}

/** The middle of the frame, unchanged: what validation and tests see. */
export function centred(marginHeight: number, marginWidth: number): Variation {
  const [top, left] = [Math.floor(marginHeight / 2), Math.floor(marginWidth / 2)];
  return { isMirrored: false, angle: 0, top, left, brightness: 0, contrast: 1 };
}

/**
 * The variation of one sample in one epoch; the margins are what the frame is larger than the cut. Throws UsageError for
 * an amount that is out of range.
 */
export function drawVariation(
  { seed, epoch, index }: DrawKey,
  { flip = false, rotate = 0, brightness = 0, contrast = 0 }: Augmentation,
  marginHeight: number,
  marginWidth: number,
): Variation {
  checkAmounts({ rotate: [rotate, 180], brightness: [brightness, 1], contrast: [contrast, 1] });
  const random = randomStream(seed, `augment/${epoch}`, index);
  // Every draw takes its numbers whether or not they are used: switching one variation on leaves the others as they are.
  const [mirror, turn, down, right, bright, stretch] = Array.from({ length: 6 }, () => random.uniform());
  const eitherWay = (u: number, most: number): number => most * (2 * u - 1);
  return {
    isMirrored: flip && mirror < 0.5,
    angle: eitherWay(turn, rotate),
    top: Math.floor(down * (marginHeight + 1)),
    left: Math.floor(right * (marginWidth + 1)),
    brightness: eitherWay(bright, brightness),
    contrast: 1 + eitherWay(stretch, contrast),
  };
}

function checkAmounts(amounts: Readonly<Record<string, readonly [number, number]>>): void {
  for (const [name, [amount, most]] of Object.entries(amounts)) {
    if (!(amount >= 0 && amount <= most)) {
      throw new UsageError(`augment: ${name} is ${amount}; use a number from 0 to ${most}`);
    }
  }
}

/** Where a varied sample is written. */
export interface CutTarget {
  /** [C, height, width] in [0, 1] */
  readonly image: Float32Array;
  /** [M, height, width] of 0 and 1; left alone if the sample has no masks. */
  readonly masks: Float32Array;
  readonly height: number;
  readonly width: number;
}

/**
 * Cuts a varied sample out of its frame into `target`: the image bilinearly and scaled to [0, 1], its masks by the nearest
 * pixel. Beyond the frame both repeat its edge, so that what continues an object is masked like the object.
 */
export function cut(sample: FramedSample, variation: Variation, target: CutTarget): void {
  const { channels, masks } = sample;
  const { height, width } = target;
  const size = height * width;
  const frameSize = sample.height * sample.width;
  const maskCount = masks ? masks.length / frameSize : 0;
  const white = whiteOf({ data: sample.image });
  const { isMirrored, angle, top, left, brightness, contrast } = variation;
  const isLit = brightness !== 0 || contrast !== 1;
  const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2];
  const radians = (angle * Math.PI) / 180;
  // Without a turn places are whole, and the image comes through to the bit.
  const [cos, sin] = angle === 0 ? [1, 0] : [Math.cos(radians), Math.sin(radians)];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const dy = y - middleY;
      const dx = (isMirrored ? width - 1 - x : x) - middleX;
      const row = clamp(top + middleY + cos * dy - sin * dx, sample.height - 1);
      const column = clamp(left + middleX + sin * dy + cos * dx, sample.width - 1);
      for (let c = 0; c < channels; c++) {
        const value = bilinear(sample, c * frameSize, row, column) / white;
        target.image[c * size + i] = isLit ? clamp((value - 0.5) * contrast + 0.5 + brightness, 1) : value;
      }
      const nearest = Math.round(row) * sample.width + Math.round(column);
      for (let m = 0; m < maskCount; m++) {
        target.masks[m * size + i] = (masks as Uint8Array)[m * frameSize + nearest];
      }
    }
  }
}

const clamp = (value: number, most: number): number => (value > 0 ? (value < most ? value : most) : 0);

function bilinear(
  { image, height, width }: FramedSample,
  plane: number,
  row: number,
  column: number,
): number {
  const y = Math.floor(row);
  const x = Math.floor(column);
  const dy = row - y;
  const dx = column - x;
  const at = plane + y * width + x;
  if (dy === 0 && dx === 0) return image[at];
  const below = y + 1 < height ? width : 0;
  const right = x + 1 < width ? 1 : 0;
  const upper = image[at] * (1 - dx) + image[at + right] * dx;
  const lower = image[at + below] * (1 - dx) + image[at + below + right] * dx;
  return upper * (1 - dy) + lower * dy;
}
