// From the bytes of a picture file to its numbers: PNG, JPEG and WebP by libvips, DICOM by the files beside this one.
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { DataError } from '../../../engine/errors.ts';
import type { Raster } from '../raster.ts';
import { decodeDicom } from './dicom.ts';
import { loadSharp } from './sharp.ts';

/** A picture file that is missing, damaged or of a kind that is not supported. */
export class PictureError extends DataError {
  override name = 'PictureError';
  readonly file: string;
  /** The message without the file. */
  readonly reason: string;

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`data: '${file}' ${reason}`, options);
    this.file = file;
    this.reason = reason;
  }
}

/**
 * Opens a picture of any supported format, turned upright as its EXIF data say. 16-bit greys and colours keep their 16
 * bits. Throws PictureError.
 */
export async function openPicture(path: string): Promise<Raster> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new PictureError(path, `cannot be read (${cause.code}); check that it is there and yours to read`, {
      cause,
    });
  });
  try {
    if (extname(path).toLowerCase() === '.dcm') return await decodeDicom(bytes, decodePicture);
    return await decodePicture(bytes);
  } catch (cause) {
    if (cause instanceof DataError) throw new PictureError(path, cause.message, { cause });
    const problem = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0];
    throw new PictureError(path, `is no readable picture (${problem}); save it again or leave it out`, {
      cause,
    });
  }
}

/** The numbers of a PNG, JPEG or WebP file, colour profiles and gamma left as they are. Rejects with libvips' error. */
export async function decodePicture(bytes: Uint8Array): Promise<Raster> {
  const sharp = await loadSharp();
  // A picture that is cut off must not come through half grey.
  const picture = sharp(bytes, { failOn: 'warning', limitInputPixels: 2 ** 28 });
  const { depth, channels } = await picture.metadata();
  const isDeep = depth === 'ushort';
  const isGrey = (channels ?? 3) < 3;
  const space = isGrey ? (isDeep ? 'grey16' : 'b-w') : isDeep ? 'rgb16' : 'srgb';
  const { data, info } = await picture
    .autoOrient()
    .toColourspace(space)
    .raw({ depth: isDeep ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const values = isDeep ? new Uint16Array(data.length / 2) : new Uint8Array(data.length);
  // A copy: the buffer may begin at an odd byte, and belongs to libvips.
  new Uint8Array(values.buffer).set(data);
  return {
    width: info.width,
    height: info.height,
    channels: info.channels as Raster['channels'],
    data: values,
  };
}
