// Normalisation of each sample by its own mean and deviation: LayerNorm and GroupNorm. Names and defaults are PyTorch's.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { add, div, mean, meanSquare, mul, sqrt, sub } from '../engine/ops/arithmetic.ts';
import { expand, reshape } from '../engine/ops/broadcast.ts';
import { formatShape, isSameShape, type Shape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { filled } from './init.ts';
import { type Init, Layer, type Params } from './module.ts';

/** y = weight (x - mean) / sigma + bias in three parts, of which relevance rules take the middle one as a constant. */
export abstract class SampleNorm extends Layer {
  abstract readonly weight: Tensor;
  abstract readonly bias: Tensor | null;

  /** x less its means: linear in x. */
  abstract centered(x: Tensor): Tensor;
  /** sqrt(var + eps) of a centred tensor, in a shape that broadcasts to it; the variance is the biased one. */
  abstract deviation(centered: Tensor): Tensor;
  /** weight x + bias, per element or per channel. */
  abstract affine(x: Tensor, params: Params): Tensor;

  override ownParameters(): Params {
    return this.bias ? { weight: this.weight, bias: this.bias } : { weight: this.weight };
  }

  apply(x: Tensor, params: Params): Tensor {
    const centered = this.centered(x);
    return this.affine(div(centered, this.deviation(centered)), params);
  }
}

/** Normalises x [.., ...shape] over its last axes.   Ba et al. 2016, arXiv:1607.06450 */
export class LayerNorm extends SampleNorm {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly eps: number;

  constructor(init: Init, shape: number | Shape, { eps = 1e-5, bias = true } = {}) {
    super();
    const sizes = typeof shape === 'number' ? [shape] : shape;
    this.eps = eps;
    this.weight = filled(init, sizes, 1);
    this.bias = bias ? filled(init, sizes, 0) : null;
  }

  /** The normalised axes, counted from the end. */
  get #axes(): number[] {
    return this.weight.shape.map((_, i) => -1 - i);
  }

  centered(x: Tensor): Tensor {
    const { shape } = this.weight;
    if (x.shape.length <= shape.length || !isSameShape(x.shape.slice(-shape.length), shape)) {
      throw new ShapeError(
        `LayerNorm: the input is ${formatShape(x.shape)} and the layer normalises ${formatShape(shape)}; give [N, .., ${shape.join(', ')}]`,
      );
    }
    return sub(x, mean(x, this.#axes, { keepDims: true }));
  }

  deviation(centered: Tensor): Tensor {
    return sqrt(add(meanSquare(centered, this.#axes, { keepDims: true }), this.eps));
  }

  affine(x: Tensor, { weight, bias }: Params): Tensor {
    const scaled = mul(x, weight);
    return bias ? add(scaled, bias) : scaled;
  }
}

/** Normalises groups of channels of x [N, C, ...], each group over all its elements.   Wu and He 2018, arXiv:1803.08494 */
export class GroupNorm extends SampleNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly groups: number;
  readonly eps: number;

  constructor(init: Init, groups: number, channels: number, { eps = 1e-5 } = {}) {
    super();
    if (!Number.isInteger(channels / groups)) {
      throw new UsageError(
        `GroupNorm: ${channels} channels do not make ${groups} equal groups; choose a divisor`,
      );
    }
    this.groups = groups;
    this.eps = eps;
    this.weight = filled(init, [channels], 1);
    this.bias = filled(init, [channels], 0);
  }

  /** `average` per group, once for each of its channels: [N, C, 1, ...]. */
  #perGroup(x: Tensor, average: typeof mean): Tensor {
    const [N, C, ...rest] = x.shape;
    const { groups } = this;
    const means = average(reshape(x, [N, groups, -1]), [2], { keepDims: true });
    return reshape(expand(means, [N, groups, C / groups]), [N, C, ...rest.map(() => 1)]);
  }

  centered(x: Tensor): Tensor {
    const channels = this.weight.shape[0];
    if (x.shape.length < 2 || x.shape[1] !== channels) {
      throw new ShapeError(
        `GroupNorm: the input is ${formatShape(x.shape)} and the layer has ${channels} channels; give [N, ${channels}, ..]`,
      );
    }
    return sub(x, this.#perGroup(x, mean));
  }

  deviation(centered: Tensor): Tensor {
    return sqrt(add(this.#perGroup(centered, meanSquare), this.eps));
  }

  affine(x: Tensor, { weight, bias }: Params): Tensor {
    const perChannel = (t: Tensor) => reshape(t, [t.shape[0], ...x.shape.slice(2).map(() => 1)]);
    const scaled = mul(x, perChannel(weight));
    return bias ? add(scaled, perChannel(bias)) : scaled;
  }
}
