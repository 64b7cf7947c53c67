// Picture files that belong to no data set, as network input: what somebody wants to have explained.
import { DataError } from '../../../engine/errors.ts';
import type { ImageDataConfig } from '../../config.ts';
import { centred, cut } from '../augment.ts';
import type { Dataset } from '../dataset.ts';
import { imagePlanes, whiteOf } from '../raster.ts';
import { noMask } from '../sample-list.ts';
import { openPicture } from './decode.ts';
import { prepareSample } from './prepare.ts';

type Size = Pick<Dataset, 'channels' | 'height' | 'width' | 'classNames'>;

/** Unlabelled images without masks; `draw` writes [C, H, W] in [0, 1]. */
async function unlabelled(
  paths: readonly string[],
  { channels, height, width, classNames }: Size,
  draw: (path: string, out: Float32Array) => Promise<void>,
): Promise<Dataset> {
  const count = paths.length;
  const size = channels * height * width;
  const images = new Float32Array(count * size);
  for (const [n, path] of paths.entries()) await draw(path, images.subarray(n * size, (n + 1) * size));
  const masks = new Float32Array(count * height * width);
  const labels = new Uint8Array(count);
  const hasMask = new Uint8Array(count);
  return { images, masks, labels, hasMask, count, channels, height, width, classNames };
}

/** Pictures brought into the frame as the test images of the configuration are. Throws DataError, naming the file. */
export function framedPictures(
  paths: readonly string[],
  config: ImageDataConfig,
  classNames: readonly string[],
): Promise<Dataset> {
  const { height, width, channels, resize, cropMargin, emptyMasks } = config;
  const frame = { channels, resize, height: height + cropMargin, width: width + cropMargin };
  const options = { frame, emptyMasks, classNames, maskCount: 1 };
  return unlabelled(paths, { ...config, classNames }, async (file, image) => {
    const sample = await prepareSample({ file, mask: noMask }, options);
    const masks = new Float32Array(height * width);
    const framed = { ...sample, channels, height: frame.height, width: frame.width };
    cut(framed, centred(cropMargin, cropMargin), { image, masks, height, width });
  });
}

/** Pictures that must have the size of the input, over black. Throws DataError, naming the file. */
export function exactPictures(
  paths: readonly string[],
  input: Omit<Size, 'channels'> & { channels: number },
): Promise<Dataset> {
  const { height, width } = input;
  const channels = input.channels === 3 ? 3 : 1;
  return unlabelled(paths, input, async (file, image) => {
    const raster = await openPicture(file);
    if (raster.width !== width || raster.height !== height) {
      throw new DataError(
        `explain: '${file}' is ${raster.width}x${raster.height} but the model takes ${width}x${height}; resize the picture`,
      );
    }
    const planes = imagePlanes(raster, { channels, height, width, resize: 'stretch' }, 'black');
    const white = whiteOf(raster);
    for (let i = 0; i < image.length; i++) image[i] = planes[i] / white;
  });
}
