// Nearest-neighbour upsampling by a whole factor: copies, so relevance goes back by adding up.
import { ShapeError, UsageError } from '../engine/errors.ts';
import { expand, reshape } from '../engine/ops/broadcast.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Layer } from './module.ts';

/** [N, C, H, W] -> [N, C, s H, s W], each pixel s by s times: torch.nn.Upsample with mode 'nearest'. */
export class Upsample extends Layer {
  readonly scaleFactor: number;

  constructor(scaleFactor: number) {
    super();
    if (!Number.isInteger(scaleFactor) || scaleFactor < 1) {
      throw new UsageError(`Upsample: factor ${scaleFactor}; give a whole number from 1 up`);
    }
    this.scaleFactor = scaleFactor;
  }

  apply(x: Tensor): Tensor {
    if (x.shape.length !== 4) {
      throw new ShapeError(`Upsample: the input is ${formatShape(x.shape)}; give [N, C, H, W]`);
    }
    const [N, C, H, W] = x.shape;
    const s = this.scaleFactor;
    const copies = expand(reshape(x, [N * C * H, 1, W, 1]), [N * C * H, s, W, s]);
    return reshape(copies, [N, C, s * H, s * W]);
  }
}
