// Turns what was published about an image's foreground into one mask file of the image's size: lungs left and right, parts of
// a face, boxes, and masks that are smaller than their images.
import { mkdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { DataError } from '../../../../engine/errors.ts';
import { writeFileAtomically } from '../../../../engine/files.ts';
import { binaryMask, maskPlane } from '../../raster.ts';
import { openPicture } from '../decode.ts';
import { loadSharp } from '../sharp.ts';
import type { Box, PublishedImage } from './published.ts';

export interface MaskPlace {
  /** Folder of the data set, which the paths of new masks mirror. */
  readonly source: string;
  /** Folder for masks that have to be drawn. */
  readonly folder: string;
}

/**
 * The mask file of an image: the published one if it has the image's size, else one that is drawn. Null if there is none.
 * Rejects with DataError, naming the file, for a picture that is missing or cannot be read.
 */
export async function maskFileOf({ file, mask }: PublishedImage, place: MaskPlace): Promise<string | null> {
  if (mask === null || mask.files.length + mask.boxes.length === 0) return null;
  const { width, height } = await sizeOf(file);
  const only = mask.files.length === 1 && mask.boxes.length === 0 ? mask.files[0] : null;
  if (only !== null) {
    const own = await sizeOf(only);
    if (own.width === width && own.height === height) return only;
  }
  const plane = new Uint8Array(width * height);
  for (const each of mask.files) {
    const { raster } = binaryMask(await openPicture(each), 'colours');
    maskPlane(raster, { channels: 1, height, width, resize: 'stretch' }).forEach((value, i) => {
      if (value === 1) plane[i] = 255;
    });
  }
  for (const box of mask.boxes) fill(plane, width, height, box);
  const path = join(place.folder, `${relative(place.source, file).replace(/\.[^./\\]+$/, '')}.png`);
  await mkdir(dirname(path), { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new DataError(
      `import: the folder '${dirname(path)}' cannot be made (${cause.code}); choose another place`,
      { cause },
    );
  });
  const sharp = await loadSharp();
  const picture = sharp(plane, { raw: { width, height, channels: 1 } }).toColourspace('b-w');
  await writeFileAtomically(path, await picture.png().toBuffer(), { where: 'import' });
  return path;
}

function fill(plane: Uint8Array, width: number, height: number, { left, top, right, bottom }: Box): void {
  for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++) {
    plane.fill(255, y * width + Math.max(left, 0), y * width + Math.min(right, width));
  }
}

/** Size of a picture as it is shown, from its header alone. */
async function sizeOf(file: string): Promise<{ width: number; height: number }> {
  const sharp = await loadSharp();
  try {
    const { autoOrient, width, height } = await sharp(file).metadata();
    return { width: autoOrient?.width ?? width, height: autoOrient?.height ?? height };
  } catch (cause) {
    const problem = (cause as Error).message.split('\n')[0];
    throw new DataError(`import: '${file}' cannot be read (${problem}); fetch it again`, { cause });
  }
}
