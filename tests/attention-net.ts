// A transformer block with a head, small enough for finite differences.
import { gelu } from '../engine/ops/activations.ts';
import { add, mean } from '../engine/ops/arithmetic.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import { MultiheadAttention } from '../nn/attention.ts';
import { LayerNorm } from '../nn/layer-norm.ts';
import { Linear } from '../nn/layers.ts';
import { type Init, Module } from '../nn/module.ts';
import { initOn } from './small-nets.ts';

/** Tokens [N, T, 4] -> 3 logits: x + attention(norm x), + MLP(norm) with GELU, mean over tokens, linear. */
export class AttentionNet extends Module {
  readonly norm1: LayerNorm;
  readonly attention: MultiheadAttention;
  readonly norm2: LayerNorm;
  readonly up: Linear;
  readonly down: Linear;
  readonly head: Linear;

  constructor(init: Init) {
    super();
    this.norm1 = new LayerNorm(init, 4);
    this.attention = new MultiheadAttention(init, 4, 2);
    this.norm2 = new LayerNorm(init, 4);
    this.up = new Linear(init, 4, 6);
    this.down = new Linear(init, 6, 4);
    this.head = new Linear(init, 4, 3);
  }

  forward(x: Tensor): Tensor {
    const mixed = add(x, this.attention.forward(this.norm1.forward(x)));
    const y = add(mixed, this.down.forward(gelu(this.up.forward(this.norm2.forward(mixed)))));
    return this.head.forward(mean(y, [1]));
  }
}

export const attentionNet = (device: Device): AttentionNet => new AttentionNet(initOn(device));
