// The slope of the explained number in each pixel, alone and times the pixel.
import { mul } from '../../engine/ops/arithmetic.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { type AttributionOptions, gradientAt, onForwardPass } from './attribution.ts';

/**
 * Gradient, signed [N, C, H, W]:   R_i = df/dx_i        Simonyan et al. 2014 (saliency maps; they show its magnitude)
 * Throws ShapeError or UsageError for logits or a target that do not fit.
 */
export function gradient(model: Module, x: Tensor, options: AttributionOptions = {}): Tensor {
  return onForwardPass(model, x, options, (pass) => gradientAt(x, pass));
}

/**
 * Input times gradient [N, C, H, W]:   R_i = x_i df/dx_i        Shrikumar et al. 2016
 * In a ReLU network without biases it is LRP-0, and its sum is f. Throws as `gradient` does.
 */
export function inputTimesGradient(model: Module, x: Tensor, options: AttributionOptions = {}): Tensor {
  return onForwardPass(model, x, options, (pass) => mul(x, gradientAt(x, pass)));
}
