// The network and the images that whole-step benchmarks share.
import { randomStream } from '../engine/random-bits.ts';
import type { Device } from '../engine/tensor.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';

// Fixed here and not the quickstart's, so that numbers stay comparable when that changes.
export const BATCH_SIZE = 32;
export const CHECKED_SIZE = 8;
export const SIZE = 28;
export const CLASS_COUNT = 10;
export const BLOCKS = [
  { channels: 8, kernel: 5, stride: 2 },
  { channels: 16, kernel: 3, stride: 2 },
];
export const HIDDEN = [32];
export const LABEL = `[${BATCH_SIZE}, 1, ${SIZE}, ${SIZE}], conv 8-16, hidden ${HIDDEN}`;

// Relevance divides by small pre-activations, and the gradient of that again: some digits of f32 go.
export const STEP_TOLERANCE = 2e-3;

export function newModel(device: Device): SmallCnn {
  const init = { device, random: randomStream(0, 'bench/init') };
  const options = { inChannels: 1, imageSize: [SIZE, SIZE], classCount: CLASS_COUNT } as const;
  return new SmallCnn(init, { ...options, blocks: BLOCKS, hidden: HIDDEN });
}

/** What random images are like; by default as the small network takes them. */
export interface ImageForm {
  readonly channels?: number;
  readonly size?: number;
  readonly classCount?: number;
}

/** Random images, their middle as foreground: what is in them makes no difference to the time. */
export function randomImages(
  count: number,
  { channels = 1, size = SIZE, classCount = CLASS_COUNT }: ImageForm = {},
): Dataset {
  const random = randomStream(0, 'bench/images');
  const masks = new Float32Array(count * size * size);
  const [from, to] = [Math.round((2 / 7) * size), Math.round((5 / 7) * size)];
  for (let n = 0; n < count; n++) {
    for (let row = from; row < to; row++) {
      const start = (n * size + row) * size;
      masks.fill(1, start + from, start + to);
    }
  }
  return {
    images: Float32Array.from({ length: count * channels * size * size }, () => random.uniform()),
    masks,
    labels: Uint8Array.from({ length: count }, () => random.below(classCount)),
    count,
    channels,
    height: size,
    width: size,
    classNames: Array.from({ length: classCount }, (_, i) => String(i)),
  };
}
