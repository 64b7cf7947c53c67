// The layers of convolutional classifiers. Arguments and defaults are PyTorch's.
import { tensor } from '../engine/create.ts';
import { ShapeError } from '../engine/errors.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { adaptiveAvgPool2d, avgPool2d } from '../engine/ops/avg-pool.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { type ConvAttrs, type ConvOptions, conv2d, convAttrs } from '../engine/ops/conv.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { maxPool2d } from '../engine/ops/max-pool.ts';
import { type Pair, pairOf } from '../engine/ops/pair.ts';
import { relu } from '../engine/ops/pointwise.ts';
import { dropoutMask } from '../engine/ops/random.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { filled, kaimingUniform } from './init.ts';
import { type Init, Layer, type Params } from './module.ts';

/** A layer that is affine in its input, with a weight and perhaps a bias: what relevance rules apply to. */
export abstract class AffineLayer extends Layer {
  abstract readonly weight: Tensor;
  abstract readonly bias: Tensor | null;

  override ownParameters(): Params {
    return this.bias ? { weight: this.weight, bias: this.bias } : { weight: this.weight };
  }
}

/** y = x W^T + b for x [N, .., I], W [O, I], b [O]. */
export class Linear extends AffineLayer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  /** `gain` scales the initial weights: sqrt(2) before a ReLU (the default), 1 for logits. */
  constructor(init: Init, inFeatures: number, outFeatures: number, { bias = true, gain = Math.SQRT2 } = {}) {
    super();
    this.weight = kaimingUniform(init, [outFeatures, inFeatures], { gain });
    this.bias = bias ? filled(init, [outFeatures], 0) : null;
  }

  apply(x: Tensor, { weight, bias }: Params): Tensor {
    if (x.shape.length < 2 || x.shape.at(-1) !== weight.shape[1]) {
      throw new ShapeError(
        `Linear: the input is ${formatShape(x.shape)} and the weight ${formatShape(weight.shape)}; give [N, .., ${weight.shape[1]}], e.g. through Flatten`,
      );
    }
    const rows = reshape(x, [-1, weight.shape[1]]);
    const product = reshape(matmul(rows, weight, { transposeB: true }), [
      ...x.shape.slice(0, -1),
      weight.shape[0],
    ]);
    return bias ? add(product, bias) : product;
  }
}

export interface Conv2dOptions extends ConvOptions {
  readonly bias?: boolean;
}

/** Convolution of x [N, C, H, W] with W [O, C/groups, KH, KW], plus b [O] per channel. */
export class Conv2d extends AffineLayer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly attrs: ConvAttrs;

  constructor(
    init: Init,
    inChannels: number,
    outChannels: number,
    kernelSize: number | Pair,
    options: Conv2dOptions = {},
  ) {
    super();
    this.attrs = convAttrs(options);
    this.weight = kaimingUniform(init, [outChannels, inChannels / this.attrs.groups, ...pairOf(kernelSize)]);
    this.bias = (options.bias ?? true) ? filled(init, [outChannels], 0) : null;
  }

  apply(x: Tensor, { weight, bias }: Params): Tensor {
    const y = conv2d(x, weight, this.attrs);
    return bias ? add(y, reshape(bias, [bias.shape[0], 1, 1])) : y;
  }
}

/** max(x, 0) */
export class ReLU extends Layer {
  apply(x: Tensor): Tensor {
    return relu(x);
  }
}

/** [N, C, H, W] -> [N, C H W] */
export class Flatten extends Layer {
  apply(x: Tensor): Tensor {
    return reshape(x, [x.shape[0], -1]);
  }
}

interface PoolOptions {
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
}

/** A pool over windows of one size; the stride defaults to the kernel size. */
abstract class WindowPool extends Layer {
  readonly kernelSize: number | Pair;
  readonly options: PoolOptions;

  constructor(kernelSize: number | Pair, options: PoolOptions = {}) {
    super();
    this.kernelSize = kernelSize;
    this.options = options;
  }
}

/** Largest value of each window; the stride defaults to the kernel size. */
export class MaxPool2d extends WindowPool {
  apply(x: Tensor): Tensor {
    return maxPool2d(x, { kernel: this.kernelSize, ...this.options });
  }
}

/** Mean of each window; the stride defaults to the kernel size. */
export class AvgPool2d extends WindowPool {
  apply(x: Tensor): Tensor {
    return avgPool2d(x, { kernel: this.kernelSize, ...this.options });
  }
}

/** Mean over windows chosen so that the output is `outputSize`. */
export class AdaptiveAvgPool2d extends Layer {
  readonly outputSize: Pair;

  constructor(outputSize: number | Pair) {
    super();
    this.outputSize = pairOf(outputSize);
  }

  apply(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }
}

// Calls of one dropout layer within a step draw from different counters.
const DRAWS_PER_STEP = 16;

/** In training sets a share `p` of the inputs to 0 and scales the others by 1 / (1 - p); else the identity. */
export class Dropout extends Layer {
  readonly p: number;
  readonly #seed: number;
  #counter = 0;

  constructor(init: Init, p = 0.5) {
    super();
    this.p = p;
    this.#seed = init.random.below(2 ** 24);
  }

  apply(x: Tensor): Tensor {
    if (!this.isTraining || this.p === 0) return x;
    // Random counters travel as whole numbers in f32, which holds them up to 2^24.
    const key = tensor(x.device, [this.#seed, this.#counter++ % 2 ** 24], [2]);
    return mul(x, dropoutMask(key, x.shape, this.p));
  }

  /** What the layer draws next depends on the step alone, so that a resumed run draws what it would have drawn. */
  atStep(step: number): void {
    this.#counter = step * DRAWS_PER_STEP;
  }
}
