// Which rule applies to which layer.
import type { GradientPolicy } from './affine.ts';
import { DEFAULT_EPSILON, epsilon, type Rule, zB } from './rules.ts';

/** What a composite may decide by. */
export interface LayerContext {
  /** Dotted name in the model, '' when it is not known. */
  readonly name: string;
  /** Class of the layer: 'Linear', 'Conv2d', 'BatchNorm2d', ... */
  readonly kind: string;
  /** The layer is the first *executed* one that has weights: its input is the image. */
  readonly isFirst: boolean;
}

export interface Composite extends GradientPolicy {
  readonly name: string;
  /** The rule for a layer; null makes the walk look at the layer's ops instead. */
  readonly ruleFor: (layer: LayerContext) => Rule | null;
  /** Stabiliser of sums and pools, in units of their output. */
  readonly eps: number;
}

export interface IsnetCompositeOptions extends Partial<GradientPolicy> {
  readonly eps?: number;
  /** Rule of the first layer; z^B on [0, 1] by default. */
  readonly inputRule?: Rule;
}

/** The composite that ISNets train with: epsilon everywhere, z^B for the image. Images must lie in [0, 1]. */
export function isnetComposite(options: IsnetCompositeOptions = {}): Composite {
  const { eps = DEFAULT_EPSILON, biasGradient = 'detach', statisticsGradient = 'detach' } = options;
  const hidden = epsilon(eps);
  const input = options.inputRule ?? zB({ eps });
  return {
    name: 'isnet',
    ruleFor: ({ isFirst }) => (isFirst ? input : hidden),
    eps,
    biasGradient,
    statisticsGradient,
  };
}

/** Epsilon everywhere, the image included. */
export function epsilonComposite(options: Omit<IsnetCompositeOptions, 'inputRule'> = {}): Composite {
  return { ...isnetComposite({ ...options, inputRule: epsilon(options.eps) }), name: 'epsilon' };
}
