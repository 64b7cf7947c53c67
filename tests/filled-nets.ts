// Small nets with numbers in them, ready to be explained.
import { CpuDevice } from '../engine/cpu-device.ts';
import { assign, tensor } from '../engine/create.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import { fillNet, residualNet, smallImages } from './small-nets.ts';

export const imagesOn = (device: Device) => tensor(device, smallImages(), [2, 1, 8, 8]);

/** A filled net in evaluation mode and its images, on a device of their own. */
export function example(make: (device: Device) => Module = residualNet, withBias = true) {
  const device = new CpuDevice();
  const net = make(device).eval();
  fillNet(net, { withBias });
  return { device, net, x: imagesOn(device) };
}

/** Overwrites a parameter. */
export function fill(t: Tensor, values: number[]): void {
  assign(t, tensor(t.device, values, t.shape));
}
