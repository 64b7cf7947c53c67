// Pictures on disk (Node only).
import { PNG } from 'pngjs';
import { DataError, ShapeError } from '../engine/errors.ts';
import { readFileBytes, writeFileAtomically } from '../engine/files.ts';
import type { Picture } from './picture.ts';

/** The bytes of a PNG file. Throws ShapeError for a picture without pixels. */
export function encodePng(picture: Picture): Uint8Array {
  const { width, height, rgba } = picture;
  if (!(width > 0 && height > 0) || rgba.length !== 4 * width * height) {
    throw new ShapeError(
      `writePng: ${rgba.length} bytes are no picture of ${width} x ${height}; pass 4 bytes per pixel and at least one pixel`,
    );
  }
  const png = new PNG({ width, height });
  png.data.set(rgba);
  return PNG.sync.write(png);
}

/**
 * Writes a PNG, which appears whole or not at all. Throws DataError if the path cannot be written, ShapeError for a picture
 * without pixels.
 */
export async function writePng(path: string, picture: Picture): Promise<void> {
  await writeFileAtomically(path, encodePng(picture), { where: 'writePng' });
}

/** Reads a PNG of any colour type as 8-bit RGBA. Throws DataError, naming the path, if it is missing or broken. */
export async function readPng(path: string): Promise<Picture> {
  const bytes = await readFileBytes(path, { where: 'readPng' });
  try {
    const { width, height, data } = PNG.sync.read(Buffer.from(bytes));
    return { width, height, rgba: new Uint8ClampedArray(data) };
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`readPng: '${path}' is no readable PNG (${problem}); save the picture again`, {
      cause,
    });
  }
}
