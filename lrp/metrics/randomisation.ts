// Does the attribution depend on what the model has learned? It should not survive the loss of the parameters.
import { assign, full } from '../../engine/create.ts';
import { UsageError } from '../../engine/errors.ts';
import { reshape } from '../../engine/ops/broadcast.ts';
import { concat } from '../../engine/ops/layout.ts';
import { abs } from '../../engine/ops/pointwise.ts';
import { randomStream } from '../../engine/random-bits.ts';
import { scope } from '../../engine/scope.ts';
import { release, type Tensor } from '../../engine/tensor.ts';
import { filled, kaimingUniform } from '../../nn/init.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { type Attribution, type AttributionTarget, recorded, rowsOf } from '../attributions/attribution.ts';
import { layerResults } from '../attributions/grad-cam.ts';
import { asRows, measured, spearman } from './statistics.ts';

export interface RandomisationOptions {
  /** Default 'predicted': the class before anything is randomised, throughout. */
  readonly target?: AttributionTarget;
  /** Names of modules in the order in which they lose their parameters; default `layersTopDown`. */
  readonly layers?: readonly string[];
  /** Equal seeds give equal parameters; default 0. */
  readonly seed?: number;
}

export interface Randomisation {
  readonly layers: readonly string[];
  /** [layers, N]: similarity to the original map once this layer and all before it in the list are random. */
  readonly correlation: Tensor;
}

/** Names of the layers with parameters that ran on the way to the logits of x, the last executed first. */
export function layersTopDown(model: Module, x: Tensor): string[] {
  const names = new Map<object, string>(model.namedModules().map(([name, module]) => [module, name]));
  let found: string[] = [];
  scope(x.device, () =>
    recorded(x.device, () => {
      const logits = inEvaluation(model, () => model.forward(x));
      const layers = layerResults(logits).map((t) => t.call?.layer as Module);
      const trained = layers.filter((layer) => Object.keys(layer.ownParameters()).length > 0);
      found = [...new Set(trained.toReversed())].map((layer) => names.get(layer) ?? '');
      return logits;
    }),
  );
  return found;
}

/** Overwrites a parameter with what `nn/init` would start from: Kaiming's weights, 1 for the scale of BatchNorm, else 0. */
function randomise(name: string, parameter: Tensor, seed: number): void {
  const init = { device: parameter.device, random: randomStream(seed, `randomisation ${name}`) };
  const isWeight = name.split('.').at(-1) === 'weight';
  const drawn =
    parameter.shape.length > 1
      ? kaimingUniform(init, parameter.shape)
      : filled(init, parameter.shape, isWeight ? 1 : 0);
  assign(parameter, drawn);
  release(drawn);
}

/** Parameters of the module `layer` by their names in the model. */
function parametersOf(model: Module, layer: string): [string, Tensor][] {
  const module = model.namedModules().find(([name]) => name === layer)?.[1];
  const found = module ? [...module.namedParameters()] : [];
  if (found.length === 0) {
    const names = model.namedModules().filter(([name, each]) => name !== '' && each.parameters().length > 0);
    throw new UsageError(
      `parameterRandomisation: '${layer}' is no module with parameters; use one of ${names.map(([name]) => name).join(', ')}`,
    );
  }
  return found.map(([name, t]) => [`${layer}.${name}`, t]);
}

/**
 * Model parameter randomisation check: layers lose their parameters one after the other, from the top down, and the
 * original map is compared with what the attribution gives then.
 *   correlation [layers, N] = Spearman(|a|, |a_random|), ties by mean ranks        Adebayo et al. 2018
 * An attribution that explains the model falls towards 0. Unlike in Quantus the original is not among the compared. BatchNorm
 * keeps its running statistics. Parameters are put back bit by bit, also when the attribution throws. Throws UsageError for
 * a layer without parameters, and what the attribution throws.
 */
export function parameterRandomisation(
  model: Module,
  x: Tensor,
  attribution: Attribution,
  options: RandomisationOptions = {},
): Randomisation {
  const { target, seed = 0, layers = layersTopDown(model, x) } = options;
  const plan = layers.map((layer) => parametersOf(model, layer));
  return measured(x.device, () => {
    const saved = new Map<Tensor, Tensor>();
    for (const [, t] of plan.flat()) {
      if (saved.has(t)) continue;
      const copy = full(t.device, t.shape, 0);
      assign(copy, t);
      saved.set(t, copy);
    }
    const rows = rowsOf(model, x, { target });
    const map = () => scope(x.device, () => abs(asRows(attribution(model, x, { target: rows }))));
    const original = map();
    try {
      const correlations = plan.map((parameters) => {
        for (const [name, t] of parameters) randomise(name, t, seed);
        return reshape(spearman(original, map()), [1, x.shape[0]]);
      });
      return { layers, correlation: concat(correlations, 0) };
    } finally {
      for (const [parameter, copy] of saved) assign(parameter, copy);
    }
  });
}
