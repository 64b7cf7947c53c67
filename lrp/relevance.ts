// Relevance propagation is the backward walk with rules for steps.
import { UsageError } from '../engine/errors.ts';
import { vjpOf } from '../engine/grad.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Step, walk } from '../engine/walk.ts';
import type { Module } from '../nn/module.ts';
import { affineCallOf, affineInput, isAffine } from './affine.ts';
import type { Composite } from './composite.ts';
import { mapCount } from './maps.ts';
import { structuralRule } from './structure.ts';

/** Answers questions about the recorded forward pass between an input and an output. */
export class ForwardPass {
  readonly #x: Tensor;
  readonly #names: ReadonlyMap<object, string>;
  readonly #depends = new Map<Tensor, boolean>();
  readonly #hasLayer = new Map<Tensor, boolean>();

  constructor(x: Tensor, model?: Module) {
    this.#x = x;
    this.#names = new Map(model?.namedModules().map(([name, module]) => [module, name]));
  }

  nameOf(layer: object): string {
    return this.#names.get(layer) ?? '';
  }

  /** Whether t was computed from the explained input. */
  dependsOnInput(t: Tensor): boolean {
    return this.#search(t, this.#depends, (u) => u === this.#x);
  }

  /** Whether a layer with weights was executed before t, also where that is before an explained hidden tensor. */
  hasLayerBefore(t: Tensor): boolean {
    return this.#search(t, this.#hasLayer, isAffine);
  }

  /** Whether `found` holds for t or anything it was made of; remembered, and without recursion. */
  #search(start: Tensor, memo: Map<Tensor, boolean>, found: (t: Tensor) => boolean): boolean {
    const stack = [start];
    for (let t = stack.at(-1); t; t = stack.at(-1)) {
      const inputs = t.origin?.inputs ?? [];
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

function layerStep(t: Tensor, composite: Composite, pass: ForwardPass): Step | null {
  const input = affineInput(t);
  if (!input || !t.call) return null;
  const { layer } = t.call;
  const isFirst = !pass.hasLayerBefore(input);
  const rule = composite.ruleFor({ name: pass.nameOf(layer), kind: layer.constructor.name, isFirst });
  if (!rule) return null;
  return {
    inputs: [input],
    pull(R) {
      const call = affineCallOf(t, composite);
      return call && rule.propagate(call, R);
    },
  };
}

function opStep(t: Tensor, composite: Composite, pass: ForwardPass): Step | null {
  const { origin } = t;
  if (!origin) return null;
  const rule = structuralRule(origin.op.name);
  return {
    inputs: origin.inputs,
    pull(R, index) {
      // Indices and comparisons carry no signal, here as in autograd.
      if (!vjpOf(origin.op, index)) return null;
      if (!rule) {
        const layer = t.call ? `layer '${pass.nameOf(t.call.layer) || t.call.layer.constructor.name}', ` : '';
        throw new UsageError(
          `lrp: no rule for op '${origin.op.name}' (${layer}output ${formatShape(t.shape)}); explain a tensor before it, or use layers that the composite has rules for`,
        );
      }
      const isVariable = (i: number) => pass.dependsOnInput(origin.inputs[i]);
      return rule(R, { t, origin, index, eps: composite.eps, isVariable });
    },
  };
}

export interface RelevanceOptions {
  /** What is explained: a recorded tensor [N, ...], usually the logits. */
  readonly output: Tensor;
  /** Relevance at the output: [K N, ...] for K maps per sample, map-major. */
  readonly seed: Tensor;
  /** The input that relevance is wanted for, [N, ...]. */
  readonly input: Tensor;
  readonly composite: Composite;
  /** Gives names to layers in error messages and for the composite. */
  readonly model?: Module;
}

/**
 * Relevance of the input [K N, ...]: differentiable in the input, all parameters and the seed. Throws UsageError when
 * an op on the way has no rule, and ShapeError when the seed does not fit the output.
 */
export function relevance({ output, seed, input, composite, model }: RelevanceOptions): Tensor {
  mapCount(seed.shape, output.shape);
  const pass = new ForwardPass(input, model);
  if (!pass.dependsOnInput(output)) {
    throw new UsageError(
      `lrp: the output does not depend on the input; run the forward pass on this very tensor while recording is on`,
    );
  }
  const stepOf = (t: Tensor) =>
    t === input ? null : (layerStep(t, composite, pass) ?? opStep(t, composite, pass));
  const found = walk({ output, seed, targets: [input], stepOf }).get(input);
  if (!found) throw new UsageError('lrp: no relevance reaches the input; check the seed and the composite');
  return found;
}
