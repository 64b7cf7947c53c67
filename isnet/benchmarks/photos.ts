// Photographs as backgrounds: a patch of the photograph of a class, at a random place.
import { UsageError } from '../../engine/errors.ts';
import type { RandomStream } from '../../engine/random-bits.ts';
import type { Canvas, Scenery } from './scenes.ts';

/** A photograph in colours, [height, width, 3], lying. */
export interface Photo {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  readonly rgb: Uint8Array;
}

type Half = 'left' | 'right';

/**
 * The first photographs belong to the classes, in their order; patches of a class come from one half of its photograph, so
 * that tests show what training has not. The others are new: patches come from all of them. Throws UsageError if there is
 * no new one.
 */
export function photoScenery(photos: readonly Photo[], classCount: number, half: Half): Scenery {
  if (photos.length <= classCount) {
    throw new UsageError(
      `benchmark: ${photos.length} photographs for ${classCount} classes; there must be at least one more, for the test with new ones`,
    );
  }
  return {
    paint(canvas, shown, random) {
      if (typeof shown === 'number') paintPatch(canvas, photos[shown], half, random);
      else paintPatch(canvas, photos[classCount + random.below(photos.length - classCount)], half, random);
    },
  };
}

/** A patch as large as the canvas, mirrored half of the time. */
function paintPatch(canvas: Canvas, photo: Photo, half: Half, random: RandomStream): void {
  const { height, width, image } = canvas;
  const middle = Math.floor(photo.width / 2);
  const left = (half === 'left' ? 0 : middle) + random.below(middle - width + 1);
  const top = random.below(photo.height - height + 1);
  const isMirrored = random.below(2) === 1;
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const from = 3 * ((top + y) * photo.width + left + (isMirrored ? width - 1 - x : x));
      for (let c = 0; c < 3; c++) image[c * height * width + p] = photo.rgb[from + c] / 255;
    }
  }
}
