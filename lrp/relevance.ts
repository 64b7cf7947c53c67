// Relevance propagation is the backward walk with rules for steps.
import { UsageError } from '../engine/errors.ts';
import { vjpOf } from '../engine/grad.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Step, walk } from '../engine/walk.ts';
import type { Module } from '../nn/module.ts';
import { type AffineCall, affineCallOf, affineInput } from './affine.ts';
import type { Composite, LayerContext } from './composite.ts';
import { ForwardPass } from './forward-pass.ts';
import { mapCount } from './maps.ts';
import type { Rule } from './rule.ts';
import { epsilon } from './rules.ts';
import { isNormalized, normalizationCall } from './structure/normalization.ts';
import { sharesRule } from './structure/shares.ts';
import { adviceOn, structuralRule } from './structure.ts';

/** A step of the relevance walk, with what reports say about it. */
export interface RelevanceStep extends Step {
  /** Dotted name of the layer, '' if there is none or it is not known. */
  readonly name: string;
  /** Class of the layer, or name of the op. */
  readonly kind: string;
  /** The composite's rule, with the call it applies to; null where the op's structural rule applies. */
  readonly rule: Rule | null;
  readonly call: (() => AffineCall) | null;
}

/** What a composite is asked about the affine call that made t and leads on to `input`. */
export function contextOf(t: Tensor, input: Tensor, pass: ForwardPass): LayerContext {
  // A layer with BatchNorm behind it goes by its own name: the norm is folded into it.
  const inner = input === t.call?.input ? null : t.call?.input.call;
  const layer = (inner ?? t.call)?.layer ?? {};
  return {
    name: pass.nameOf(layer),
    kind: layer.constructor.name,
    isFirst: !pass.hasLayerBefore(input),
    isLast: pass.isLastLayer(t),
  };
}

function layerStep(t: Tensor, composite: Composite, pass: ForwardPass): RelevanceStep | null {
  const input = affineInput(t);
  if (!input) return null;
  const context = contextOf(t, input, pass);
  const rule = composite.ruleFor(context);
  if (!rule) return null;
  const policy = rule.bias ? { ...composite, bias: rule.bias } : composite;
  const call = () => affineCallOf(t, policy) as AffineCall;
  const { name, kind } = context;
  return { inputs: [input], name, kind, rule, call, pull: (R) => rule.propagate(call(), R) };
}

/** LayerNorm and GroupNorm: always the epsilon rule, the one that fits them; see `normalizationCall`. */
function normalizationStep(t: Tensor, composite: Composite, pass: ForwardPass): RelevanceStep | null {
  if (!t.call || !isNormalized(t)) return null;
  const { layer, input } = t.call;
  const rule = epsilon(composite.eps);
  const call = () => normalizationCall(t, composite) as AffineCall;
  const pull = (R: Tensor) => rule.propagate(call(), R);
  return { inputs: [input], name: pass.nameOf(layer), kind: layer.constructor.name, rule, call, pull };
}

/** Gates and log-sum-exp pools, whatever the composite. */
function sharesStep(t: Tensor, pass: ForwardPass): RelevanceStep | null {
  const pull = sharesRule(t);
  if (!pull || !t.call) return null;
  const { layer, input } = t.call;
  const kind = layer.constructor.name;
  return { inputs: [input], name: pass.nameOf(layer), kind, rule: null, call: null, pull };
}

function opStep(t: Tensor, composite: Composite, pass: ForwardPass): RelevanceStep | null {
  const { origin } = t;
  if (!origin) return null;
  const name = t.call ? pass.nameOf(t.call.layer) : '';
  const rule = structuralRule(origin.op.name);
  return {
    inputs: origin.inputs,
    name,
    kind: origin.op.name,
    rule: null,
    call: null,
    pull(R, index) {
      // Indices and comparisons carry no signal, here as in autograd.
      if (!vjpOf(origin.op, index)) return null;
      if (!rule) {
        const layer = t.call ? `layer '${name || t.call.layer.constructor.name}', ` : '';
        throw new UsageError(
          `lrp: no rule for op '${origin.op.name}' (${layer}output ${formatShape(t.shape)}); ${adviceOn(origin.op.name)}`,
        );
      }
      const isVariable = (i: number) =>
        composite.softmax === 'constant'
          ? pass.dependsOnInputOutsideSoftmax(origin.inputs[i])
          : pass.dependsOnInput(origin.inputs[i]);
      return rule.propagate(R, { t, origin, index, eps: composite.eps, options: composite, isVariable });
    },
  };
}

/** How relevance goes on from a tensor: by the composite's rule for its layer, or by its op's rule; null at leaves. */
export function relevanceStep(t: Tensor, composite: Composite, pass: ForwardPass): RelevanceStep | null {
  return (
    layerStep(t, composite, pass) ??
    normalizationStep(t, composite, pass) ??
    sharesStep(t, pass) ??
    opStep(t, composite, pass)
  );
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
export function relevance(options: RelevanceOptions): Tensor {
  return relevanceAt(options, [options.input])[0];
}

/**
 * Relevance of several tensors of the forward pass in one walk: the input and any recorded tensor between it and the
 * output, each [K N, ...]. Throws as `relevance` does.
 */
export function relevanceAt(options: RelevanceOptions, tensors: readonly Tensor[]): Tensor[] {
  const { output, seed, input, composite, model } = options;
  mapCount(seed.shape, output.shape);
  const pass = new ForwardPass(input, output, model);
  const stepOf = (t: Tensor) => (t === input ? null : relevanceStep(t, composite, pass));
  const found = walk({ output, seed, targets: tensors, stepOf });
  return tensors.map((t) => {
    const R = found.get(t);
    if (!R) throw new UsageError(`lrp: no relevance reaches the ${t}; check the seed and the composite`);
    return R;
  });
}

/** All steps that relevance would take from the output to the input, in the order of execution. Nothing is propagated. */
export function relevanceSteps(
  options: Omit<RelevanceOptions, 'seed'>,
): { readonly t: Tensor; readonly step: RelevanceStep }[] {
  const { output, input, composite, model } = options;
  const pass = new ForwardPass(input, output, model);
  const steps: { t: Tensor; step: RelevanceStep }[] = [];
  const seen = new Set<Tensor>();
  const stack = [output];
  for (let t = stack.pop(); t; t = stack.pop()) {
    if (t === input || seen.has(t) || !pass.dependsOnInput(t)) continue;
    seen.add(t);
    const step = relevanceStep(t, composite, pass);
    if (!step) continue;
    steps.push({ t, step });
    stack.push(...step.inputs);
  }
  return steps.reverse();
}
