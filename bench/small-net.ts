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
const BLOCKS = [
  { channels: 8, kernel: 5, stride: 2 },
  { channels: 16, kernel: 3, stride: 2 },
];
const HIDDEN = [32];
export const LABEL = `[${BATCH_SIZE}, 1, ${SIZE}, ${SIZE}], conv 8-16, hidden ${HIDDEN}`;

// Relevance divides by small pre-activations, and the gradient of that again: some digits of f32 go.
export const STEP_TOLERANCE = 2e-3;

export function newModel(device: Device): SmallCnn {
  const init = { device, random: randomStream(0, 'bench/init') };
  const options = { inChannels: 1, imageSize: [SIZE, SIZE], classCount: CLASS_COUNT } as const;
  return new SmallCnn(init, { ...options, blocks: BLOCKS, hidden: HIDDEN });
}

/** Random images with a square of foreground each: what is in them makes no difference to the time. */
export function randomImages(count: number): Dataset {
  const random = randomStream(0, 'bench/images');
  const masks = new Float32Array(count * SIZE * SIZE);
  for (let n = 0; n < count; n++) {
    for (let row = 8; row < 20; row++)
      masks.fill(1, (n * SIZE + row) * SIZE + 8, (n * SIZE + row) * SIZE + 20);
  }
  return {
    images: Float32Array.from(masks, () => random.uniform()),
    masks,
    labels: Uint8Array.from({ length: count }, () => random.below(CLASS_COUNT)),
    count,
    channels: 1,
    height: SIZE,
    width: SIZE,
    classNames: Array.from({ length: CLASS_COUNT }, (_, i) => String(i)),
  };
}
