// The ReLUs of a network, found in the graph of a forward pass, with the layers that they stand behind.
import { leakyReluOp } from '../engine/ops/activations.ts';
import { reluOp } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { ancestorsOf } from '../engine/walk.ts';
import type { Module } from '../nn/module.ts';

/** A ReLU of a forward pass. */
export interface Rectifier {
  /** What the ReLU gives: [N, ...]. */
  readonly output: Tensor;
  /** Name of the layer whose output goes into it; `input` if there is none. */
  readonly layer: string;
  readonly isLeaky: boolean;
}

/**
 * The ReLUs, leaky ones too, between a model's images and its logits [N, ...], in the order of execution. What is computed
 * of weights alone, and has no images along its first axis, is left out.
 */
export function rectifiersOf(model: Module, logits: Tensor): Rectifier[] {
  const names = new Map<object, string>(model.namedModules().map(([name, module]) => [module, name]));
  return ancestorsOf(logits)
    .filter(({ origin }) => origin?.op === reluOp || origin?.op === leakyReluOp)
    .filter(({ shape }) => shape[0] === logits.shape[0] && shape.length > 1)
    .map((output) => ({
      output,
      layer: layerBefore(output, names),
      isLeaky: output.origin?.op === leakyReluOp,
    }));
}

/** Name of the last executed layer whose output goes into a ReLU with no other layer in between. */
function layerBefore(rectified: Tensor, names: ReadonlyMap<object, string>): string {
  const seen = new Set<Tensor>(rectified.origin?.inputs);
  let last: Tensor | null = null;
  for (const t of seen) {
    if (!t.call) for (const input of t.origin?.inputs ?? []) seen.add(input);
    else if (!last || t.id > last.id) last = t;
  }
  return (last?.call && names.get(last.call.layer)) ?? 'input';
}
