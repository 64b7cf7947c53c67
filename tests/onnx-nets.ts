// Small networks of every family, filled, with images: what ONNX files are made of in tests.
import { tensor } from '../engine/create.ts';
import { randomStream } from '../engine/random-bits.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { SegmentThenClassify } from '../isnet/rivals/segment-then-classify.ts';
import { LeakyReLU, Sigmoid, SiLU, Tanh } from '../nn/activations.ts';
import { ConvTranspose2d } from '../nn/conv-transpose.ts';
import { GroupNorm } from '../nn/layer-norm.ts';
import { AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, Flatten, MaxPool2d, ReLU } from '../nn/layers.ts';
import { DenseNet } from '../nn/models/densenet.ts';
import { ResNet, resnetSizes } from '../nn/models/resnet.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { UNet } from '../nn/models/unet.ts';
import { VisionTransformer } from '../nn/models/vision-transformer.ts';
import { type Init, type Module, Sequential } from '../nn/module.ts';
import { Upsample } from '../nn/upsample.ts';
import { linear } from '../nn/wide-linear.ts';
import { fillByName, goldenUniform } from './golden-random.ts';

export interface OnnxCase {
  readonly make: (init: Init) => Module;
  /** [C, H, W] */
  readonly input: Shape;
  /** Whether it gives logits, of which one can be explained. */
  readonly isClassifier: boolean;
}

const net = (make: (init: Init) => Module, input: Shape, isClassifier = true): OnnxCase => ({
  make,
  input,
  isClassifier,
});

/** VGG's way: adaptive pooling that makes more of its windows than there are pixels, and a dense layer in blocks. */
const likeVgg = (init: Init): Module =>
  Sequential.named([
    ['features', new Sequential(new Conv2d(init, 3, 4, 3, { padding: 1 }), new ReLU(), new MaxPool2d(2))],
    ['avgpool', new AdaptiveAvgPool2d([3, 5])],
    ['flatten', new Flatten()],
    [
      'classifier',
      new Sequential(linear(init, 60, 10, {}, 200), new ReLU(), new Dropout(init), linear(init, 10, 3)),
    ],
  ]);

/** Layers that no network of nn/models has. */
const rest = (init: Init): Module =>
  new Sequential(
    new Conv2d(init, 4, 8, 3, { stride: [1, 2], padding: [2, 1], dilation: 2, groups: 2 }),
    new GroupNorm(init, 4, 8),
    new LeakyReLU(0.2),
    new Upsample(2),
    new AvgPool2d(3, { stride: 2, padding: 1 }),
    new SiLU(),
    new ConvTranspose2d(init, 8, 4, 3, { stride: 2, padding: 1, outputPadding: 1, bias: false }),
    new Tanh(),
    new AdaptiveAvgPool2d([2, 3]),
    new Sigmoid(),
    new Flatten(),
    linear(init, 24, 3, { bias: false }),
  );

const smallCnn = (init: Init, inChannels: number): SmallCnn =>
  new SmallCnn(init, {
    inChannels,
    imageSize: [10, 12],
    classCount: 3,
    blocks: [
      { channels: 4, kernel: 3, pool: 2 },
      { channels: 5, kernel: 3, stride: 2 },
    ],
    hidden: [6],
    batchNorm: true,
    dropout: 0.5,
  });

const vitSizes = { imageSize: 8, patchSize: 4, layers: 2, heads: 2, width: 8, mlpWidth: 12 };

/** Every family of nn/models at a tiny size, and what they leave out. */
export const onnxNets: Readonly<Record<string, OnnxCase>> = {
  SmallCnn: net((init) => smallCnn(init, 1), [1, 10, 12]),
  'ResNet of basic blocks': net(
    (init) => new ResNet(init, { ...resnetSizes.resnet18, counts: [1, 1, 0, 0], classes: 3 }),
    [3, 16, 12],
  ),
  'ResNet of bottlenecks': net(
    (init) => new ResNet(init, { ...resnetSizes.resnet50, counts: [1, 0, 0, 0], classes: 3 }),
    [3, 16, 16],
  ),
  DenseNet: net(
    (init) =>
      new DenseNet(init, { stem: 6, growth: 4, counts: [2, 1], classes: 3, isTransitionRectified: true }),
    [3, 24, 24],
  ),
  'a leaky DenseNet': net(
    (init) => new DenseNet(init, { stem: 6, growth: 4, counts: [1, 1], classes: 3, negativeSlope: 0.1 }),
    [3, 24, 24],
  ),
  'a VGG': net(likeVgg, [3, 8, 8]),
  VisionTransformer: net((init) => new VisionTransformer(init, { ...vitSizes, classes: 3 }), [3, 8, 8]),
  UNet: net((init) => new UNet(init, { classes: 2, width: 2, depth: 3 }), [3, 8, 12], false),
  'U-Net, then classifier': net(
    (init) => new SegmentThenClassify(new UNet(init, { classes: 1, width: 2, depth: 2 }), smallCnn(init, 3)),
    [3, 10, 12],
  ),
  'all other layers': net(rest, [4, 6, 10]),
};

/** The network with parameters that are neither 0 nor 1. */
export function filledNet(device: Device, { make }: OnnxCase): Module {
  const model = make({ device, random: randomStream(0, 'onnx'), isBlank: true }).eval();
  fillByName(model, { seed: 5, gain: 0.8 });
  return model;
}

/** Values of images in [0, 1] and their shape. */
export function imagesFor({ input }: OnnxCase, count: number): { values: Float32Array; shape: Shape } {
  const shape = [count, ...input];
  return { values: goldenUniform(0, 1, 'images', 5, sizeOf(shape)), shape };
}

export const upload = (device: Device, { values, shape }: { values: Float32Array; shape: Shape }): Tensor =>
  tensor(device, values, shape);
