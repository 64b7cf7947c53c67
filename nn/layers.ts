// The layers of convolutional classifiers. Arguments and defaults are PyTorch's.
import { assign, literal, tensor } from '../engine/create.ts';
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
import { scope, withoutRecording } from '../engine/scope.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Initial, kaimingUniform, zeros } from './init.ts';
import { type Init, Layer, own, type Params } from './module.ts';

/** A layer that is affine in its input, with a weight and perhaps a bias: what relevance rules apply to. */
export abstract class AffineLayer extends Layer {
  abstract readonly weight: Tensor;
  abstract readonly bias: Tensor | null;
  /** The axis of the weight that counts outputs: a BatchNorm behind the layer scales along it. */
  readonly outputAxis: number = 0;

  override ownParameters(): Params {
    return this.bias ? { weight: this.weight, bias: this.bias } : { weight: this.weight };
  }
}

/** What affine layers begin with. */
interface InitialParams {
  readonly bias?: boolean;
  /** Default: `kaimingUniform` for a ReLU behind the layer. */
  readonly initialWeight?: Initial;
  /** Default: zeros. */
  readonly initialBias?: Initial;
}

/** Options of `Linear`. */
export interface LinearOptions extends InitialParams {
  /** Scales the default initial weights: sqrt(2) before a ReLU (the default), 1 for logits. */
  readonly gain?: number;
}

/** y = x W^T + b for x [N, .., I], W [O, I], b [O]. */
export class Linear extends AffineLayer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(init: Init, inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    const { bias = true, gain, initialBias = zeros } = options;
    const { initialWeight = (to, shape) => kaimingUniform(to, shape, { gain }) } = options;
    this.weight = initialWeight(init, [outFeatures, inFeatures]);
    this.bias = bias ? initialBias(init, [outFeatures]) : null;
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

export interface Conv2dOptions extends ConvOptions, InitialParams {}

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
    const { bias = true, initialWeight = kaimingUniform, initialBias = zeros } = options;
    this.weight = initialWeight(init, [outChannels, inChannels / this.attrs.groups, ...pairOf(kernelSize)]);
    this.bias = bias ? initialBias(init, [outChannels]) : null;
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
// Counters travel as whole numbers in f32, which holds them up to here.
const COUNTERS = 2 ** 24;

/** In training sets a share `p` of the inputs to 0 and scales the others by 1 / (1 - p); else the identity. */
export class Dropout extends Layer {
  readonly p: number;
  readonly #seed: number;
  /** [seed, counter] of the next draw. On the device, so that every run of a captured step counts on. */
  readonly #key: Tensor;

  constructor(init: Init, p = 0.5) {
    super();
    this.p = p;
    this.#seed = init.random.below(COUNTERS);
    this.#key = own(tensor(init.device, [this.#seed, 0], [2]));
  }

  override ownTransients(): Params {
    return { key: this.#key };
  }

  apply(x: Tensor): Tensor {
    if (!this.isTraining || this.p === 0) return x;
    const mask = dropoutMask(this.#key, x.shape, this.p);
    const { device } = this.#key;
    withoutRecording(device, () =>
      scope(device, () => assign(this.#key, add(this.#key, literal(device, [0, 1], [2])))),
    );
    return mul(x, mask);
  }

  /** What the layer draws next depends on the step alone, so that a resumed run draws what it would have drawn. */
  atStep(step: number): void {
    const { device } = this.#key;
    const counter = (step * DRAWS_PER_STEP) % COUNTERS;
    scope(device, () => assign(this.#key, tensor(device, [this.#seed, counter], [2])));
  }
}
