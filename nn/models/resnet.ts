// ResNet (He et al. 2016, arXiv:1512.03385) with torchvision's structure, names and initial weights.
import { add } from '../../engine/ops/arithmetic.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { kaimingNormalByOutputs, linearUniform, uniformWithin } from '../init.ts';
import { AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d } from '../layers.ts';
import { type Init, Module, Sequential } from '../module.ts';
import { type RectifierOptions, rectifier } from '../rectifier.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

/** A convolution as BatchNorm wants it: without a bias, which the norm would take away again. */
function conv(init: Init, from: number, to: number, kernel: number, stride = 1): Conv2d {
  const padding = (kernel - 1) / 2;
  return new Conv2d(init, from, to, kernel, {
    stride,
    padding,
    bias: false,
    initialWeight: kaimingNormalByOutputs,
  });
}

/** The way around a block whose output has another shape than its input. */
function shortcut(init: Init, from: number, to: number, stride: number): Sequential | null {
  if (stride === 1 && from === to) return null;
  return new Sequential(conv(init, from, to, 1, stride), new BatchNorm2d(init, to));
}

interface BlockOptions extends RectifierOptions {
  readonly from: number;
  readonly width: number;
  readonly stride: number;
}

/** relu(x + norm conv relu norm conv x), both 3x3: the block of ResNet-18 and 34. */
class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly relu: Module;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(init: Init, { from, width, stride, negativeSlope }: BlockOptions) {
    super();
    this.conv1 = conv(init, from, width, 3, stride);
    this.bn1 = new BatchNorm2d(init, width);
    this.relu = rectifier(negativeSlope);
    this.conv2 = conv(init, width, width, 3);
    this.bn2 = new BatchNorm2d(init, width);
    this.downsample = shortcut(init, from, width, stride);
  }

  forward(x: Tensor): Tensor {
    const y = this.relu.forward(this.bn1.forward(this.conv1.forward(x)));
    const branch = this.bn2.forward(this.conv2.forward(y));
    return this.relu.forward(add(branch, this.downsample?.forward(x) ?? x));
  }
}

/** 1x1, 3x3 and 1x1 with four times the channels: the block from ResNet-50 on. The stride is at the 3x3 ("v1.5"). */
class Bottleneck extends Module {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly relu: Module;
  readonly downsample: Sequential | null;

  constructor(init: Init, { from, width, stride, negativeSlope }: BlockOptions) {
    super();
    const to = width * Bottleneck.expansion;
    this.conv1 = conv(init, from, width, 1);
    this.bn1 = new BatchNorm2d(init, width);
    this.conv2 = conv(init, width, width, 3, stride);
    this.bn2 = new BatchNorm2d(init, width);
    this.conv3 = conv(init, width, to, 1);
    this.bn3 = new BatchNorm2d(init, to);
    this.relu = rectifier(negativeSlope);
    this.downsample = shortcut(init, from, to, stride);
  }

  forward(x: Tensor): Tensor {
    const y = this.relu.forward(this.bn1.forward(this.conv1.forward(x)));
    const z = this.relu.forward(this.bn2.forward(this.conv2.forward(y)));
    const branch = this.bn3.forward(this.conv3.forward(z));
    return this.relu.forward(add(branch, this.downsample?.forward(x) ?? x));
  }
}

/** Kind of block and their number in each of the four stages. */
export const resnetSizes = {
  resnet18: { block: BasicBlock, counts: [2, 2, 2, 2] },
  resnet34: { block: BasicBlock, counts: [3, 4, 6, 3] },
  resnet50: { block: Bottleneck, counts: [3, 4, 6, 3] },
  resnet101: { block: Bottleneck, counts: [3, 4, 23, 3] },
  resnet152: { block: Bottleneck, counts: [3, 8, 36, 3] },
} as const;

export interface ResNetOptions extends NetworkOptions, RectifierOptions {
  readonly block: typeof BasicBlock | typeof Bottleneck;
  readonly counts: readonly number[];
}

/** Images [N, C, H, W] -> logits [N, classes]. No dropout unless asked for. */
export class ResNet extends Classifier {
  readonly headName = 'fc';
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly relu: Module;
  readonly maxpool: MaxPool2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly avgpool: AdaptiveAvgPool2d;
  readonly flatten: Flatten;
  readonly dropout: Dropout;
  readonly fc: Linear;

  constructor(init: Init, options: ResNetOptions) {
    super();
    const { block, counts, classes, inChannels = 3, dropout = 0, negativeSlope } = options;
    this.conv1 = conv(init, inChannels, 64, 7, 2);
    this.bn1 = new BatchNorm2d(init, 64);
    this.relu = rectifier(negativeSlope);
    this.maxpool = new MaxPool2d(3, { stride: 2, padding: 1 });
    let channels = 64;
    const stage = (index: number): Sequential => {
      const width = 64 * 2 ** index;
      const blocks = Array.from({ length: counts[index] }, (_, i) => {
        const stride = index > 0 && i === 0 ? 2 : 1;
        const made = new block(init, { from: channels, width, stride, negativeSlope });
        channels = width * block.expansion;
        return made;
      });
      return new Sequential(...blocks);
    };
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.avgpool = new AdaptiveAvgPool2d(1);
    this.flatten = new Flatten();
    this.dropout = new Dropout(init, dropout);
    this.fc = new Linear(init, channels, classes, {
      initialWeight: linearUniform,
      initialBias: uniformWithin(1 / Math.sqrt(channels)),
    });
  }

  forward(x: Tensor): Tensor {
    const stem = this.maxpool.forward(this.relu.forward(this.bn1.forward(this.conv1.forward(x))));
    const stages = [this.layer1, this.layer2, this.layer3, this.layer4];
    const features = stages.reduce((signal, layer) => layer.forward(signal), stem);
    return this.fc.forward(this.dropout.forward(this.flatten.forward(this.avgpool.forward(features))));
  }
}
