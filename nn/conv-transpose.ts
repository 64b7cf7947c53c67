// Transposed convolution: the adjoint of Conv2d as a layer, for decoders such as U-Net's.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { type ConvAttrs, conv2dInputGrad, convAttrs } from '../engine/ops/conv.ts';
import { type Pair, pairOf } from '../engine/ops/pair.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Initial, kaimingUniform, zeros } from './init.ts';
import { AffineLayer } from './layers.ts';
import type { Init, Params } from './module.ts';

/** Options of `ConvTranspose2d`, PyTorch's but for groups and dilation. */
export interface ConvTranspose2dOptions {
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
  /** Pixels added at the lower right: with a stride several input sizes have one output size. */
  readonly outputPadding?: number | Pair;
  readonly bias?: boolean;
  readonly initialWeight?: Initial;
  readonly initialBias?: Initial;
}

/**
 * Adjoint of a convolution with W [I, O, KH, KW]: x [N, I, H, W] -> [N, O, OH, OW], plus b [O] per channel, with
 *   OH = (H - 1) stride - 2 padding + KH + output padding
 * Throws UsageError when the output padding is not below the stride.
 */
export class ConvTranspose2d extends AffineLayer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly attrs: ConvAttrs;
  readonly outputPadding: Pair;
  override readonly outputAxis = 1;

  constructor(
    init: Init,
    inChannels: number,
    outChannels: number,
    kernelSize: number | Pair,
    options: ConvTranspose2dOptions = {},
  ) {
    super();
    const { stride, padding, outputPadding = 0, bias = true } = options;
    const { initialWeight = kaimingUniform, initialBias = zeros } = options;
    this.attrs = convAttrs({ stride, padding });
    this.outputPadding = pairOf(outputPadding);
    if (this.outputPadding.some((n, axis) => !(n >= 0 && n < this.attrs.stride[axis]))) {
      throw new UsageError(
        `ConvTranspose2d: output padding [${this.outputPadding}] with stride [${this.attrs.stride}]; it must be from 0 up and below the stride`,
      );
    }
    this.weight = initialWeight(init, [inChannels, outChannels, ...pairOf(kernelSize)]);
    this.bias = bias ? initialBias(init, [outChannels]) : null;
  }

  apply(x: Tensor, { weight, bias }: Params): Tensor {
    if (x.shape.length !== 4 || x.shape[1] !== weight.shape[0]) {
      throw new ShapeError(
        `ConvTranspose2d: the input is ${formatShape(x.shape)} and the weight ${formatShape(weight.shape)}; give [N, ${weight.shape[0]}, H, W]`,
      );
    }
    const { stride, padding } = this.attrs;
    const size = [0, 1].map(
      (axis) =>
        (x.shape[2 + axis] - 1) * stride[axis] -
        2 * padding[axis] +
        weight.shape[2 + axis] +
        this.outputPadding[axis],
    );
    const y = conv2dInputGrad(x, weight, [size[0], size[1]], this.attrs);
    return bias ? add(y, reshape(bias, [bias.shape[0], 1, 1])) : y;
  }
}
