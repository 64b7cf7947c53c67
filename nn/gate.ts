// A product with coefficients that the network itself has computed: attention. Marked as such for relevance rules.
import { UsageError } from '../engine/errors.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { expand } from '../engine/ops/broadcast.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Layer, type Params } from './module.ts';

/**
 * y = c x for features x and coefficients c. To relevance rules c is a weight like any other, not a second activation: all
 * relevance goes to x, as through softmax that is taken as given (CP-LRP, Ali et al. 2022). Gradients go to both.
 */
export class Gate extends Layer {
  /** c x, for c of a shape that broadcasts to that of x. */
  through(x: Tensor, coefficients: Tensor): Tensor {
    const params = { coefficients: expand(coefficients, x.shape) };
    const y = this.apply(x, params);
    if (x.device.recorder.isRecording) y.call = { layer: this, input: x, params };
    return y;
  }

  apply(x: Tensor, { coefficients }: Params): Tensor {
    return mul(x, coefficients);
  }

  override paramsFor(): Params {
    throw new UsageError(
      'Gate: there are no coefficients; use through(x, coefficients) in place of forward(x)',
    );
  }
}
