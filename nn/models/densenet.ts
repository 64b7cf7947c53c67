// DenseNet-BC (Huang et al. 2017, arXiv:1608.06993) with torchvision's structure, names and initial weights.
import { concat } from '../../engine/ops/layout.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { kaimingNormal, linearUniform } from '../init.ts';
import { AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d } from '../layers.ts';
import { type Init, Module, Sequential } from '../module.ts';
import { type RectifierOptions, rectifier } from '../rectifier.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

interface ConvSizes {
  readonly stride?: number;
  readonly padding?: number;
}

const conv = (init: Init, from: number, to: number, kernel: number, sizes: ConvSizes = {}): Conv2d =>
  new Conv2d(init, from, to, kernel, { ...sizes, bias: false, initialWeight: kaimingNormal });

interface DenseOptions extends RectifierOptions {
  readonly growth: number;
  /** Channels between the two convolutions of a layer, in units of `growth`. */
  readonly bottleneck: number;
}

/** conv3x3 relu norm conv1x1 relu norm: `growth` new channels from all channels so far. */
class DenseLayer extends Module {
  readonly norm1: BatchNorm2d;
  readonly relu1: Module;
  readonly conv1: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly relu2: Module;
  readonly conv2: Conv2d;

  constructor(init: Init, from: number, { growth, bottleneck, negativeSlope }: DenseOptions) {
    super();
    this.norm1 = new BatchNorm2d(init, from);
    this.relu1 = rectifier(negativeSlope);
    this.conv1 = conv(init, from, bottleneck * growth, 1);
    this.norm2 = new BatchNorm2d(init, bottleneck * growth);
    this.relu2 = rectifier(negativeSlope);
    this.conv2 = conv(init, bottleneck * growth, growth, 3, { padding: 1 });
  }

  forward(x: Tensor): Tensor {
    const y = this.conv1.forward(this.relu1.forward(this.norm1.forward(x)));
    return this.conv2.forward(this.relu2.forward(this.norm2.forward(y)));
  }
}

/** Every layer's result is joined to what came before. */
class DenseBlock extends Module {
  readonly #layers: readonly DenseLayer[];

  constructor(init: Init, from: number, count: number, options: DenseOptions) {
    super();
    this.#layers = Array.from(
      { length: count },
      (_, i) => new DenseLayer(init, from + i * options.growth, options),
    );
  }

  override children(): [string, Module][] {
    return this.#layers.map((layer, i) => [`denselayer${i + 1}`, layer]);
  }

  // One pair at a time: joining all parts anew for each layer costs as many bytes, and commands by the square of layers.
  forward(x: Tensor): Tensor {
    return this.#layers.reduce((all, layer) => concat([all, layer.forward(all)], 1), x);
  }
}

/** Channels of the stem, new channels per layer, and layers in each of the four blocks. */
export const densenetSizes = {
  densenet121: { stem: 64, growth: 32, counts: [6, 12, 24, 16] },
  densenet161: { stem: 96, growth: 48, counts: [6, 12, 36, 24] },
  densenet169: { stem: 64, growth: 32, counts: [6, 12, 32, 32] },
  densenet201: { stem: 64, growth: 32, counts: [6, 12, 48, 32] },
} as const;

export interface DenseNetOptions extends NetworkOptions, RectifierOptions {
  readonly stem: number;
  readonly growth: number;
  readonly counts: readonly number[];
  /**
   * The ISNet authors' variant: one more ReLU in each transition, between convolution and pooling, so that LRP-Flex has
   * its stabiliser there. Names are the same, outputs are not: torchvision's weights want `false`, the default.
   */
  readonly isTransitionRectified?: boolean;
}

/** `bottleneck` of all published DenseNets. */
const BOTTLENECK = 4;

/** Halves channels and pixels between two blocks. */
function transition(
  init: Init,
  channels: number,
  { isTransitionRectified = false, negativeSlope }: DenseNetOptions,
): Sequential {
  const relu2: [string, Module][] = isTransitionRectified ? [['relu2', rectifier(negativeSlope)]] : [];
  return Sequential.named([
    ['norm', new BatchNorm2d(init, channels)],
    ['relu', rectifier(negativeSlope)],
    ['conv', conv(init, channels, channels / 2, 1)],
    ...relu2,
    ['pool', new AvgPool2d(2)],
  ]);
}

/** Images [N, C, H, W] -> logits [N, classes]. No dropout unless asked for; the ISNet authors use 0.5. */
export class DenseNet extends Classifier {
  readonly headName = 'classifier';
  readonly features: Sequential;
  readonly relu: Module;
  readonly avgpool: AdaptiveAvgPool2d;
  readonly flatten: Flatten;
  readonly dropout: Dropout;
  readonly classifier: Linear;

  constructor(init: Init, options: DenseNetOptions) {
    super();
    const { stem, growth, counts, classes, inChannels = 3, dropout = 0, negativeSlope } = options;
    const features: [string, Module][] = [
      ['conv0', conv(init, inChannels, stem, 7, { stride: 2, padding: 3 })],
      ['norm0', new BatchNorm2d(init, stem)],
      ['relu0', rectifier(negativeSlope)],
      ['pool0', new MaxPool2d(3, { stride: 2, padding: 1 })],
    ];
    let channels = stem;
    counts.forEach((count, i) => {
      const sizes = { growth, bottleneck: BOTTLENECK, negativeSlope };
      features.push([`denseblock${i + 1}`, new DenseBlock(init, channels, count, sizes)]);
      channels += count * growth;
      if (i === counts.length - 1) return;
      features.push([`transition${i + 1}`, transition(init, channels, options)]);
      channels /= 2;
    });
    features.push(['norm5', new BatchNorm2d(init, channels)]);
    this.features = Sequential.named(features);
    this.relu = rectifier(negativeSlope);
    this.avgpool = new AdaptiveAvgPool2d(1);
    this.flatten = new Flatten();
    this.dropout = new Dropout(init, dropout);
    this.classifier = new Linear(init, channels, classes, { initialWeight: linearUniform });
  }

  forward(x: Tensor): Tensor {
    const pooled = this.avgpool.forward(this.relu.forward(this.features.forward(x)));
    return this.classifier.forward(this.dropout.forward(this.flatten.forward(pooled)));
  }
}
