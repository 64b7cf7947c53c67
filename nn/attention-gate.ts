// Where to look: an additive attention gate, which lets coarse features decide what counts of fine ones.

import { max } from '../engine/ops/argmax.ts';
import { add, div, neg, sub } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { relu } from '../engine/ops/pointwise.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Gate } from './gate.ts';
import { Conv2d } from './layers.ts';
import { type Init, Module } from './module.ts';
import { upsampleBilinear } from './resample.ts';

/** Of x [N, C, h, w] and a gating signal g [N, G, h', w'] of less resolution. */
export interface AttentionGateOptions {
  readonly channels: number;
  readonly gatingChannels: number;
  /** Size of the space in which both are compared. */
  readonly innerChannels: number;
}

// What keeps features that are all alike from being divided by 0.
const TINY = 1e-6;

/**
 * Attention of x under the gating signal g:
 *   q_i = psi^T relu(W_x x_i + W_g g_i + b_g),   a_i = (q_i - min_j q_j) / sum_j (q_j - min_j q_j),   y_i = a_i x_i
 *   Schlemper et al. 2019 (arXiv:1808.08114), with its normalisation for classifiers
 * g is enlarged bilinearly to the size of x. The authors' bias of psi is left out: the normalisation takes it away again.
 */
export class AttentionGate extends Module {
  readonly theta: Conv2d;
  readonly phi: Conv2d;
  readonly psi: Conv2d;
  readonly gate = new Gate();

  constructor(init: Init, { channels, gatingChannels, innerChannels }: AttentionGateOptions) {
    super();
    this.theta = new Conv2d(init, channels, innerChannels, 1, { bias: false });
    this.phi = new Conv2d(init, gatingChannels, innerChannels, 1);
    this.psi = new Conv2d(init, innerChannels, 1, 1, { bias: false });
  }

  /** a [N, 1, h, w], from 0 up; the sum over places is 1. */
  coefficients(x: Tensor, gating: Tensor): Tensor {
    const theta = this.theta.forward(x);
    const phi = upsampleBilinear(this.phi.forward(gating), [theta.shape[2], theta.shape[3]]);
    const q = this.psi.forward(relu(add(theta, phi)));
    const least = neg(max(neg(q), [2, 3], { keepDims: true }));
    const above = sub(q, least);
    return div(above, add(sum(above, [2, 3], { keepDims: true }), TINY));
  }

  /** y [N, C, h, w] */
  attend(x: Tensor, gating: Tensor): Tensor {
    return this.gate.through(x, this.coefficients(x, gating));
  }

  /** Attention of x under itself. */
  forward(x: Tensor): Tensor {
    return this.attend(x, x);
  }
}
