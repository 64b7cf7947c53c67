// Maps of one grid on another: a matrix for each axis, so every such step has a slope, like any product.
import { literal } from '../engine/create.ts';
import { expand, reshape } from '../engine/ops/broadcast.ts';
import { matmul } from '../engine/ops/matmul.ts';
import type { Device, Tensor } from '../engine/tensor.ts';

/** rows x columns^T for each map of x [N, C, h, w], with rows [H, h] and columns [W, w]. Returns [N, C, H, W]. */
export function resample(x: Tensor, rows: Tensor, columns: Tensor): Tensor {
  const [N, C, h, w] = x.shape;
  const [H, W] = [rows.shape[0], columns.shape[0]];
  const wide = matmul(reshape(x, [N * C * h, w]), columns, { transposeB: true });
  return reshape(matmul(expand(rows, [N * C, H, h]), reshape(wide, [N * C, h, W])), [N, C, H, W]);
}

/**
 * Weights [to, from]: pixel i of the result lies at (i + 1/2) from / to - 1/2 between the pixels of the source, and no
 * further out than the outermost one. These are PyTorch's `align_corners=False`.
 */
function bilinearWeights(device: Device, from: number, to: number): Tensor {
  const values = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const place = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
    const left = Math.floor(place);
    values[i * from + left] += 1 - (place - left);
    if (place > left) values[i * from + left + 1] += place - left;
  }
  // A meta device has no numbers; those of its home stand beside meta tensors.
  return literal(device.home ?? device, values, [to, from]);
}

/** x [N, C, h, w] as [N, C, H, W] by bilinear interpolation; for enlarging, since it does not smooth. */
export function upsampleBilinear(x: Tensor, [H, W]: readonly [number, number]): Tensor {
  const [h, w] = x.shape.slice(2);
  if (h === H && w === W) return x;
  return resample(x, bilinearWeights(x.device, h, H), bilinearWeights(x.device, w, W));
}
