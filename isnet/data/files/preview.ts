// Pictures of what training will see: images in their frame, varied if asked for, with the outlines of their masks.
import { grayImage, maskContour, mosaic, type Picture, rgbImage, upscale } from '../../../lrp/picture.ts';
import type { ImageDataConfig } from '../../config.ts';
import { centred, cut, drawVariation } from '../augment.ts';
import { withMargin } from '../mask-margin.ts';
import { maskCountOf, type Sample, type SampleList } from '../sample-list.ts';
import { prepareSample } from './prepare.ts';

export interface PreviewOptions {
  /** Numbers of samples in the list. */
  readonly indices: readonly number[];
  readonly columns: number;
  /** Vary the images as in this epoch of training; as in validation if left out. */
  readonly epoch?: number;
  readonly seed: number;
}

// A mask's outline on a picture smaller than this hides what it surrounds.
const LEAST_SIDE = 96;

/** The mosaic. Rejects with DataError, naming the file, for a sample that cannot be used. */
export async function previewMosaic(
  list: SampleList,
  config: ImageDataConfig,
  { indices, columns, epoch, seed }: PreviewOptions,
): Promise<Picture> {
  const pictures: Picture[] = [];
  for (const index of indices) {
    const variation =
      epoch === undefined
        ? centred(config.cropMargin, config.cropMargin)
        : drawVariation({ seed, epoch, index }, config.augment, config.cropMargin, config.cropMargin);
    pictures.push(await previewOf(list.samples[index], list, config, variation));
  }
  const rows: Picture[][] = [];
  for (let i = 0; i < pictures.length; i += columns) rows.push(pictures.slice(i, i + columns));
  return mosaic(rows, { gap: 4, background: [128, 128, 128] });
}

async function previewOf(
  sample: Sample,
  list: SampleList,
  { height, width, channels, resize, cropMargin, maskMargin, emptyMasks }: ImageDataConfig,
  variation: ReturnType<typeof centred>,
): Promise<Picture> {
  const frame = { channels, resize, height: height + cropMargin, width: width + cropMargin };
  const maskCount = maskCountOf(list);
  const prepared = await prepareSample(sample, { frame, emptyMasks, classNames: list.classNames, maskCount });
  const image = new Float32Array(channels * height * width);
  const masks = new Float32Array(maskCount * height * width);
  const framed = { ...prepared, channels, height: frame.height, width: frame.width };
  cut(framed, variation, { image, masks, height, width });
  const grown = withMargin(masks, height, width, maskMargin);
  const picture = channels === 3 ? rgbImage(image, { height, width }) : grayImage(image, { height, width });
  const factor = Math.max(1, Math.ceil(LEAST_SIDE / Math.min(height, width)));
  let outlined = upscale(picture, factor);
  for (let m = 0; m < maskCount; m++) {
    const mask = grown.subarray(m * height * width, (m + 1) * height * width);
    outlined = maskContour(outlined, mask, { factor });
  }
  return outlined;
}
