// One sample from its files to network input: open image and masks, check that they belong together, bring them into the
// frame. Runs in the worker threads of the loader, and in the main thread for previews.
import { DataError } from '../../../engine/errors.ts';
import {
  type AlphaUse,
  type BinaryMask,
  binaryMask,
  type FrameOptions,
  imagePlanes,
  isCutOut,
  maskPlane,
  type Raster,
} from '../raster.ts';
import type { MaskFiles, Sample } from '../sample-list.ts';
import { openPicture, PictureError } from './decode.ts';

/**
 * What an empty mask means: an unmasked image that slipped in (`'error'`), an image without an object
 * (`'all-background'`), or one that counts for classification only (`'unmasked'`).
 */
export type EmptyFilePolicy = 'error' | 'all-background' | 'unmasked';

/** A mask and where it came from. */
export interface OpenedMask extends BinaryMask {
  /** The image itself for a cut-out. */
  readonly file: string;
  /** Null for the mask of all classes. */
  readonly className: string | null;
}

/** An image with its masks as they are in their files. */
export interface OpenedSample {
  readonly image: Raster;
  /** What to do with the image's alpha channel, if it has one. */
  readonly alpha: AlphaUse;
  readonly masks: readonly OpenedMask[];
}

/** Opens a sample. Throws PictureError for a file that cannot be read, SizeMismatchError for a mask. */
export async function openSample({ file, mask }: Pick<Sample, 'file' | 'mask'>): Promise<OpenedSample> {
  const image = await openPicture(file);
  const masks = await openMasks(mask, file, image);
  if (masks.length > 0) return { image, alpha: 'black', masks };
  if (!isCutOut(image)) return { image, alpha: 'black', masks: [] };
  return { image, alpha: 'drop', masks: [{ ...binaryMask(image, 'alpha'), file, className: null }] };
}

async function openMasks(
  { whole, byClass }: MaskFiles,
  imageFile: string,
  image: Raster,
): Promise<OpenedMask[]> {
  const files: [string | null, string][] = Object.entries(byClass);
  if (whole !== null) files.unshift([null, whole]);
  const masks: OpenedMask[] = [];
  for (const [className, file] of files) {
    const raster = await openPicture(file);
    if (raster.width !== image.width || raster.height !== image.height) {
      throw new SizeMismatchError(
        file,
        `is a mask of ${raster.width}x${raster.height}, but its image '${imageFile}' is ${image.width}x${image.height}; draw the mask on the image, or resize one of them`,
      );
    }
    masks.push({ ...binaryMask(raster, isSilhouette(raster) ? 'alpha' : 'colours'), file, className });
  }
  return masks;
}

/** A mask painted on a transparent sheet: where there is paint there is foreground, whatever its colour. */
const isSilhouette = (raster: Raster): boolean => raster.channels === 4 && isCutOut(raster);

/** A mask and its image differ in size. */
export class SizeMismatchError extends PictureError {
  override name = 'SizeMismatchError';
}

/** Something about a sample that is worth a message, once per kind. */
export interface SampleNote {
  readonly kind: 'soft' | 'lost' | 'filled';
  readonly text: string;
}

/** A sample in its frame, before augmentation: [C, H, W] and [M, H, W]. */
export interface PreparedSample {
  readonly image: Uint8Array | Uint16Array;
  /** Null: it counts for classification only. */
  readonly masks: Uint8Array | null;
  readonly notes: readonly SampleNote[];
}

export interface PrepareOptions {
  readonly frame: FrameOptions;
  readonly emptyMasks: EmptyFilePolicy;
  readonly classNames: readonly string[];
  /** 1, or one per class. */
  readonly maskCount: number;
}

/**
 * Opens a sample and brings it into the frame. A class without a mask of its own gets that of the whole image, or else what
 * the masks of the other classes cover together. A mask that is too small to be seen in the frame, or fills it, is left out.
 * Throws DataError, naming the file, for what `openSample` throws and for masks that are all foreground or (by policy) empty.
 */
export async function prepareSample(
  sample: Pick<Sample, 'file' | 'mask'>,
  { frame, emptyMasks, classNames, maskCount }: PrepareOptions,
): Promise<PreparedSample> {
  const { image: raster, alpha, masks: opened } = await openSample(sample);
  const image = imagePlanes(raster, frame, alpha);
  if (opened.length === 0) return { image, masks: null, notes: [] };
  for (const mask of opened) checkFull(mask);
  const isEmpty = opened.every(({ foregroundCount }) => foregroundCount === 0);
  if (isEmpty && emptyMasks === 'error') throw emptyError(opened[0].file);
  if (isEmpty && emptyMasks === 'unmasked') return { image, masks: null, notes: [] };
  const size = frame.height * frame.width;
  const planes = opened.map(({ raster }) => maskPlane(raster, frame));
  const whole = opened.findIndex(({ className }) => className === null);
  const rest = whole >= 0 ? planes[whole] : union(planes);
  const masks = new Uint8Array(maskCount * size);
  for (let m = 0; m < maskCount; m++) {
    const own = opened.findIndex(({ className }) => className === classNames[m]);
    masks.set(own >= 0 ? planes[own] : rest, m * size);
  }
  const notes = softNotes(opened);
  if (!isEmpty && (!masks.includes(1) || !masks.includes(0))) {
    return { image, masks: null, notes: [...notes, lostNote(opened[0], frame)] };
  }
  return { image, masks, notes };
}

function softNotes(masks: readonly OpenedMask[]): SampleNote[] {
  const soft = masks.find(({ softCount }) => softCount > 0);
  if (!soft) return [];
  const text = `the mask '${soft.file}' has soft edges (${soft.softCount} pixels between black and white); masks are cut at one half`;
  return [{ kind: 'soft', text }];
}

function lostNote(
  { file, foregroundCount, raster }: OpenedMask,
  { height, width }: FrameOptions,
): SampleNote {
  const text = `the mask '${file}' (${foregroundCount} of ${raster.width * raster.height} pixels) leaves no foreground or no background at ${width}x${height}; its image counts for classification only`;
  return { kind: 'lost', text };
}

const union = (planes: readonly Uint8Array[]): Uint8Array =>
  planes[0].map((_, i) => (planes.some((plane) => plane[i] === 1) ? 1 : 0));

function checkFull({ raster: { width, height }, foregroundCount, file }: OpenedMask): void {
  if (foregroundCount < width * height) return;
  throw new DataError(
    `data: the mask '${file}' is all foreground (${width}x${height} pixels), so there is nothing to ignore; give it a background, or remove the mask file: the image then counts for classification only`,
  );
}

const emptyError = (file: string): DataError =>
  new DataError(
    `data: the mask '${file}' is empty; draw it, remove it, or set emptyMasks to 'all-background' (the image shows no object) or 'unmasked' (it counts for classification only)`,
  );
