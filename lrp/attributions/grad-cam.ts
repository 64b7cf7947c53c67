// Where the feature maps lie that speak for a class.
import { UsageError } from '../../engine/errors.ts';
import { mean, mul } from '../../engine/ops/arithmetic.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { relu } from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { ancestorsOf } from '../../engine/walk.ts';
import { Module, Sequential } from '../../nn/module.ts';
import { upsampleBilinear } from '../../nn/resample.ts';
import { type AttributionOptions, gradientAt, onForwardPass } from './attribution.ts';

export interface GradCamOptions extends AttributionOptions {
  /** Whose output is looked at: a layer, its dotted name, or a Sequential for its last layer. Default: the last one with maps. */
  readonly layer?: string | Module;
  /** 'image' enlarges the map bilinearly to the size of x (default); 'layer' leaves it [N, 1, h, w]. */
  readonly size?: 'image' | 'layer';
}

/** Results of layer calls that `output` was computed from, in the order in which they were executed. */
export const layerResults = (output: Tensor): Tensor[] =>
  ancestorsOf(output).filter(({ call }) => call !== null);

/** The layer by itself or by name; of a Sequential, the last layer within. */
function layerOf(model: Module, layer: string | Module): Module {
  const found = layer instanceof Module ? layer : model.namedModules().find(([name]) => name === layer)?.[1];
  if (!found) {
    const names = model.namedModules().map(([name]) => name);
    throw new UsageError(
      `gradCam: there is no layer '${layer}'; use one of ${names.filter((name) => name !== '').join(', ')}`,
    );
  }
  const last = found instanceof Sequential ? found.children().at(-1)?.[1] : undefined;
  return last ? layerOf(model, last) : found;
}

/** The features that are looked at: the last call of the layer, or the last call that gave maps of more than one pixel. */
function featuresOf(model: Module, logits: Tensor, layer: GradCamOptions['layer']): Tensor {
  const results = layerResults(logits);
  const isMap = ({ shape }: Tensor) => shape.length === 4 && shape[2] * shape[3] > 1;
  const wanted = layer === undefined ? null : layerOf(model, layer);
  const found = results.findLast((t) => (wanted ? t.call?.layer === wanted : isMap(t)));
  if (found?.shape.length !== 4) {
    const what = wanted
      ? `layer '${typeof layer === 'string' ? layer : wanted.constructor.name}'`
      : 'any layer';
    throw new UsageError(
      `gradCam: the logits have no feature maps [N, K, h, w] of ${what} behind them; name a layer that was run and has such an output`,
    );
  }
  return found;
}

/**
 * Grad-CAM [N, 1, H, W] for feature maps A_k [h, w] of one layer:
 *   w_k = mean over places of df/dA_k,   R = max(0, sum_k w_k A_k)        Selvaraju et al. 2017
 * enlarged to the image by bilinear interpolation. Default layer: the last one executed whose output is maps. Throws
 * UsageError where the layer is unknown or has no maps, and as `gradient` does.
 */
export function gradCam(model: Module, x: Tensor, options: GradCamOptions = {}): Tensor {
  const { layer, size = 'image' } = options;
  return onForwardPass(model, x, options, (pass) => {
    const A = featuresOf(model, pass.logits, layer);
    const w = mean(gradientAt(A, pass), [2, 3], { keepDims: true });
    const R = relu(sum(mul(w, A), [1], { keepDims: true }));
    return size === 'layer' ? R : upsampleBilinear(R, [x.shape[2], x.shape[3]]);
  });
}
