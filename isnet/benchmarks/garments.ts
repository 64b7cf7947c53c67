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

/** A garment [H, W] off its background. */
interface CutOut {
  /** 0 to 1. */
  readonly alpha: Float32Array;
  readonly grey: Float32Array;
}

/**
 * Garments in the middle of the canvas or up to `shift` pixels off it, in each direction. The mask is where the garment is;
 * the canvas must have room for the shift.
 */
export function garments(pictures: Digits, { shift }: { readonly shift: number }): Objects {
  return {
    labels: pictures.labels,
    classNames: garmentNames,
    draw(canvas, n, random) {
      const cutOut = cutOutOf(pictures, n);
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
) {
  const color = new Float32Array(canvas.image.length / canvas.mask.length);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (alpha[i] === 0) continue;
      const pixel = (top + y) * canvas.width + left + x;
      blend(canvas, pixel, alpha[i], color.fill(grey[i]));
      canvas.mask[pixel] = 1;
    }
  }
}

/**
 * The pixels that are not black, closed by a 3x3 square because dark cloth has holes in it. Pixels at the rim are a mixture of
 * cloth and black: they get the brightest grey around them, and are as opaque as they are bright beside it. Without that
 * a dark line would run round every garment.
 */
function cutOutOf({ pixels, height, width }: Digits, n: number): CutOut {
  const size = height * width;
  const picture = pixels.subarray(n * size, (n + 1) * size);
  const lit = picture.map((value) => Number(value > 0));
  const closed = spread(spread(lit, height, width, Math.max), height, width, Math.min);
  const inner = spread(closed, height, width, Math.min);
  const brightest = spread(picture, height, width, Math.max);
  const alpha = new Float32Array(size);
  const grey = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    if (closed[i] === 0) continue;
    const isRim = inner[i] === 0 && brightest[i] > 0;
    grey[i] = (isRim ? brightest[i] : picture[i]) / 255;
    alpha[i] = isRim ? picture[i] / brightest[i] : 1;
  }
  return { alpha, grey };
}

/** Each pixel and its eight neighbours made one; beyond the edge there is nothing to be seen. */
function spread(
  plane: Uint8Array,
  height: number,
  width: number,
  join: (a: number, b: number) => number,
): Uint8Array {
  return plane.map((value, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    let joined = value;
    for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++) {
      for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
        joined = join(joined, plane[v * width + u]);
      }
    }
    return joined;
  });
}
