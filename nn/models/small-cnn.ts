// A small configurable classifier: strided convolutions with ReLU, then fully connected layers.
import { UsageError } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU } from '../layers.ts';
import { type Init, type Module, Sequential } from '../module.ts';
import { Classifier } from './classifier.ts';

/** One convolution with its ReLU, and max-pooling behind it where asked. */
export interface ConvBlock {
  readonly channels: number;
  readonly kernel: number;
  readonly stride?: number;
  /** Size of a max-pooling after the ReLU; 1 for none. */
  readonly pool?: number;
}

export interface SmallCnnOptions {
  readonly inChannels: number;
  /** Height and width of the images. */
  readonly imageSize: readonly [number, number];
  readonly classCount: number;
  readonly blocks: readonly ConvBlock[];
  /** Sizes of the hidden fully connected layers. */
  readonly hidden?: readonly number[];
  readonly batchNorm?: boolean;
  /** Share of units dropped before the last layer. */
  readonly dropout?: number;
}

/** `features` (convolutions) and `classifier` (fully connected), named as torchvision's VGG names them. */
export class SmallCnn extends Classifier {
  readonly headName: string;
  readonly features: Sequential;
  readonly classifier: Sequential;

  constructor(init: Init, options: SmallCnnOptions) {
    super();
    const { inChannels, classCount, blocks, hidden = [], batchNorm = false, dropout = 0 } = options;
    let channels = inChannels;
    let [height, width] = options.imageSize;
    const features: Module[] = [];
    for (const { channels: next, kernel, stride = 1, pool = 1 } of blocks) {
      const padding = Math.floor(kernel / 2);
      features.push(new Conv2d(init, channels, next, kernel, { stride, padding, bias: !batchNorm }));
      if (batchNorm) features.push(new BatchNorm2d(init, next));
      features.push(new ReLU());
      if (pool > 1) features.push(new MaxPool2d(pool));
      const shrink = (n: number) => Math.floor((Math.floor((n + 2 * padding - kernel) / stride) + 1) / pool);
      [height, width] = [shrink(height), shrink(width)];
      channels = next;
    }
    if (height < 1 || width < 1) {
      throw new UsageError(
        `SmallCnn: an image of [${options.imageSize}] shrinks to nothing; use fewer strides and pools`,
      );
    }
    const classifier: Module[] = [];
    let size = channels * height * width;
    for (const next of hidden) {
      classifier.push(new Linear(init, size, next), new ReLU());
      size = next;
    }
    if (dropout > 0) classifier.push(new Dropout(init, dropout));
    classifier.push(new Linear(init, size, classCount, { gain: 1 }));
    this.features = new Sequential(...features);
    this.classifier = new Sequential(new Flatten(), ...classifier);
    this.headName = `classifier.${classifier.length}`;
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.features.forward(x));
  }
}
