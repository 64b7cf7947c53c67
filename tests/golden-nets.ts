// The networks of the golden files, with their parameters loaded.
import { assign, tensor } from '../engine/create.ts';
import { randomStream } from '../engine/random-bits.ts';
import type { Device } from '../engine/tensor.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { DenseNet, densenetSizes } from '../nn/models/densenet.ts';
import { createModel } from '../nn/models/index.ts';
import { type Module, Sequential } from '../nn/module.ts';
import type { GoldenTensors } from './golden-files.ts';
import { fillByName } from './golden-random.ts';

/** `cnn` or `cnnbn` of golden/README.md on a device. */
export function goldenNet(device: Device, { tensors, metadata }: GoldenTensors): Sequential {
  const init = { device, random: randomStream(0, 'golden') };
  const withNorm = metadata.network === 'cnnbn';
  const block = (from: number, to: number) => [
    new Conv2d(init, from, to, 3, { padding: 1, bias: !withNorm }),
    ...(withNorm ? [new BatchNorm2d(init, to)] : []),
    new ReLU(),
  ];
  const head = withNorm
    ? [new Linear(init, 256, 5)]
    : [new Linear(init, 256, 32), new ReLU(), new Linear(init, 32, 5)];
  const net = new Sequential(
    ...block(3, 8),
    new MaxPool2d(2),
    ...block(8, 16),
    new AvgPool2d(2),
    new Flatten(),
    ...head,
  );
  for (const [name, t] of net.stateDict()) {
    const stored = tensors.get(`param.${name}`);
    if (!stored) throw new Error(`golden net: the file has no parameter ${name}`);
    assign(t, tensor(device, stored.data, stored.shape));
  }
  return net.train(metadata.batchnorm === 'batch statistics');
}

const isDenseNet = (name: string): name is keyof typeof densenetSizes => Object.hasOwn(densenetSizes, name);

/** A network of torchvision's, or the authors' DenseNet, with the parameters that belong to its names. */
export function namedGoldenNet(device: Device, { metadata }: GoldenTensors): Module {
  const { network } = metadata;
  const init = { device, random: randomStream(0, 'golden'), isBlank: true };
  // In these files dropout is off, in training mode too.
  const options = { classes: 10, dropout: 0 };
  const net = isDenseNet(network)
    ? new DenseNet(init, { ...options, ...densenetSizes[network], isTransitionRectified: true })
    : createModel(network, init, options);
  fillByName(net, { seed: Number(metadata.seed), gain: Number(metadata.gain) });
  return net.train(metadata.batchnorm === 'batch statistics');
}
