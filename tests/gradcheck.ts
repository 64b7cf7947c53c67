// Finite differences in f64: the judge of every derivative in this project.

import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { randomStream } from '../engine/random-bits.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';

export interface Free {
  readonly shape: Shape;
  readonly values: readonly number[];
}

/** Random numbers in [low, high), the same for the same name. */
export function randomValues(name: string, count: number, [low, high]: readonly [number, number]): number[] {
  const stream = randomStream(7, name);
  return Array.from({ length: count }, () => low + (high - low) * stream.uniform());
}

/** A scalar function of tensors on the CPU device, and its exact gradient. */
export interface GradCheck {
  readonly inputs: readonly Free[];
  readonly loss: (inputs: Tensor[]) => Tensor;
  /** Step of the central difference, in units of the input. */
  readonly step?: number;
  /** How many elements of each input are checked; all by default. */
  readonly samplesPerInput?: number;
}

/** Largest |gradient - central difference| / max(1, |gradient|) over the checked elements. */
export function gradientError({ inputs, loss, step = 1e-5, samplesPerInput = Infinity }: GradCheck): number {
  const evaluate = (values: readonly (readonly number[])[]): number => {
    const device = new CpuDevice();
    const tensors = values.map((v, i) => tensor(device, v, inputs[i].shape));
    return dataOf(loss(tensors))[0];
  };
  const device = new CpuDevice();
  const tensors = inputs.map(({ values, shape }) => tensor(device, values, shape));
  const y = loss(tensors);
  const gradients = adjoint(y, tensors, tensor(device, [1], y.shape));
  let worst = 0;
  inputs.forEach(({ values }, i) => {
    const exact = dataOf(gradients[i]);
    const stride = Math.max(1, Math.floor(values.length / samplesPerInput));
    for (let k = 0; k < values.length; k += stride) {
      const moved = (delta: number) =>
        evaluate(
          inputs.map((input, j) => (i === j ? input.values.with(k, values[k] + delta) : input.values)),
        );
      const numeric = (moved(step) - moved(-step)) / (2 * step);
      const error = Math.abs(exact[k] - numeric) / Math.max(1, Math.abs(exact[k]));
      worst = Math.max(worst, Number.isNaN(error) ? Infinity : error);
    }
  });
  return worst;
}

/** sum(x * c) with fixed random c: turns any tensor into a scalar that depends on all its elements. */
export function probe(x: Tensor, name: string): Tensor {
  const c = tensor(x.device, randomValues(`probe ${name}`, sizeOf(x.shape), [-1, 1]), x.shape);
  return sum(mul(x, c));
}
