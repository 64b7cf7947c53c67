// Batch normalisation (Ioffe and Szegedy 2015), split into its statistics and the affine map that they define.
import { assign } from '../engine/create.ts';
import { ShapeError } from '../engine/errors.ts';
import { add, div, mul, sqrt, sub } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { slice } from '../engine/ops/layout.ts';
import { channelMoments } from '../engine/ops/moments.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { formatShape, sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { filled } from './init.ts';
import { type Init, Layer, type Params } from './module.ts';

const perChannel = (t: Tensor): Tensor => reshape(t, [t.shape[0], 1, 1]);

/** (x - mean) / sqrt(var + eps) * weight + bias per channel of x [N, C, H, W]. */
export class BatchNorm2d extends Layer {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  readonly eps: number;
  readonly momentum: number;

  constructor(init: Init, channels: number, { eps = 1e-5, momentum = 0.1 } = {}) {
    super();
    this.eps = eps;
    this.momentum = momentum;
    this.weight = filled(init, [channels], 1);
    this.bias = filled(init, [channels], 0);
    this.runningMean = filled(init, [channels], 0);
    this.runningVar = filled(init, [channels], 1);
  }

  override ownParameters(): Params {
    return { weight: this.weight, bias: this.bias };
  }

  override ownBuffers(): Params {
    return { runningMean: this.runningMean, runningVar: this.runningVar };
  }

  /** Weight and bias, with the statistics of this batch in training and the running ones otherwise. */
  override paramsFor(x: Tensor): Params {
    if (x.shape.length !== 4 || x.shape[1] !== this.weight.shape[0]) {
      throw new ShapeError(
        `BatchNorm2d: the input is ${formatShape(x.shape)} and the layer has ${this.weight.shape[0]} channels; give [N, ${this.weight.shape[0]}, H, W]`,
      );
    }
    const { weight, bias } = this;
    if (!this.isTraining) return { weight, bias, mean: this.runningMean, variance: this.runningVar };
    const moments = channelMoments(x);
    const row = (i: number) => reshape(slice(moments, [i, 0], [1, weight.shape[0]]), weight.shape);
    const [batchMean, variance] = [row(0), row(1)];
    this.#updateRunning(batchMean, variance, sizeOf(x.shape) / x.shape[1]);
    return { weight, bias, mean: batchMean, variance };
  }

  /** running = (1 - momentum) running + momentum batch, with the unbiased variance, as PyTorch does. */
  #updateRunning(batchMean: Tensor, variance: Tensor, count: number): void {
    const { device } = batchMean;
    withoutRecording(device, () =>
      scope(device, () => {
        const blend = (running: Tensor, batch: Tensor, factor: number) =>
          assign(running, add(mul(running, 1 - this.momentum), mul(batch, this.momentum * factor)));
        blend(this.runningMean, batchMean, 1);
        blend(this.runningVar, variance, count / Math.max(1, count - 1));
      }),
    );
  }

  apply(x: Tensor, params: Params): Tensor {
    const { scale, shift } = affineOf(params, this.eps);
    return add(mul(x, perChannel(scale)), perChannel(shift));
  }
}

/** The map y = scale x + shift per channel that normalisation with these statistics is. */
export function affineOf(
  { weight, bias, mean: center, variance }: Params,
  eps: number,
): { scale: Tensor; shift: Tensor } {
  const scale = div(weight, sqrt(add(variance, eps)));
  return { scale, shift: sub(bias, mul(center, scale)) };
}
