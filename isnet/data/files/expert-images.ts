// Images that experts have annotated, as network input: each region goes through the same window as its image.
import { join } from 'node:path';
import { DataError } from '../../../engine/errors.ts';
import { readFileBytes } from '../../../engine/files.ts';
import type { ImageDataConfig } from '../../config.ts';
import type { ExpertImage } from '../../experts/agreement.ts';
import { type AnnotatedImage, checkDrawnSize, maskOf, parseAnnotations } from '../../experts/annotations.ts';
import { centred, cut } from '../augment.ts';
import { imagePlanes, maskPlane } from '../raster.ts';
import { openPicture } from './decode.ts';

/** Reads a file of annotations, ours or COCO's. Throws DataError, naming the file, if it is missing or neither. */
export async function readAnnotations(path: string): Promise<AnnotatedImage[]> {
  const text = new TextDecoder().decode(await readFileBytes(path, { where: 'annotations' }));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`annotations: '${path}' is no JSON (${(cause as Error).message}); correct it`, {
      cause,
    });
  }
  return parseAnnotations(value, `annotations: '${path}'`);
}

type Frame = Pick<ImageDataConfig, 'channels' | 'height' | 'width' | 'resize' | 'cropMargin'>;

/**
 * Opens annotated images in a folder and brings them into the frame. Images without a region that is seen there are left
 * out, and `log` is told. Throws DataError, naming the file, for an image that cannot be opened or has another size than
 * its annotations, and if none is left.
 */
export async function openExpertImages(
  folder: string,
  annotated: readonly AnnotatedImage[],
  frame: Frame,
  log: (line: string) => void = () => {},
): Promise<ExpertImage[]> {
  const images: ExpertImage[] = [];
  for (const each of annotated) {
    const opened = each.regions.length > 0 ? await openExpertImage(folder, each, frame) : null;
    if (opened && opened.regions.length > 0) images.push(opened);
    else log(`'${each.file}' has no region at ${frame.width}x${frame.height}; it is left out`);
  }
  if (images.length === 0) {
    throw new DataError('annotations: no image has a region; draw some, or check the sizes in the file');
  }
  return images;
}

async function openExpertImage(
  folder: string,
  annotated: AnnotatedImage,
  { channels, height, width, resize, cropMargin }: Frame,
): Promise<ExpertImage> {
  const { file, regions } = annotated;
  const raster = await openPicture(join(folder, file));
  checkDrawnSize(annotated, raster.height, raster.width);
  const frame = { channels, resize, height: height + cropMargin, width: width + cropMargin };
  const drawn = regions.map((region) => maskPlane(maskOf(region, raster.width, raster.height), frame));
  const frameSize = frame.height * frame.width;
  const masks = new Uint8Array(drawn.length * frameSize);
  for (const [r, plane] of drawn.entries()) masks.set(plane, r * frameSize);
  const size = height * width;
  const target = {
    image: new Float32Array(channels * size),
    masks: new Float32Array(drawn.length * size),
    height,
    width,
  };
  cut(
    { image: imagePlanes(raster, frame, 'black'), masks, ...frame },
    centred(cropMargin, cropMargin),
    target,
  );
  const planes = drawn.map((_, r) => Uint8Array.from(target.masks.subarray(r * size, (r + 1) * size)));
  const seen = regions.map((_, r) => r).filter((r) => planes[r].includes(1));
  return {
    file,
    image: target.image,
    channels,
    height,
    width,
    regions: seen.map((r) => planes[r]),
    labels: seen.map((r) => regions[r].label),
    severities: seen.map((r) => regions[r].severity),
  };
}
