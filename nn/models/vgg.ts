// VGG (Simonyan and Zisserman 2015, arXiv:1409.1556) with torchvision's structure, names and initial weights.
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { kaimingNormalByOutputs, normalOf } from '../init.ts';
import { AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, MaxPool2d } from '../layers.ts';
import { type Init, type Module, Sequential } from '../module.ts';
import { type RectifierOptions, rectifier } from '../rectifier.ts';
import { linear } from '../wide-linear.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

/** Convolutions in each of the five stages; their channels are 64, 128, 256, 512, 512. */
export const vggSizes = {
  vgg11: { counts: [1, 1, 2, 2, 2], batchNorm: false },
  vgg13: { counts: [2, 2, 2, 2, 2], batchNorm: false },
  vgg16: { counts: [2, 2, 3, 3, 3], batchNorm: false },
  vgg19: { counts: [2, 2, 4, 4, 4], batchNorm: false },
  vgg11_bn: { counts: [1, 1, 2, 2, 2], batchNorm: true },
  vgg13_bn: { counts: [2, 2, 2, 2, 2], batchNorm: true },
  vgg16_bn: { counts: [2, 2, 3, 3, 3], batchNorm: true },
  vgg19_bn: { counts: [2, 2, 4, 4, 4], batchNorm: true },
} as const;

const STAGE_CHANNELS = [64, 128, 256, 512, 512] as const;

export interface VggOptions extends NetworkOptions, RectifierOptions {
  readonly counts: readonly number[];
  readonly batchNorm: boolean;
}

/** The convolutions, with max-pooling behind each stage. Biases stay under BatchNorm, as in torchvision. */
export function vggFeatures(
  init: Init,
  { counts, batchNorm, inChannels = 3, negativeSlope }: Omit<VggOptions, 'classes'>,
): Sequential {
  const layers: Module[] = [];
  let channels = inChannels;
  counts.forEach((count, stage) => {
    for (let i = 0; i < count; i++) {
      const next = STAGE_CHANNELS[stage];
      layers.push(new Conv2d(init, channels, next, 3, { padding: 1, initialWeight: kaimingNormalByOutputs }));
      if (batchNorm) layers.push(new BatchNorm2d(init, next));
      layers.push(rectifier(negativeSlope));
      channels = next;
    }
    layers.push(new MaxPool2d(2));
  });
  return new Sequential(...layers);
}

/** Images [N, C, H, W] -> logits [N, classes], with dropout 0.5 behind both hidden layers, as in torchvision. */
export class Vgg extends Classifier {
  readonly headName = 'classifier.6';
  readonly features: Sequential;
  readonly avgpool: AdaptiveAvgPool2d;
  readonly flatten: Flatten;
  readonly classifier: Sequential;

  constructor(init: Init, options: VggOptions) {
    super();
    const { classes, dropout = 0.5, negativeSlope } = options;
    this.features = vggFeatures(init, options);
    this.avgpool = new AdaptiveAvgPool2d(7);
    this.flatten = new Flatten();
    const dense = (from: number, to: number): Module =>
      linear(init, from, to, { initialWeight: normalOf(0.01) });
    this.classifier = new Sequential(
      dense(512 * 7 * 7, 4096),
      rectifier(negativeSlope),
      new Dropout(init, dropout),
      dense(4096, 4096),
      rectifier(negativeSlope),
      new Dropout(init, dropout),
      dense(4096, classes),
    );
  }

  forward(x: Tensor): Tensor {
    return this.classifier.forward(this.flatten.forward(this.avgpool.forward(this.features.forward(x))));
  }
}
