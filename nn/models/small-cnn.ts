// A small configurable classifier: strided convolutions with ReLUs, leaky ones where asked, then fully connected layers.
import { UsageError } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { Conv2d, Dropout, Flatten, Linear, MaxPool2d } from '../layers.ts';
import { type Init, type Module, Sequential } from '../module.ts';
import { type RectifierOptions, rectifier } from '../rectifier.ts';
import { Classifier } from './classifier.ts';

/** One convolution with its ReLU, and max-pooling behind it where asked. */
export interface ConvBlock {
  readonly channels: number;
  readonly kernel: number;
  readonly stride?: number;
  /** Size of a max-pooling after the ReLU; 1 for none. */
  readonly pool?: number;
}

export interface SmallCnnOptions extends RectifierOptions {
  readonly inChannels: number;
  /** Height and width of the images. */
  readonly imageSize: readonly [number, number];
  readonly classCount: number;
  readonly blocks: readonly ConvBlock[];
  /** Sizes of the hidden fully connected layers. */
  readonly hidden?: readonly number[];
  readonly batchNorm?: boolean;
  /** Biases in the convolutions, which BatchNorm's shift replaces (true). */
  readonly convBias?: boolean;
  /** Share of units dropped before the last layer. */
  readonly dropout?: number;
}

/** Convolutions with ReLUs, and BatchNorm between them where asked: images [N, inChannels, H, W] -> [N, channels, h, w]. */
export function convFeatures(
  init: Init,
  inChannels: number,
  blocks: readonly ConvBlock[],
  options: Pick<SmallCnnOptions, 'batchNorm' | 'convBias' | 'negativeSlope'> = {},
): { readonly network: Sequential; readonly channels: number } {
  const { batchNorm = false, convBias = true, negativeSlope } = options;
  const layers: Module[] = [];
  let channels = inChannels;
  for (const { channels: next, kernel, stride = 1, pool = 1 } of blocks) {
    const padding = Math.floor(kernel / 2);
    layers.push(new Conv2d(init, channels, next, kernel, { stride, padding, bias: convBias && !batchNorm }));
    if (batchNorm) layers.push(new BatchNorm2d(init, next));
    layers.push(rectifier(negativeSlope));
    if (pool > 1) layers.push(new MaxPool2d(pool));
    channels = next;
  }
  return { network: new Sequential(...layers), channels };
}

/** A side of the image behind the blocks. */
function sideBehind(blocks: readonly ConvBlock[], side: number): number {
  return blocks.reduce((n, { kernel, stride = 1, pool = 1 }) => {
    const padding = Math.floor(kernel / 2);
    return Math.floor((Math.floor((n + 2 * padding - kernel) / stride) + 1) / pool);
  }, side);
}

/** `features` (convolutions) and `classifier` (fully connected), named as torchvision's VGG names them. */
export class SmallCnn extends Classifier {
  readonly headName: string;
  readonly features: Sequential;
  readonly classifier: Sequential;

  constructor(init: Init, options: SmallCnnOptions) {
    super();
    const { inChannels, classCount, blocks, hidden = [], negativeSlope, dropout = 0 } = options;
    const { network, channels } = convFeatures(init, inChannels, blocks, options);
    const [height, width] = options.imageSize.map((side) => sideBehind(blocks, side));
    if (height < 1 || width < 1) {
      throw new UsageError(
        `SmallCnn: an image of [${options.imageSize}] shrinks to nothing; use fewer strides and pools`,
      );
    }
    const classifier: Module[] = [];
    let size = channels * height * width;
    for (const next of hidden) {
      classifier.push(new Linear(init, size, next), rectifier(negativeSlope));
      size = next;
    }
    if (dropout > 0) classifier.push(new Dropout(init, dropout));
    classifier.push(new Linear(init, size, classCount, { gain: 1 }));
    this.features = network;
    this.classifier = new Sequential(new Flatten(), ...classifier);
    this.headName = `classifier.${classifier.length}`;
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.features.forward(x));
  }
}
