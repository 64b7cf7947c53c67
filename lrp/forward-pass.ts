// Answers questions about the recorded forward pass between an input and an output.
import { UsageError } from '../engine/errors.ts';
import { vjpOf } from '../engine/grad.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import { isAffine } from './affine.ts';
import { isNormalized } from './structure/normalization.ts';

/** What t was made of, as far as it can carry relevance: indices and comparisons cannot, here as in autograd. */
const carriersOf = ({ origin }: Tensor): readonly Tensor[] =>
  origin?.inputs.filter((_, i) => vjpOf(origin.op, i)) ?? [];

const isSoftmax = (t: Tensor): boolean => t.origin?.op.name === 'softmax';

/** The recorded graph from an input to an output. Each answer is found once and remembered. */
export class ForwardPass {
  readonly #x: Tensor;
  readonly #output: Tensor;
  readonly #names: ReadonlyMap<object, string>;
  readonly #depends = new Map<Tensor, boolean>();
  readonly #dependsOutsideSoftmax = new Map<Tensor, boolean>();
  readonly #hasLayer = new Map<Tensor, boolean>();
  #lastLayers: Set<Tensor> | null = null;

  /** Throws UsageError when the output was not computed from the input. `model` gives layers their names. */
  constructor(x: Tensor, output: Tensor, model?: Module) {
    this.#x = x;
    this.#output = output;
    this.#names = new Map(model?.namedModules().map(([name, module]) => [module, name]));
    if (!this.dependsOnInput(output)) {
      throw new UsageError(
        'lrp: the output does not depend on the input; run the forward pass on this very tensor while recording is on',
      );
    }
  }

  nameOf(layer: object): string {
    return this.#names.get(layer) ?? '';
  }

  /** Whether t was computed from the explained input, otherwise than by comparing numbers. */
  dependsOnInput(t: Tensor): boolean {
    return this.#search(t, this.#depends, (u) => u === this.#x, carriersOf);
  }

  /** The same, where the results of softmax count as constants. */
  dependsOnInputOutsideSoftmax(t: Tensor): boolean {
    const inputsOf = (u: Tensor) => (isSoftmax(u) ? [] : carriersOf(u));
    return this.#search(t, this.#dependsOutsideSoftmax, (u) => u === this.#x, inputsOf);
  }

  /**
   * Whether a layer with weights or a normalisation was executed before t, also where that is before an explained hidden
   * tensor.
   */
  hasLayerBefore(t: Tensor): boolean {
    return this.#search(t, this.#hasLayer, (u) => isAffine(u) || isNormalized(u), carriersOf);
  }

  /** Whether no layer with weights comes after the one that made t, on some way to the output. */
  isLastLayer(t: Tensor): boolean {
    this.#lastLayers ??= this.#findLastLayers();
    return this.#lastLayers.has(t);
  }

  #findLastLayers(): Set<Tensor> {
    const found = new Set<Tensor>();
    const seen = new Set<Tensor>();
    const stack = [this.#output];
    for (let t = stack.pop(); t; t = stack.pop()) {
      if (seen.has(t)) continue;
      seen.add(t);
      if (isAffine(t)) found.add(t);
      else stack.push(...(t.origin?.inputs ?? []));
    }
    return found;
  }

  /** Whether `found` holds for t or anything it was made of; remembered, and without recursion. */
  #search(
    start: Tensor,
    memo: Map<Tensor, boolean>,
    found: (t: Tensor) => boolean,
    inputsOf: (t: Tensor) => readonly Tensor[],
  ): boolean {
    const stack = [start];
    for (let t = stack.at(-1); t; t = stack.at(-1)) {
      const inputs = inputsOf(t);
      const open = memo.has(t) || found(t) ? undefined : inputs.find((input) => !memo.has(input));
      if (open) {
        stack.push(open);
        continue;
      }
      if (!memo.has(t)) memo.set(t, found(t) || inputs.some((input) => memo.get(input)));
      stack.pop();
    }
    return memo.get(start) ?? false;
  }
}
