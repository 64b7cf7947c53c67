// What a model does with its input, recorded without running it, and which sizes grow with the batch.
import { UsageError } from '../../engine/errors.ts';
import { metaTensor } from '../../engine/meta-device.ts';
import { scope, withRecording } from '../../engine/scope.ts';
import type { Shape } from '../../engine/shape.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';

/** A size: the same for every batch, or so many per sample. */
export type Size = number | { readonly perSample: number };

// Two batches tell sizes that grow with the batch from those that do not. Not 1, for which ops such as `expand` do nothing.
const BATCHES = [2, 3] as const;

/** One tensor of the forward pass, recorded for two batches. */
export type Twin = readonly [Tensor, Tensor];

/** A recorded forward pass in evaluation mode. */
export interface ForwardGraph {
  readonly input: Twin;
  readonly output: Twin;
}

/**
 * Records `model`, whose parameters are on `device`, on inputs [N, ...input] that have no numbers, and hands the graph to `fn`, which must use it at once.
 * Throws what the model throws on such an input.
 */
export function withForwardGraph<T>(
  model: Module,
  device: Device,
  input: Shape,
  fn: (graph: ForwardGraph) => T,
): T {
  const record = (batch: number): Tensor[] => {
    const x = metaTensor([batch, ...input], device);
    return [x, model.forward(x)];
  };
  const run = (): T =>
    inEvaluation(model, () => {
      const [[x2, y2], [x3, y3]] = BATCHES.map(record);
      return fn({ input: [x2, x3], output: [y2, y3] });
    });
  return withRecording(device, () => scope(device, run));
}

/** Sizes of a twin's axes. */
export function sizesOf([a, b]: Twin): Size[] {
  return sizesOfShapes(a.shape, b.shape);
}

/** Sizes of a shape that was recorded for both batches. */
export function sizesOfShapes(a: Shape, b: Shape): Size[] {
  return a.map((n, axis) => {
    if (n === b[axis]) return n;
    const perSample = n / BATCHES[0];
    if (Number.isInteger(perSample) && perSample * BATCHES[1] === b[axis]) return { perSample };
    throw new UsageError(
      `onnx: an axis has ${n} elements for ${BATCHES[0]} samples and ${b[axis]} for ${BATCHES[1]}; only sizes in proportion to the batch can be exported`,
    );
  });
}

/** What a twin was made of, in the order of `inputsOf`. */
export type InputsOf = (t: Tensor) => readonly Tensor[];

/** Twins from which the output is made, producers first. `inputsOf` says what a step leads to; nothing at leaves. */
export function inOrder({ output }: ForwardGraph, inputsOf: InputsOf): Twin[] {
  const order: Twin[] = [];
  const seen = new Set<Tensor>([output[0]]);
  const visit = (twin: Twin) => ({ twin, inputs: twinsOf(twin, inputsOf), next: 0 });
  // An explicit stack: networks are deeper than JavaScript's own.
  const stack = [visit(output)];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const input = top.inputs[top.next++];
    if (input === undefined) {
      order.push(top.twin);
      stack.pop();
    } else if (!seen.has(input[0])) {
      seen.add(input[0]);
      stack.push(visit(input));
    }
  }
  return order;
}

/** Both recordings went the same way: their inputs correspond one to one. */
export const twinsOf = ([a, b]: Twin, inputsOf: InputsOf): Twin[] => {
  const others = inputsOf(b);
  return inputsOf(a).map((input, i) => [input, others[i]]);
};
