// Captured programs that overwrite what others still read, hand on views, and have few buffers to bind.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { capture, type NamedTensors } from '../engine/capture.ts';
import { assign, detach, readAll, tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { add, mul, sub } from '../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../engine/ops/broadcast.ts';
import { permute, slice } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { maximum } from '../engine/ops/pointwise.ts';
import { scope } from '../engine/scope.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { dispatchesOf, randomTensor, valuesOf } from './captured.ts';
import { withGpu } from './gpu.ts';

let gpu: GpuDevice;
// Few buffers per kernel, so that groups are cut.
const few = { profile: { maxStorageBuffers: 4 } };
withGpu((device) => {
  gpu = device;
}, few);

// Every value has this many elements, as [SIDE, SIDE] or [SIDE SIDE]: 9 and 25 are no multiples of 4.
const sides = [3, 4, 5] as const;
const instruction = fc.record({ kind: fc.nat(11), a: fc.nat(50), b: fc.nat(50), isOutput: fc.boolean() });
type Instruction = typeof instruction extends fc.Arbitrary<infer T> ? T : never;

/** Runs one instruction on values that all have side^2 elements. Overwriting gives what was overwritten. */
function execute(
  { kind }: Instruction,
  left: Tensor,
  right: Tensor,
  states: readonly Tensor[],
  side: number,
) {
  const [a, b] = [left, right].map((t) => reshape(t, [side, side]));
  switch (kind) {
    case 0:
      return sub(a, b);
    case 1:
      return mul(a, b);
    case 2:
      return maximum(a, b);
    case 3:
      return reshape(a, [side * side]);
    case 4:
      return permute(a, [1, 0]);
    case 5:
      return add(a, sum(b, [0]));
    case 6:
      return matmul(a, b);
    case 7:
      return expand(slice(a, [1, 0], [1, side]), [side, side]);
    case 8:
      // A result or a state: whatever it is, it is overwritten.
      assign(a, b);
      return left;
    case 9:
      assign(states[0], b);
      return states[0];
    case 10:
      assign(states[1], add(states[0], a));
      return states[1];
    default:
      return add(a, 0.5);
  }
}

test.each(['none', 'cheap', 'all'] as const)(
  'overwriting and reading keep their order, whatever the program; computed again: %s',
  async (recompute) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...sides),
        fc.array(instruction, { minLength: 3, maxLength: recompute === 'none' ? 16 : 32 }),
        async (side, program) => {
          const leaf = (name: string) => randomTensor(gpu, [side, side], name);
          const inputs = { x: leaf('x'), y: leaf('y') };
          const states = [leaf('first'), leaf('second')];
          const before = await readAll([...states, inputs.x, inputs.y]);
          const step = (given: NamedTensors): NamedTensors => {
            // The inputs of a step are not overwritten, their copies may be.
            const values = [...Object.values(given).map((t) => add(t, 0)), ...states];
            const outputs: Record<string, Tensor> = {};
            program.forEach((each, i) => {
              const at = (n: number) => values[n % values.length];
              values.push(execute(each, at(each.a), at(each.b), states, side));
              if (each.isOutput || i === program.length - 1)
                outputs[`y${i}`] = detach(values[values.length - 1]);
            });
            return outputs;
          };
          const captured = capture(gpu, step, { recompute });
          const results: unknown[] = [];
          for (const run of [() => scope(gpu, () => step(inputs)), () => captured(inputs)]) {
            [...states, inputs.x, inputs.y].forEach((t, i) => {
              scope(gpu, () => assign(t, tensor(gpu, before[i], t.shape)));
            });
            const outputs = [await valuesOf(run()), await valuesOf(run())];
            results.push([outputs, await readAll(states)]);
          }
          expect(results[1]).toEqual(results[0]);
          captured.dispose();
          for (const t of [...states, inputs.x, inputs.y]) release(t);
        },
      ),
      { numRuns: 40, seed: 11 },
    );
  },
  60_000,
);

test('what is read alike is bound once, whatever the shapes it is read for', () => {
  const [scale, bias] = [randomTensor(gpu, [], 'scale'), randomTensor(gpu, [12], 'bias')];
  const captured = capture(gpu, ({ x }: { x: Tensor }) => {
    const y = add(mul(x, scale), bias);
    return { z: sub(mul(reshape(y, [3, 4]), scale), reshape(bias, [3, 4])) };
  });
  const x = randomTensor(gpu, [12]);
  const call = () => scope(gpu, () => void captured({ x }));
  call();
  // Three inputs and the output are as many buffers as this device binds.
  expect(dispatchesOf(gpu, call)).toBe(1);
  captured.dispose();
});
