// LRP-Flex (arXiv:2401.08409): for networks of ReLUs, leaky or not, epsilon-LRP is gradient times input with another slope at the ReLUs.

import { UsageError } from '../engine/errors.ts';
import { stepOfOp, vjpOf } from '../engine/grad.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { concat, slice } from '../engine/ops/layout.ts';
import { stabilizedDivide, step } from '../engine/ops/pointwise.ts';
import { isSameShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { transpose } from '../engine/transpose.ts';
import { type Step, walk } from '../engine/walk.ts';
import { type AffineCall, affineCallOf, affineInput } from './affine.ts';
import type { Composite } from './composite.ts';
import { ForwardPass } from './forward-pass.ts';
import { mapCount, perMap, relevanceShape, repeatPerMap } from './maps.ts';
import { contextOf, type RelevanceOptions } from './relevance.ts';
import { structuralRule } from './structure.ts';

/** What LRP-Flex takes besides what `relevance` takes. `seed` holds gradients here, not relevances. */
export interface FlexOptions extends RelevanceOptions {
  /**
   * Batch statistics of BatchNorm: `differentiate` through them, as the published code does, which mixes the samples of a
   * batch and takes one walk per map; or take them for `constant`, as the rules do, which takes one walk for all maps.
   */
  readonly statistics?: 'differentiate' | 'constant';
}

const isOp = (t: Tensor, name: string): boolean => t.origin?.op.name === name;

/** z of y = ReLU(z), leaky or not; null for any other y. */
const rectifiedBy = (y: Tensor): Tensor | null =>
  isOp(y, 'relu') || isOp(y, 'leakyRelu') ? (y.origin?.inputs[0] ?? null) : null;

/** The slope at y = ReLU(z), leaky or not:   g_in = g_out y / (z + sign(z) eps)   instead of g_out dy/dz, which is eps = 0. */
function reluStep(y: Tensor, eps: number): Step | null {
  const z = rectifiedBy(y);
  const isLeaky = isOp(y, 'leakyRelu');
  if (!z || (isLeaky && eps === 0)) return null;
  // Without a leak y is z wherever it is not 0, and z need not be kept.
  const slope = () => (eps > 0 ? stabilizedDivide(y, isLeaky ? z : y, eps) : step(y));
  return { inputs: [z], pull: (g) => perMap(mul, g, slope()) };
}

/** The first layer, entered at its ReLU: from here on a rule takes over, on relevance y g. */
function firstLayerStep(t: Tensor, composite: Composite, pass: ForwardPass): Step | null {
  const z = rectifiedBy(t);
  const input = z && affineInput(z);
  if (!z?.call || !input || pass.hasLayerBefore(input)) return null;
  const rule = composite.ruleFor(contextOf(z, input, pass));
  if (!rule) return null;
  return {
    inputs: [input],
    pull(g) {
      const call = affineCallOf(z, composite);
      return call && rule.propagate(call, perMap(mul, g, t));
    },
  };
}

/** A first layer is entered at its ReLU or not at all: beyond it the signal is a gradient, to which no rule applies. */
function checkFirstLayer(t: Tensor, composite: Composite, pass: ForwardPass): void {
  const input = affineInput(t);
  if (!input || pass.hasLayerBefore(input)) return;
  const context = contextOf(t, input, pass);
  if (!composite.ruleFor(context)) return;
  throw new UsageError(
    `lrp-flex: the output of the first layer '${context.name || context.kind}' does not go into a ReLU alone; use relevance, or a composite without a rule there`,
  );
}

/** The gradient of an affine call, for maps in one batch: a BatchNorm behind a layer is folded into it. */
function affineStep(t: Tensor): Step | null {
  const input = affineInput(t);
  if (!input) return null;
  return {
    inputs: [input],
    pull(g) {
      const { x, params, apply } = affineCallOf(t, {
        bias: 'zero',
        statisticsGradient: 'detach',
      }) as AffineCall;
      return transpose((v) => apply(v, { ...params, bias: null }), relevanceShape(g, x), g);
    },
  };
}

/** Ops whose relevance rule is their gradient: they only move numbers, and know how to with maps on an axis of their own. */
const layoutOps: ReadonlySet<string> = new Set(['reshape', 'permute', 'concat', 'slice', 'pad', 'expand']);

/** The gradient of an op, for maps in one batch: activations, and masks and indices of their shape, are repeated per map. */
function foldedOpStep(t: Tensor, composite: Composite, pass: ForwardPass): Step | null {
  const { origin } = t;
  if (!origin) return null;
  const { op, inputs, attrs } = origin;
  const isVariable = (i: number) => pass.dependsOnInput(inputs[i]);
  // A weight may have the shape of its product by chance.
  const isProduct = op.name === 'matmul' || op.name.startsWith('conv2d');
  const isRepeated = (i: number) => isVariable(i) || (!isProduct && isSameShape(inputs[i].shape, t.shape));
  return {
    inputs,
    pull(g, index) {
      const vjp = vjpOf(op, index);
      const count = mapCount(g.shape, t.shape);
      if (!vjp || count === 1) return vjp?.(g, inputs, t, attrs, index) ?? null;
      if (layoutOps.has(op.name)) {
        const call = { t, origin, index, eps: 0, options: composite, isVariable };
        return structuralRule(op.name)?.propagate(g, call) ?? null;
      }
      const repeated = inputs.map((input, i) => (isRepeated(i) ? repeatPerMap(input, count) : input));
      return vjp(g, repeated, repeatPerMap(t, count), attrs, index);
    },
  };
}

/** How the gradient goes on from a tensor, for maps in one batch. */
const foldedStep = (t: Tensor, composite: Composite, pass: ForwardPass): Step | null =>
  affineStep(t) ?? foldedOpStep(t, composite, pass);

/** Signals of one walk at the tensors: gradients, but relevance at the input where a rule took over. */
interface Signals {
  readonly signals: readonly Tensor[];
  readonly isRelevance: boolean;
}

function signalsOf(
  { output, seed, input, composite, model, statistics }: FlexOptions,
  tensors: readonly Tensor[],
): Signals {
  const pass = new ForwardPass(input, output, model);
  let isRelevance = false;
  const stepOf = (t: Tensor): Step | null => {
    if (t === input) return null;
    const first = firstLayerStep(t, composite, pass);
    if (first) {
      isRelevance = true;
      return first;
    }
    checkFirstLayer(t, composite, pass);
    const other = () => (statistics === 'constant' ? foldedStep(t, composite, pass) : stepOfOp(t));
    return reluStep(t, composite.eps) ?? other();
  };
  const found = walk({ output, seed, targets: tensors, stepOf });
  const signals = tensors.map((t) => {
    const signal = found.get(t);
    if (signal) return signal;
    throw new UsageError(`lrp: no signal reaches the ${t}; run the forward pass on this very tensor`);
  });
  return { signals, isRelevance };
}

/**
 * Relevance of the input [K N, ...] by LRP-Flex, for gradients `seed` [K N, ...] at the output (not relevances). The
 * composite says what happens at the first layer; without a rule there, relevance is input times gradient.
 * Equal to epsilon-LRP with eps at ReLUs and none at the last layer and the pools. Throws as `relevance` does.
 */
export function flexRelevance(options: FlexOptions): Tensor {
  return flexRelevanceAt(options, [options.input])[0];
}

/**
 * Relevance of several tensors of the forward pass, each [K N, ...], from the same walk: of a hidden tensor it is the
 * tensor times the modified gradient there. Throws as `relevance` does.
 */
export function flexRelevanceAt(options: FlexOptions, tensors: readonly Tensor[]): Tensor[] {
  const { output, seed, input, statistics = 'differentiate' } = options;
  const count = mapCount(seed.shape, output.shape);
  if (statistics === 'constant' || count === 1) return relevanceOfSignals(signalsOf(options, tensors));
  // One walk per map: gradients through batch statistics mix samples, so maps must not share a batch here.
  const N = output.shape[0];
  const walks = Array.from({ length: count }, (_, k) => {
    const starts = seed.shape.map((_, axis) => (axis === 0 ? k * N : 0));
    return relevanceOfSignals(signalsOf({ ...options, seed: slice(seed, starts, output.shape) }, tensors));
  });
  return tensors.map((_, i) =>
    concat(
      walks.map((maps) => maps[i]),
      0,
    ),
  );

  function relevanceOfSignals({ signals, isRelevance }: Signals): Tensor[] {
    return tensors.map((t, i) => (t === input && isRelevance ? signals[i] : perMap(mul, signals[i], t)));
  }
}

/** What is left of LRP-Flex without eps and first rule: input times gradient at every tensor. See `flexRelevanceAt`. */
export function gradientInputAt(options: FlexOptions, tensors: readonly Tensor[]): Tensor[] {
  const composite = { ...options.composite, ruleFor: () => null, eps: 0 };
  return flexRelevanceAt({ ...options, composite }, tensors);
}
