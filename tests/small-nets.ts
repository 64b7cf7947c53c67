// Small networks with every kind of structure, for finite differences and conservation. Smooth formulas, no luck.
import { assign, tensor } from '../engine/create.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { concat } from '../engine/ops/layout.ts';
import { relu } from '../engine/ops/pointwise.ts';
import { randomStream } from '../engine/random-bits.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Dataset } from '../isnet/data/dataset.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { type Init, Module, Sequential } from '../nn/module.ts';
import { randomValues } from './gradcheck.ts';

export const initOn = (device: Device): Init => ({ device, random: randomStream(3, 'small nets') });

/** Conv, ReLU, MaxPool, Conv, ReLU, AvgPool, Linear. */
export function plainNet(device: Device): Module {
  const init = initOn(device);
  return new Sequential(
    new Conv2d(init, 1, 2, 3, { padding: 1 }),
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(init, 2, 3, 3, { padding: 1 }),
    new ReLU(),
    new AvgPool2d(2),
    new Flatten(),
    new Linear(init, 12, 3),
  );
}

/** y = relu(conv1 x), y + conv3 relu(conv2 y) with BatchNorm on both ways, functional ReLUs. */
class ResidualNet extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly fc: Linear;

  constructor(init: Init) {
    super();
    this.conv1 = new Conv2d(init, 1, 2, 3, { padding: 1, stride: 2 });
    this.conv2 = new Conv2d(init, 2, 3, 3, { padding: 1 });
    this.bn2 = new BatchNorm2d(init, 3);
    this.conv3 = new Conv2d(init, 3, 2, 1);
    this.bn3 = new BatchNorm2d(init, 2);
    this.fc = new Linear(init, 32, 3);
  }

  forward(x: Tensor): Tensor {
    const y = relu(this.conv1.forward(x));
    const branch = this.bn3.forward(this.conv3.forward(relu(this.bn2.forward(this.conv2.forward(y)))));
    return this.fc.forward(new Flatten().forward(relu(add(y, branch))));
  }
}

/** A dense block: BatchNorm before the convolution, and every result is joined to what came before. */
class DenseNetBlock extends Module {
  readonly conv0: Conv2d;
  readonly norm1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly fc: Linear;

  constructor(init: Init) {
    super();
    this.conv0 = new Conv2d(init, 1, 2, 3, { padding: 1, stride: 2 });
    this.norm1 = new BatchNorm2d(init, 2);
    this.conv1 = new Conv2d(init, 2, 2, 3, { padding: 1, bias: false });
    this.norm2 = new BatchNorm2d(init, 4);
    this.conv2 = new Conv2d(init, 4, 2, 3, { padding: 1, bias: false });
    this.fc = new Linear(init, 24, 3);
  }

  forward(x: Tensor): Tensor {
    const y0 = relu(this.conv0.forward(x));
    const y1 = concat([y0, this.conv1.forward(relu(this.norm1.forward(y0)))], 1);
    const y2 = concat([y1, this.conv2.forward(relu(this.norm2.forward(y1)))], 1);
    const pooled = new AvgPool2d(2).forward(relu(y2));
    return this.fc.forward(new Flatten().forward(pooled));
  }
}

export const residualNet = (device: Device): Module => new ResidualNet(initOn(device));
export const denseNet = (device: Device): Module => new DenseNetBlock(initOn(device));

/** Conv, BatchNorm, ReLU twice, then Linear. */
export function normNet(device: Device): Module {
  const init = initOn(device);
  return new Sequential(
    new Conv2d(init, 1, 2, 3, { padding: 1, bias: false }),
    new BatchNorm2d(init, 2),
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(init, 2, 3, 3, { padding: 1 }),
    new BatchNorm2d(init, 3),
    new ReLU(),
    new AvgPool2d(2),
    new Flatten(),
    new Linear(init, 12, 3),
  );
}

/** All small nets by name; each takes [N, 1, 8, 8] and gives 3 logits. */
export const smallNets: Readonly<Record<string, (device: Device) => Module>> = {
  plain: plainNet,
  'residual sum': residualNet,
  concat: denseNet,
  BatchNorm: normNet,
};

/** Overwrites parameters and statistics with numbers that are neither 0 nor 1; biases are 0 if asked. */
export function fillNet(net: Module, { withBias }: { withBias: boolean }): void {
  let k = 0;
  for (const [name, t] of net.stateDict()) {
    const count = sizeOf(t.shape);
    const isWeight = t.shape.length > 1;
    const noise = Array.from({ length: count }, () => Math.sin(1.7 * ++k));
    const spread = isWeight ? Math.sqrt(4 / sizeOf(t.shape.slice(1))) : 0.2;
    const base = name.endsWith('running_var') || (!isWeight && name.endsWith('weight')) ? 1 : 0;
    const isZero = !withBias && (name.endsWith('bias') || name.endsWith('running_mean'));
    const values = noise.map((n) => (isZero ? 0 : base + spread * n));
    assign(t, tensor(t.device, values, t.shape));
  }
}

/** Two images [2, 1, 8, 8] in [0, 1], no two pixels equal. */
export function smallImages(): number[] {
  return Array.from({ length: 128 }, (_, i) => 0.5 + 0.49 * Math.sin(2.3 * i + 0.4));
}

/** Masks [2, 1, 8, 8]: the middle 4x4 of each image. */
export function smallMasks(): number[] {
  return Array.from({ length: 128 }, (_, i) => {
    const [y, x] = [Math.floor((i % 64) / 8), i % 8];
    return y >= 2 && y < 6 && x >= 2 && x < 6 ? 1 : 0;
  });
}

/** Those two images with their masks, of the first and the last of three classes. */
export function smallDataset(): Dataset {
  return {
    images: Float32Array.from(smallImages()),
    masks: Float32Array.from(smallMasks()),
    labels: Uint8Array.of(0, 2),
    count: 2,
    channels: 1,
    height: 8,
    width: 8,
    classNames: ['a', 'b', 'c'],
  };
}

/** One convolution and a dense layer, for images [N, 1, 6, 6] of three classes: what trains in no time. */
export const tinyCnn = (device: Device): SmallCnn =>
  new SmallCnn(initOn(device), {
    inChannels: 1,
    imageSize: [6, 6],
    classCount: 3,
    blocks: [{ channels: 2, kernel: 3, stride: 2 }],
  });

/** One grey image [size, size] for each label, the foreground of which are stripes. */
export const stripedDataset = (
  name: string,
  size: number,
  labels: readonly number[],
  classNames: readonly string[],
): Dataset => ({
  images: Float32Array.from(randomValues(name, labels.length * size ** 2, [0, 1])),
  masks: Float32Array.from({ length: labels.length * size ** 2 }, (_, i) => (i % 8 < 4 ? 1 : 0)),
  labels: Uint8Array.from(labels),
  count: labels.length,
  channels: 1,
  height: size,
  width: size,
  classNames,
});
