// The heatmaps that a variant is trained on: how the explained quantity is propagated, and at which depths it is looked at.
import { UsageError } from '../engine/errors.ts';
import { mean, mul } from '../engine/ops/arithmetic.ts';
import { reshape, sum } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { abs } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { gradCam } from '../lrp/attributions/grad-cam.ts';
import { type Composite, isnetComposite } from '../lrp/composite.ts';
import { relevanceOfLogits } from '../lrp/explain.ts';
import { flexRelevanceAt, gradientInputAt } from '../lrp/flex.ts';
import { perMap } from '../lrp/maps.ts';
import { relevanceAt } from '../lrp/relevance.ts';
import { zPlus } from '../lrp/rules.ts';
import type { Module } from '../nn/module.ts';
import { inputsOfModules } from './deep-supervision.ts';
import { type SeedOptions, seedGradient } from './seeds.ts';

/**
 * `lrp`: rules, layer by layer (LRP Block). `flex`: LRP-Flex, gradients with another slope at ReLUs; it has no z, so the bias
 * policy of the composite holds at the first layer alone. `gradient-input`: the gradient times the tensor (ISNet
 * Grad*Input), which has no z^B rule, so that black pixels never have relevance. `grad-cam`: no relevance at all, but
 * Grad-CAM of the last feature maps, to see what its background is worth; one map, at the image.
 */
export type Propagation = 'lrp' | 'flex' | 'gradient-input' | 'grad-cam';

/** What is explained, how, and where. */
export interface MapOptions extends Omit<SeedOptions, 'key'> {
  /** Default 'lrp'. */
  readonly propagation?: Propagation;
  /** Rules and gradient policies; `isnetComposite()` by default. Grad*Input has no rules, and obeys its statistics policy. */
  readonly composite?: Composite;
  /**
   * LRP Deep Supervision: dotted names of modules at whose input there are maps too, besides the image. `stageNames` gives
   * those of the papers. None by default.
   */
  readonly deepSupervision?: readonly string[];
}

/** Heatmaps of one batch. */
export interface RelevanceMaps {
  /** [K, N, C, H, W] by depth: the image, then the modules of `deepSupervision` in their order. */
  readonly depths: readonly Tensor[];
  /** Gradient of the explained quantities with respect to the logits [K N, classes]; `dual`: [N, classes]. */
  readonly gradient: Tensor;
}

/** Rules by which a variant's seed goes back, one set per propagation: z+ and epsilon for `dual`. */
export function compositesOf({ variant, composite = isnetComposite() }: MapOptions): Composite[] {
  if (variant !== 'dual') return [composite];
  const rule = zPlus(composite.eps);
  const ruleFor: Composite['ruleFor'] = (layer) => (layer.isFirst ? composite.ruleFor(layer) : rule);
  return [{ ...composite, name: `${composite.name} z+`, ruleFor }, composite];
}

/** Rules that have a natural range of relevance of their own: 2 for `dual`, else 1. */
export const ruleCountOf = ({ variant }: Pick<MapOptions, 'variant'>): number => (variant === 'dual' ? 2 : 1);

function checkPropagation({ variant, propagation = 'lrp', deepSupervision = [] }: MapOptions): void {
  if (propagation === 'grad-cam' && (variant === 'original' || deepSupervision.length > 0)) {
    throw new UsageError(
      `isnetMaps: propagation grad-cam draws one map of the image, and ${variant === 'original' ? 'variant original wants one for each class' : 'there is deep supervision'}; use variant stochastic without deep supervision`,
    );
  }
  if (variant === 'dual' && propagation !== 'lrp') {
    throw new UsageError(
      `isnetMaps: variant dual is made of two rules, and propagation '${propagation}' has none; use propagation lrp`,
    );
  }
}

/**
 * Heatmaps of the variant's explained quantities, from the recorded logits of `model.forward(images)`. All maps of a depth
 * come from one walk, with K in the batch. `key` is [2], see `stochasticGradient`. Throws UsageError for a combination that
 * there is not, or a module that there is not; and as `relevance` does.
 */
export function relevanceMaps(
  model: Module,
  images: Tensor,
  logits: Tensor,
  options: MapOptions,
  key?: Tensor,
): RelevanceMaps {
  checkPropagation(options);
  const { propagation = 'lrp', deepSupervision = [] } = options;
  const gradient = seedGradient(logits, { ...options, key });
  if (propagation === 'grad-cam') {
    const map = gradCam(model, images, { logits, target: gradient });
    return { depths: [reshape(map, [1, ...map.shape])], gradient };
  }
  const tensors = [images, ...inputsOfModules(model, deepSupervision, logits)];
  const walks = compositesOf(options).map((composite) => {
    const statistics = composite.statisticsGradient === 'keep' ? 'differentiate' : 'constant';
    const walk = { output: logits, seed: gradient, input: images, composite, model, statistics } as const;
    if (propagation === 'flex') return flexRelevanceAt(walk, tensors);
    if (propagation === 'gradient-input') return gradientInputAt(walk, tensors);
    return relevanceAt(
      { ...walk, seed: perMap(mul, gradient, relevanceOfLogits(logits, composite)) },
      tensors,
    );
  });
  const depths = tensors.map(({ shape }, i) => {
    const maps = walks.map((depths) => reshape(depths[i], [-1, ...shape]));
    return maps.length === 1 ? maps[0] : concat(maps, 0);
  });
  return { depths, gradient };
}

/** The maps of the images alone, [K, N, C, H, W]; see `relevanceMaps`. */
export function isnetMaps(
  model: Module,
  images: Tensor,
  logits: Tensor,
  options: MapOptions,
  key?: Tensor,
): Tensor {
  return relevanceMaps(model, images, logits, { ...options, deepSupervision: [] }, key).depths[0];
}

/**
 * T = mean over the maps of a rule of sum |R|, over whole maps: what C1 and C2 are estimated from. Returns [depths x rules,
 * N], depths outside.
 */
export function relevanceTotals(depths: readonly Tensor[], ruleCount: number): Tensor {
  const rows = depths.map((maps) => {
    const sums = sum(abs(maps), [2, 3, 4]);
    return ruleCount === 1 ? mean(sums, [0], { keepDims: true }) : sums;
  });
  return rows.length === 1 ? rows[0] : concat(rows, 0);
}
