// Fashion-MNIST as objects that can stand before any background: photographs of garments on black, cut out.
import type { RandomStream } from '../../engine/random-bits.ts';
import type { Digits } from '../data/idx.ts';
import { blend, type Canvas, type Objects } from './scenes.ts';

/** The ten classes of Fashion-MNIST, in the order of its labels. */
export const garmentNames = [
  't-shirt',
  'trousers',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'ankle-boot',
] as const;

/** A garment [H, W] off its background, both 0 to 255. */
interface CutOut {
  readonly alpha: Uint8Array;
  readonly grey: Uint8Array;
}

/**
 * Garments in the middle of the canvas or up to `shift` pixels off it, in each direction. The mask is where the garment is;
 * the canvas must have room for the shift.
 */
export function garments(pictures: Digits, { shift }: { readonly shift: number }): Objects {
  // Every garment stands in several scenes.
  const cutOuts = new Map<number, CutOut>();
  return {
    labels: pictures.labels,
    classNames: garmentNames,
    draw(canvas, n, random) {
      const cutOut = cutOuts.get(n) ?? cutOutOf(pictures, n);
      cutOuts.set(n, cutOut);
      const top = Math.round((canvas.height - pictures.height) / 2) + shiftBy(random, shift);
      const left = Math.round((canvas.width - pictures.width) / 2) + shiftBy(random, shift);
      drawAt(canvas, cutOut, pictures, top, left);
    },
  };
}

const shiftBy = (random: RandomStream, most: number): number => random.below(2 * most + 1) - most;

function drawAt(
  canvas: Canvas,
  { alpha, grey }: CutOut,
  { height, width }: Digits,
  top: number,
  left: number,
): void {
  const color = new Float32Array(canvas.channels);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (alpha[i] === 0) continue;
      const pixel = (top + y) * canvas.width + left + x;
      blend(canvas, pixel, alpha[i] / 255, color.fill(grey[i] / 255));
      canvas.mask[pixel] = 1;
    }
  }
}

// Traces of compression and shadow round the garments are darker than this, most dark cloth is brighter.
const DARKEST = 16;

/**
 * The pixels that are not near black, closed by a 3x3 square because dark cloth has holes in it. Pixels at the rim are a
 * mixture of cloth and black: they get the brightest grey around them, and are as opaque as they are bright beside it.
 * Without that a dark line would run round every garment.
 */
function cutOutOf({ pixels, height, width }: Digits, n: number): CutOut {
  const size = height * width;
  const picture = pixels.subarray(n * size, (n + 1) * size);
  const lit = picture.map((value) => Number(value > DARKEST));
  const closed = spread(spread(lit, height, width, Math.max), height, width, Math.min);
  const inner = spread(closed, height, width, Math.min);
  const brightest = spread(picture, height, width, Math.max);
  const alpha = new Uint8Array(size);
  const grey = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    if (closed[i] === 0) continue;
    const isRim = inner[i] === 0;
    grey[i] = isRim ? brightest[i] : picture[i];
    alpha[i] = isRim ? Math.round((255 * picture[i]) / brightest[i]) : 255;
  }
  return { alpha, grey };
}

type Join = (a: number, b: number) => number;

/** Each pixel and its eight neighbours made one; beyond the edge there is nothing to be seen. */
function spread(plane: Uint8Array, height: number, width: number, join: Join): Uint8Array {
  const along = new Uint8Array(plane.length);
  for (let i = 0; i < plane.length; i++) {
    const x = i % width;
    const left = x > 0 ? join(plane[i - 1], plane[i]) : plane[i];
    along[i] = x < width - 1 ? join(left, plane[i + 1]) : left;
  }
  const joined = new Uint8Array(plane.length);
  for (let i = 0; i < plane.length; i++) {
    const above = i >= width ? join(along[i - width], along[i]) : along[i];
    joined[i] = i < (height - 1) * width ? join(above, along[i + width]) : above;
  }
  return joined;
}
