// Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762), made of layers and ops that relevance knows.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { permute, slice } from '../engine/ops/layout.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { softmax } from '../engine/ops/softmax.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { linearUniform, xavierUniform } from './init.ts';
import { Linear } from './layers.ts';
import { type Init, Module, type Params } from './module.ts';

/** The projection to queries, keys and values. Its parameters go by PyTorch's names, which are those of its owner. */
class InProjection extends Linear {
  /** To composites it is a Linear layer like any other. */
  static override readonly name = 'Linear';

  override ownParameters(): Params {
    return {};
  }

  override paramsFor(): Params {
    return this.bias ? { weight: this.weight, bias: this.bias } : { weight: this.weight };
  }
}

/**
 * Self-attention of x [N, T, E] with H heads:  softmax(q k^T / sqrt(E / H)) v per head, projected back to [N, T, E].
 * Parameters as torch.nn.MultiheadAttention, initial values included: in_proj_weight [3 E, E], in_proj_bias,
 * out_proj.weight, out_proj.bias.
 * Unlike there the batch always comes first.
 */
export class MultiheadAttention extends Module {
  readonly embedSize: number;
  readonly headCount: number;
  readonly inProj: Linear;
  readonly outProj: Linear;

  constructor(init: Init, embedSize: number, headCount: number, { bias = true } = {}) {
    super();
    if (!Number.isInteger(embedSize / headCount)) {
      throw new UsageError(
        `MultiheadAttention: ${embedSize} features do not make ${headCount} equal heads; choose a divisor`,
      );
    }
    this.embedSize = embedSize;
    this.headCount = headCount;
    this.inProj = new InProjection(init, embedSize, 3 * embedSize, { bias, initialWeight: xavierUniform });
    this.outProj = new Linear(init, embedSize, embedSize, { bias, initialWeight: linearUniform });
  }

  override children(): [string, Module][] {
    return [
      ['in_proj', this.inProj],
      ['out_proj', this.outProj],
    ];
  }

  override ownParameters(): Params {
    const { weight, bias } = this.inProj;
    return bias ? { inProjWeight: weight, inProjBias: bias } : { inProjWeight: weight };
  }

  forward(x: Tensor): Tensor {
    const { embedSize: E, headCount: H } = this;
    if (x.shape.length !== 3 || x.shape[2] !== E) {
      throw new ShapeError(
        `MultiheadAttention: the input is ${formatShape(x.shape)}; give [N, T, ${E}], tokens in the middle`,
      );
    }
    const [N, T] = x.shape;
    const all = this.inProj.forward(x);
    const [q, k, v] = [0, 1, 2].map((part) => {
      const own = reshape(slice(all, [0, 0, part * E], [N, T, E]), [N, T, H, E / H]);
      return reshape(permute(own, [0, 2, 1, 3]), [N * H, T, E / H]);
    });
    const scores = matmul(mul(q, 1 / Math.sqrt(E / H)), k, { transposeB: true });
    const mixed = matmul(softmax(scores), v);
    const tokens = permute(reshape(mixed, [N, H, T, E / H]), [0, 2, 1, 3]);
    return this.outProj.forward(reshape(tokens, [N, T, E]));
  }
}
