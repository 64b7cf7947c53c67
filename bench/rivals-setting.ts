// Networks and images that the costs of methods are measured with, and what all of those measurements share.
import { randomStream } from '../engine/random-bits.ts';
import type { Device } from '../engine/tensor.ts';
import { uploadBatch } from '../isnet/batch.ts';
import type { ModelConfig } from '../isnet/config.ts';
import { quantile } from '../isnet/evaluation/bootstrap.ts';
import type { ModelInput } from '../isnet/from-config.ts';
import type { Batch } from '../isnet/objective.ts';
import { networkDefaults } from '../isnet/quickstart-config.ts';
import type { MethodSetting } from '../isnet/rivals/method.ts';
import { type Networks, publishedNetworks, smallNetworks } from '../isnet/rivals/networks.ts';
import { createModel } from '../nn/models/index.ts';
import { BLOCKS, CLASS_COUNT, HIDDEN, randomImages, SIZE } from './small-net.ts';

/** Networks for images of one size. */
export interface RivalSetting {
  readonly name: string;
  readonly input: ModelInput;
  readonly networks: Networks;
  /** The classifier among them, as weights files describe it. */
  readonly classifier: ModelConfig;
  /** Of training steps. */
  readonly batchSize: number;
  /** Calls are repeated for so long before each wait: steps of seconds need no repetition. */
  readonly turnMs: number;
}

const classNames = Array.from({ length: CLASS_COUNT }, (_, i) => String(i));
const sizes = {
  blocks: BLOCKS,
  hidden: HIDDEN,
  batchNorm: false,
  convBias: true,
  negativeSlope: 0,
  dropout: 0,
};

export const settings: readonly RivalSetting[] = [
  {
    name: `small, ${SIZE}x${SIZE}`,
    input: { channels: 1, height: SIZE, width: SIZE, classNames },
    networks: smallNetworks(sizes),
    classifier: { kind: 'small-cnn', ...sizes, weights: null },
    batchSize: 32,
    turnMs: 250,
  },
  {
    name: 'resnet18, 64x64',
    input: { channels: 3, height: 64, width: 64, classNames },
    // Beside it the U-Nets of the papers. Grad-CAM looks at the last maps, which here have no name of DenseNet's.
    networks: {
      ...publishedNetworks(),
      attentionLayer: undefined,
      classifier: (init, { channels, height }) =>
        createModel('resnet18', init, { classes: CLASS_COUNT, inChannels: channels, imageSize: height }),
    },
    classifier: { kind: 'resnet18', ...networkDefaults },
    batchSize: 8,
    turnMs: 250,
  },
];

/** What a method is planned with; another seed draws other weights. */
export const settingOn = (
  device: Device,
  { input, networks }: RivalSetting,
  seed: number,
  isBlank = false,
): MethodSetting => ({ init: { device, random: randomStream(seed, 'init'), isBlank }, input, networks });

/** Uploads the batch that training steps of the setting take. */
export function uploadOf(device: Device, { batchSize, input }: RivalSetting): () => Batch {
  const { channels, height: size, classNames } = input;
  const images = randomImages(batchSize, { channels, size, classCount: classNames.length });
  const indices = Uint32Array.from({ length: batchSize }, (_, i) => i);
  return () => uploadBatch(device, images, indices);
}

/** A median and how far the rest strays. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly p90: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) => quantile(sorted, q);
  return { median: at(0.5), min: sorted[0], p90: at(0.9), max: sorted[sorted.length - 1] };
}

/** How many times as long as `base`, round by round. */
export const ratioOf = (times: readonly number[], base: readonly number[]): Spread =>
  spreadOf(times.map((ms, round) => ms / base[round]));

/** `2.1 (1.9-2.3)` */
export const ratioText = ({ median, min, max }: Spread): string =>
  `${median.toPrecision(3)} (${min.toPrecision(3)}-${max.toPrecision(3)})`;
