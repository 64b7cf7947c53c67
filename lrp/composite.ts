// Which rule applies to which layer: rows of conditions, the first that fits decides.
import type { GradientPolicy } from './affine.ts';
import type { Rule } from './rule.ts';
import {
  alphaBeta,
  type Bound,
  DEFAULT_EPSILON,
  epsilon,
  flat,
  gammaGeneralized,
  zB,
  zPlus,
} from './rules.ts';
import { defaultStructure, type StructureOptions } from './structure/op-call.ts';

/** What a composite may decide by. */
export interface LayerContext {
  /** Dotted name in the model, '' when it is not known. */
  readonly name: string;
  /** Class of the layer: 'Linear', 'Conv2d', 'BatchNorm2d', ... */
  readonly kind: string;
  /** No layer with weights was *executed* before this one on the way from the input: its input is the image. */
  readonly isFirst: boolean;
  /** No layer with weights was executed after it on the way to the output. */
  readonly isLast: boolean;
}

/** One row of a composite. All given conditions must hold. */
export interface CompositeRow {
  readonly kind?: string | readonly string[];
  /** Pattern for the dotted name, e.g. /^features\./ */
  readonly name?: RegExp;
  readonly isFirst?: boolean;
  readonly isLast?: boolean;
  readonly rule: Rule;
}

export interface Composite extends GradientPolicy, StructureOptions {
  readonly name: string;
  /** The rule for a layer; null makes the walk look at the layer's ops instead. */
  readonly ruleFor: (layer: LayerContext) => Rule | null;
  /** Stabiliser of sums and pools, in units of their output. */
  readonly eps: number;
}

export interface CompositeOptions extends Partial<GradientPolicy>, Partial<StructureOptions> {
  /** Stabiliser of sums and pools. Default 1e-6, zennit's. */
  readonly eps?: number;
}

function fits({ kind, name, isFirst, isLast }: CompositeRow, layer: LayerContext): boolean {
  const kinds = typeof kind === 'string' ? [kind] : kind;
  return (
    (!kinds || kinds.includes(layer.kind)) &&
    (!name || name.test(layer.name)) &&
    (isFirst === undefined || isFirst === layer.isFirst) &&
    (isLast === undefined || isLast === layer.isLast)
  );
}

/** A composite from its rows. Layers that no row fits are treated op by op. */
export function composite(
  name: string,
  rows: readonly CompositeRow[],
  { eps = 1e-6, bias = 'keep', statisticsGradient = 'keep', ...structure }: CompositeOptions = {},
): Composite {
  const ruleFor = (layer: LayerContext) => rows.find((row) => fits(row, layer))?.rule ?? null;
  return { ...defaultStructure, ...structure, name, ruleFor, eps, bias, statisticsGradient };
}

export interface IsnetCompositeOptions extends Partial<GradientPolicy>, Partial<StructureOptions> {
  readonly eps?: number;
  /** Rule of the first layer; z^B on [0, 1] by default. */
  readonly inputRule?: Rule;
}

/** The composite that ISNets train with: epsilon everywhere, z^B for the image. Images must lie in [0, 1]. */
export function isnetComposite(options: IsnetCompositeOptions = {}): Composite {
  const {
    eps = DEFAULT_EPSILON,
    bias = 'detach',
    statisticsGradient = 'detach',
    inputRule = zB({ eps }),
    ...structure
  } = options;
  const rows = [{ isFirst: true, rule: inputRule }, { rule: epsilon(eps) }];
  return composite('isnet', rows, { ...structure, eps, bias, statisticsGradient });
}

/** Epsilon everywhere, the image included. */
export function epsilonComposite(options: Omit<IsnetCompositeOptions, 'inputRule'> = {}): Composite {
  return { ...isnetComposite({ ...options, inputRule: epsilon(options.eps) }), name: 'epsilon' };
}

const dense = (rule: Rule): CompositeRow => ({ kind: 'Linear', rule });
const convolutional = (rule: Rule): CompositeRow => ({ kind: ['Conv2d', 'BatchNorm2d'], rule });

/** Options of zennit's presets: their default is the bias kept in every denominator. */
type PresetOptions = CompositeOptions;

/**
 * zennit's presets (Anders et al. 2021, arXiv:2106.13200), first layer = the first executed one. BatchNorm after a layer
 * is folded into it.
 */
export const composites = {
  /** z+ for convolutions, epsilon for dense layers. */
  epsilonPlus: (options?: PresetOptions): Composite =>
    composite('epsilonPlus', [dense(epsilon(1e-6)), convolutional(zPlus())], options),
  /** As epsilonPlus, with the flat rule for the first layer. */
  epsilonPlusFlat: (options?: PresetOptions): Composite =>
    composite(
      'epsilonPlusFlat',
      [{ isFirst: true, rule: flat() }, dense(epsilon(1e-6)), convolutional(zPlus())],
      options,
    ),
  /** alpha 2, beta 1 for convolutions, epsilon for dense layers. */
  epsilonAlpha2Beta1: (options?: PresetOptions): Composite =>
    composite('epsilonAlpha2Beta1', [dense(epsilon(1e-6)), convolutional(alphaBeta(2, 1))], options),
  /** As epsilonAlpha2Beta1, with the flat rule for the first layer. */
  epsilonAlpha2Beta1Flat: (options?: PresetOptions): Composite =>
    composite(
      'epsilonAlpha2Beta1Flat',
      [{ isFirst: true, rule: flat() }, dense(epsilon(1e-6)), convolutional(alphaBeta(2, 1))],
      options,
    ),
  /** gamma 0.25 for convolutions, epsilon for dense layers, z^B for the first convolution. */
  epsilonGammaBox: ({
    low = 0,
    high = 1,
    ...options
  }: PresetOptions & { low?: Bound; high?: Bound } = {}): Composite =>
    composite(
      'epsilonGammaBox',
      [
        {
          isFirst: true,
          kind: ['Conv2d', 'BatchNorm2d'],
          rule: zB({ low, high, eps: 1e-6, form: 'textbook' }),
        },
        dense(epsilon(1e-6)),
        convolutional(gammaGeneralized(0.25)),
      ],
      options,
    ),
  /** z+ everywhere (Zhang et al. 2016). */
  excitationBackprop: (options?: PresetOptions): Composite =>
    composite('excitationBackprop', [{ rule: zPlus() }], options),
  isnet: isnetComposite,
  epsilon: epsilonComposite,
} as const;
