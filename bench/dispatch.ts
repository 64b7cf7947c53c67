// What one kernel launch costs when there is next to nothing to compute: the floor under every small network.
import { capture } from '../engine/capture.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { permute } from '../engine/ops/layout.ts';
import { withoutRecording } from '../engine/scope.ts';
import { formatShape, sizeOf } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { type BenchCase, OP_TOLERANCE, opCase, randomTensor } from './case.ts';
import { chain } from './shapes.ts';

const common = { family: 'dispatch', unit: 'thousand ops/s', workPerCall: chain.length / 1e3 };

const chains = chain.counts.map((count) =>
  opCase({
    ...common,
    name: `chain-of-${chain.length}x${count}`,
    shapes: [[count], [count]],
    run([a, b]) {
      let total = a;
      for (let i = 0; i < chain.length; i++) total = add(total, b);
      return total;
    },
  }),
);

/**
 * Additions and transpositions in turn. Capture would make few kernels of additions alone; a transposition is a copy that no
 * elementwise op is fused with, so that each op stays a kernel that waits for the one before.
 */
function alternating(a: Tensor, b: Tensor): Tensor {
  let total = a;
  for (let i = 0; i < chain.length / 2; i++) total = permute(add(total, b), [1, 0]);
  return total;
}

const { square } = chain;

const captured: BenchCase = {
  ...common,
  name: `captured-chain-of-${chain.length}x${sizeOf(square)}`,
  size: `${formatShape(square)}, additions and transpositions`,
  tolerance: OP_TOLERANCE,
  prepare(device) {
    const [a, b] = [0, 1].map((i) => randomTensor(device, `captured-chain/${i}`, square));
    const run = capture(device, (inputs: { readonly a: Tensor; readonly b: Tensor }) => ({
      total: withoutRecording(device, () => alternating(inputs.a, inputs.b)),
    }));
    const call = () => run({ a, b }).total;
    return {
      call,
      result: call,
      close() {
        run.dispose();
        for (const t of [a, b]) release(t);
      },
    };
  },
};

/** Ops on short vectors that each wait for the one before: launched one by one, and replayed. */
export const dispatchCases: readonly BenchCase[] = [...chains, captured];
