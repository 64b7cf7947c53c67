// What tests of the rivals share: tiny networks and a batch for them, on any device.
import { tensor } from '../engine/create.ts';
import { randomStream } from '../engine/random-bits.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Batch, StepNumbers } from '../isnet/objective.ts';
import { methodNamed } from '../isnet/rivals/index.ts';
import type { MethodPlan } from '../isnet/rivals/method.ts';
import { type Networks, smallNetworks } from '../isnet/rivals/networks.ts';
import { AgSononet } from '../nn/models/ag-sononet.ts';
import { MultiTaskUNet } from '../nn/models/multi-task-unet.ts';
import { UNet } from '../nn/models/unet.ts';
import { VisionTransformer } from '../nn/models/vision-transformer.ts';
import type { Module } from '../nn/module.ts';
import { fillNet, smallImages, smallMasks } from './small-nets.ts';

export const input = { channels: 1, height: 8, width: 8, classNames: ['a', 'b', 'c'] };

/** Networks of a few hundred weights, so that finite differences of all of them take seconds. */
export const networks: Networks = {
  ...smallNetworks({
    blocks: [
      { channels: 3, kernel: 3, stride: 2 },
      { channels: 4, kernel: 3 },
    ],
    hidden: [5],
  }),
  unet: (init) => new UNet(init, { inChannels: 1, classes: 1, width: 2, depth: 2 }),
  multiTask: (init) =>
    new MultiTaskUNet(init, {
      ...{ inChannels: 1, classes: 3, width: 2, depth: 2, dropout: 0 },
      head: { poolSize: 2, hidden: [4] },
    }),
  attentionGated: (init) =>
    new AgSononet(init, { inChannels: 1, classes: 3, channels: [2, 3, 4], counts: [1, 1, 1] }),
  transformer: (init) =>
    new VisionTransformer(init, {
      ...{ inChannels: 1, classes: 3, imageSize: 8, patchSize: 4 },
      ...{ layers: 1, heads: 2, width: 8, mlpWidth: 8 },
    }),
};

/** A method with fresh weights, the same on every device. */
export const planOf = (name: string, device: Device): MethodPlan =>
  methodNamed(name).plan({ init: { device, random: randomStream(4, 'rivals') }, input, networks });

/** The network of a method of one phase, with numbers that make all of it alive. */
export function networkOf(name: string, device: Device): Module {
  const { model } = planOf(name, device).phases[0];
  fillNet(model, { withBias: true });
  return model;
}

/** Two images [2, 1, 8, 8] of classes 0 and 2, with the middle 4x4 as their masks. */
export const batchOn = (device: Device): Batch & StepNumbers => ({
  images: tensor(device, smallImages(), [2, 1, 8, 8]),
  targets: tensor(device, [1, 0, 0, 0, 0, 1], [2, 3]),
  masks: tensor(device, smallMasks(), [2, 1, 8, 8]),
  P: tensor(device, [0.5], []),
  key: tensor(device, [5, 3], [2]),
});

/** Rows of K numbers. */
export const rowsOf = (values: ArrayLike<number>, K: number): number[][] =>
  Array.from({ length: values.length / K }, (_, n) => Array.from({ length: K }, (_, k) => values[n * K + k]));

export const softmaxOf = (z: readonly number[]): number[] => {
  const e = z.map(Math.exp);
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / total);
};

export const sumOf = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
export const meanOf = (values: readonly number[]): number => sumOf(values) / values.length;

/** Mean over images of -log p_t, for the classes of `batchOn`. */
export const crossEntropyOf = (logits: ArrayLike<number>): number => {
  const [first, second] = rowsOf(logits, 3).map(softmaxOf);
  return -(Math.log(first[0]) + Math.log(second[2])) / 2;
};

/** The tensor of this name in the network. */
export const parameterOf = (net: Module, name: string): Tensor => net.stateDict().get(name) as Tensor;
