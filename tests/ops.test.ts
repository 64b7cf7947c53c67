// Every op in ops/index.ts proves itself on its own examples: slope, slope of the slope, GPU against reference.
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { adjoint } from '../engine/grad.ts';
import { apply } from '../engine/op.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { allOps } from '../engine/ops/index.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Device, Example, Op, Tensor } from '../engine/tensor.ts';
import { withGpu } from './gpu.ts';
import { type Free, gradientError, probe, randomValues } from './gradcheck.ts';

type AnyOp = Op<unknown>;
type AnyExample = Example<unknown>;

function inputsOf(op: AnyOp, example: AnyExample): Free[] {
  return example.inputs.map((shape, i) => {
    const free = () => randomValues(`${op.name} ${i}`, sizeOf(shape), example.range ?? [-1, 1]);
    return { shape, values: example.fixed?.[i] ?? free() };
  });
}

/** Numbers of inputs whose gradient is checked: also those without a slope, whose gradient must be zero then. */
function freeInputs(example: AnyExample): number[] {
  return example.inputs.map((_, i) => i).filter((i) => !example.fixed?.[i]);
}

/** The example's inputs with those numbered `free` replaced. */
function withFree(
  all: Free[],
  free: readonly number[],
  tensors: readonly Tensor[],
  device: Device,
): Tensor[] {
  return all.map(({ shape, values }, i) => {
    const k = free.indexOf(i);
    return k < 0 ? tensor(device, values, shape) : tensors[k];
  });
}

const cases = allOps.flatMap((op) =>
  op.examples.map((example, i) => ({ name: `${op.name} #${i}`, op, example })),
);

test('every op has a name of its own and an example', () => {
  const names = allOps.map((op) => op.name);
  expect(new Set(names).size).toBe(names.length);
  for (const op of allOps) expect(op.examples.length, op.name).toBeGreaterThan(0);
});

describe('the slope of each op is its finite difference', () => {
  test.each(cases)('$name', ({ op, example }) => {
    const all = inputsOf(op, example);
    const free = freeInputs(example);
    const loss = (tensors: Tensor[]) => {
      const inputs = withFree(all, free, tensors, tensors[0].device);
      return probe(apply(op, inputs, example.attrs ?? {}), op.name);
    };
    if (free.length === 0) return;
    expect(gradientError({ inputs: free.map((i) => all[i]), loss })).toBeLessThan(1e-7);
  });
});

describe('the slope of the slope of each op is its finite difference', () => {
  test.each(cases)('$name', ({ op, example }) => {
    const all = inputsOf(op, example);
    const free = freeInputs(example);
    if (free.length === 0) return;
    const device = new CpuDevice();
    const sample = apply(
      op,
      all.map(({ shape, values }) => tensor(device, values, shape)),
      example.attrs ?? {},
    );
    const seed = {
      shape: sample.shape,
      values: randomValues(`${op.name} seed`, sizeOf(sample.shape), [-1, 1]),
    };
    // d/d(inputs, seed) of sum_i probe(gradient_i): checks every second derivative at once.
    const loss = (tensors: Tensor[]) => {
      const inputs = withFree(all, free, tensors, tensors[0].device);
      const g = tensors[tensors.length - 1];
      const gradients = adjoint(
        apply(op, inputs, example.attrs ?? {}),
        free.map((i) => inputs[i]),
        g,
      );
      return gradients.map((t, i) => probe(t, `${op.name} ${i}`)).reduce((a, b) => add(a, b));
    };
    expect(gradientError({ inputs: [...free.map((i) => all[i]), seed], loss })).toBeLessThan(1e-6);
  });
});

describe('the GPU computes what the reference means', () => {
  let gpu: Device;
  withGpu((device) => {
    gpu = device;
  });

  test.each(cases)('$name', async ({ op, example }) => {
    const all = inputsOf(op, example);
    const cpu = new CpuDevice();
    const run = (device: Device) =>
      apply(
        op,
        all.map(({ shape, values }) => tensor(device, values.map(Math.fround), shape)),
        example.attrs ?? {},
      );
    const expected = dataOf(run(cpu));
    const [actual] = await gpu.read([run(gpu)]);
    const scale = Math.max(...expected.map(Math.abs), 1e-3);
    const error = Math.max(...expected.map((value, i) => Math.abs(value - actual[i]))) / scale;
    // f32 sums of a few dozen terms: 1e-5 of the largest element.
    expect(error).toBeLessThan(1e-5);
  });
});
