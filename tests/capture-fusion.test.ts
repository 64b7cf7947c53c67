// Elementwise ops that capture() fuses: one kernel, and the numbers of the single ops.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { capture, type NamedTensors } from '../engine/capture.ts';
import { assign, read, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { add, div, mul, square, sub } from '../engine/ops/arithmetic.ts';
import { expand, sum } from '../engine/ops/broadcast.ts';
import { where } from '../engine/ops/indexing.ts';
import { exp, maximum, relu } from '../engine/ops/pointwise.ts';
import { scope } from '../engine/scope.ts';
import type { Shape } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { dispatchesOf, randomTensor, valuesOf } from './captured.ts';
import { withGpu } from './gpu.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

test('makes one kernel of a chain, broadcasts included', () => {
  const [bias, shift] = [randomTensor(gpu, [3, 1, 1]), randomTensor(gpu, [2, 1, 1, 1])];
  const captured = capture(gpu, ({ x }: { x: Tensor }) => {
    const y = relu(add(mul(x, 2), bias));
    return { z: sub(div(1, add(y, 3)), shift) };
  });
  const x = randomTensor(gpu, [2, 3, 4, 4]);
  scope(gpu, () => void captured({ x }));
  expect(dispatchesOf(gpu, () => scope(gpu, () => void captured({ x })))).toBe(1);
  captured.dispose();
});

test('does not let a result be read before it is there', async () => {
  // `total` depends on the chain, and the chain goes on with `total`.
  const step = ({ x }: { x: Tensor }) => {
    const y = exp(x);
    const share = div(y, sum(y));
    return { share, again: mul(add(share, y), expand(sum(share, [0], { keepDims: true }), [4, 3])) };
  };
  const captured = capture(gpu, step);
  const x = randomTensor(gpu, [4, 3]);
  const [found, expected] = [await valuesOf(captured({ x })), await valuesOf(step({ x }))];
  expect(found).toEqual(expected);
  captured.dispose();
});

// Random programs of elementwise ops over operands that broadcast, with sums and overwrites in between.
const shapes: readonly Shape[] = [
  [2, 3, 4],
  [3, 4],
  [4],
  [],
  [2, 1, 1],
  [2, 3, 1],
  [1, 3, 1],
  [3, 1],
  [1, 1, 4],
];
const instruction = fc.record({
  op: fc.nat(8),
  a: fc.nat(100),
  b: fc.nat(100),
  isOutput: fc.boolean(),
});

test('computes what the single ops compute, whatever the program', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(shapes.length - 1), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(3, 4, 5, 8),
      fc.array(instruction, { minLength: 2, maxLength: 12 }),
      async (inputShapes, inner, program) => {
        const leaves = inputShapes.map((i, at) =>
          randomTensor(
            gpu,
            shapes[i].map((n) => (n === 4 ? inner : n)),
            `${at} `,
          ),
        );
        const state = randomTensor(gpu, [2, 3, inner], 'state ');
        const start = await read(state);
        const step = (inputs: NamedTensors): NamedTensors => {
          const values: Tensor[] = [...Object.values(inputs), state];
          const outputs: Record<string, Tensor> = {};
          program.forEach(({ op, a, b, isOutput }, i) => {
            const [left, right] = [values[a % values.length], values[b % values.length]];
            const made = [
              () => add(left, right),
              () => mul(left, right),
              () => maximum(left, right),
              () => div(left, add(square(right), 1)),
              () => relu(left),
              () => where(relu(left), left, right),
              () =>
                sum(
                  left,
                  [left.shape.length - 1].filter((axis) => axis >= 0),
                  { keepDims: true },
                ),
              () => expand(left, [2, 3, inner]),
              () => {
                const whole = add(mul(expand(left, state.shape), 0.5), mul(state, 0.25));
                assign(state, whole);
                return whole;
              },
            ][op]();
            values.push(made);
            if (isOutput || i === program.length - 1) outputs[`y${i}`] = mul(made, 1);
          });
          return outputs;
        };
        const inputs = Object.fromEntries(leaves.map((t, i) => [`x${i}`, t]));
        const expected = await valuesOf(scope(gpu, () => step(inputs)));
        const expectedState = [...(await read(state))];
        assign(state, tensor(gpu, start, state.shape));
        const captured = capture(gpu, step);
        const found = await valuesOf(captured(inputs));
        expect(found).toEqual(expected);
        expect([...(await read(state))]).toEqual(expectedState);
        captured.dispose();
        for (const t of [...leaves, state]) release(t);
      },
    ),
    { numRuns: 25, seed: 7 },
  );
}, 60_000);
