// A pool between mean and maximum, for classifiers that are to find small objects.
import { ShapeError } from '../engine/errors.ts';
import { div, mean, mul, sub } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { logSoftmax, softmax } from '../engine/ops/softmax.ts';
import { formatShape } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Layer } from './module.ts';

/**
 * [N, C, H, W] -> [N, C]:  (log mean_i exp(r x_i)) / r, the mean for r -> 0 and the maximum for r -> infinity.
 *   Pinheiro and Collobert 2015, arXiv:1411.6228
 */
export class LogSumExpPool extends Layer {
  readonly r: number;

  constructor(r = 6) {
    super();
    this.r = r;
  }

  apply(x: Tensor): Tensor {
    const rows = this.#rows(x);
    const count = rows.shape[2];
    // r x_i - log softmax(r x)_i is the logarithm of the sum, for every i: no exponential of a large number.
    const logSum = mean(sub(rows, logSoftmax(rows)), [2]);
    return div(sub(logSum, Math.log(count)), this.r);
  }

  /** dy/dx of each place: shares [N, C, H, W] that are positive and sum to 1. */
  shares(x: Tensor): Tensor {
    return reshape(softmax(this.#rows(x)), x.shape);
  }

  #rows(x: Tensor): Tensor {
    if (x.shape.length !== 4) {
      throw new ShapeError(`LogSumExpPool: the input is ${formatShape(x.shape)}; give [N, C, H, W]`);
    }
    const [N, C] = x.shape;
    return reshape(mul(x, this.r), [N, C, -1]);
  }
}
