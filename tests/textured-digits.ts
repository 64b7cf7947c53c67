// A data set of picture files whose backgrounds betray the classes: MNIST digits on coloured stripes, with masks.
import { join } from 'node:path';
import sharp from 'sharp';
import { randomStream } from '../engine/random-bits.ts';
import type { Digits } from '../isnet/data/idx.ts';
import { loadMnist } from '../isnet/data/mnist.ts';
import { write } from './image-files.ts';

export interface TexturedOptions {
  /** Images per split; each has equally many of each class. */
  readonly counts: Readonly<Record<string, number>>;
  readonly size: number;
  /** Which digits; class c has stripes in direction c. */
  readonly digits?: readonly number[];
}

/** Stripes of a split: those of the class, of any class, or of another one. */
type Stripes = 'own' | 'any' | 'other';

const stripesOf = (split: string): Stripes =>
  split === 'test-unbiased' ? 'any' : split === 'test-deceiving' ? 'other' : 'own';

/** [size, size, 3]: stripes in one of `count` directions, in two random colours, with noise. */
function stripes(direction: number, count: number, size: number, stream: string, n: number): Uint8Array {
  const random = randomStream(0, `stripes ${stream}`, n);
  const angle = (Math.PI * direction) / count;
  const phase = random.uniform() * 6;
  const colours = [0, 1].map(() => [0, 1, 2].map(() => 40 + 130 * random.uniform()));
  const out = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const wave = Math.sin((x * Math.cos(angle) + y * Math.sin(angle)) * 0.8 + phase);
      for (let c = 0; c < 3; c++) {
        const share = 0.5 + 0.5 * wave;
        const value = share * colours[0][c] + (1 - share) * colours[1][c];
        out[(y * size + x) * 3 + c] = value + 40 * (random.uniform() - 0.5);
      }
    }
  }
  return out;
}

/** The digit in white over the background, and its mask. */
function compose(digit: Uint8Array, background: Uint8Array, size: number) {
  const image = background.slice();
  const mask = new Uint8Array(size * size);
  const margin = Math.floor((size - 28) / 2);
  for (let i = 0; i < 28 * 28; i++) {
    const alpha = digit[i] / 255;
    const place = (Math.floor(i / 28) + margin) * size + (i % 28) + margin;
    for (let c = 0; c < 3; c++) {
      image[3 * place + c] = (1 - alpha) * image[3 * place + c] + alpha * 255;
    }
    mask[place] = digit[i] >= 64 ? 255 : 0;
  }
  return { image, mask };
}

const png = (data: Uint8Array, size: number, channels: 1 | 3): Promise<Buffer> =>
  sharp(data, { raw: { width: size, height: size, channels } })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();

/** Writes data/ and masks/. Tests show the same digits under the same names, and differ in their stripes. */
export async function writeTexturedDigits(root: string, options: TexturedOptions): Promise<string> {
  const { counts, size, digits = [3, 5, 8] } = options;
  const mnist = loadMnist();
  const next = new Map<string, number>();
  for (const [split, count] of Object.entries(counts)) {
    const set: Digits = split.startsWith('test') ? mnist.test : mnist.train;
    for (let n = 0; n < count; n++) {
      const c = n % digits.length;
      const pool = `${split.startsWith('test') ? split : 'train'} ${c}`;
      let place = next.get(pool) ?? 0;
      while (set.labels[place] !== digits[c]) place++;
      next.set(pool, place + 1);
      const shift = { own: 0, any: Math.floor(n / digits.length), other: 1 + (n % (digits.length - 1)) };
      const direction = (c + shift[stripesOf(split)]) % digits.length;
      const stream = split.startsWith('test') ? 'test' : split;
      const background = stripes(direction, digits.length, size, stream, n);
      const pixels = set.pixels.subarray(place * 784, (place + 1) * 784);
      const { image, mask } = compose(pixels, background, size);
      const file = join(split, `digit-${digits[c]}`, `${String(n).padStart(4, '0')}.png`);
      write(join(root, 'data', file), await png(image, size, 3));
      write(join(root, 'masks', file), await png(mask, size, 1));
    }
  }
  return root;
}
