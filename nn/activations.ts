// Activation layers. Names and defaults are PyTorch's; ReLU is in layers.ts.
import { gelu, leakyRelu, silu, tanh } from '../engine/ops/activations.ts';
import { sigmoid } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Layer } from './module.ts';

/** x where x >= 0, else slope x. */
export class LeakyReLU extends Layer {
  readonly negativeSlope: number;

  constructor(negativeSlope = 0.01) {
    super();
    this.negativeSlope = negativeSlope;
  }

  apply(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope);
  }
}

/** x Phi(x) by the error function. */
export class GELU extends Layer {
  apply(x: Tensor): Tensor {
    return gelu(x);
  }
}

/** x sigmoid(x) */
export class SiLU extends Layer {
  apply(x: Tensor): Tensor {
    return silu(x);
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Layer {
  apply(x: Tensor): Tensor {
    return tanh(x);
  }
}

/** 1 / (1 + e^-x) */
export class Sigmoid extends Layer {
  apply(x: Tensor): Tensor {
    return sigmoid(x);
  }
}
