// The networks of the golden files, with their parameters loaded.
import { assign, tensor } from '../engine/create.ts';
import { randomStream } from '../engine/random-bits.ts';
import type { Device } from '../engine/tensor.ts';
import { BatchNorm2d } from '../nn/batch-norm.ts';
import { AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU } from '../nn/layers.ts';
import { Sequential } from '../nn/module.ts';
import type { GoldenTensors } from './golden-files.ts';

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
