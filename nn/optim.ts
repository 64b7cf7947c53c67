// Optimisers, each by its formulas on blocks of parameters. A step overwrites them in place; nothing of it is recorded.
import { assign } from '../engine/create.ts';
import { add, div, mul, sqrt, square, sub } from '../engine/ops/arithmetic.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type FlatState, Optimizer } from './optimizer.ts';

export { clipByGlobalNorm, globalNorm } from './gradient-norm.ts';
export { type FlatState, Optimizer, type StepOptions } from './optimizer.ts';

export interface SgdOptions {
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
}

/** Stochastic gradient descent as in PyTorch: v = momentum v + g, p = p - rate v (Nesterov: g + momentum v). */
export class SGD extends Optimizer {
  readonly #options: Required<SgdOptions>;

  constructor(
    parameters: ReadonlyMap<string, Tensor>,
    { momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {},
  ) {
    super(parameters, momentum === 0 ? [] : ['momentum']);
    this.#options = { momentum, nesterov, weightDecay };
  }

  protected scalarsOf(learningRate: number): number[] {
    return [learningRate];
  }

  protected update({ p, g, slot }: FlatState, [rate]: readonly Tensor[]): Tensor {
    const { momentum, nesterov, weightDecay } = this.#options;
    const gradient = weightDecay === 0 ? g : add(g, mul(p, weightDecay));
    if (momentum === 0) return sub(p, mul(gradient, rate));
    const velocity = slot('momentum');
    const next = add(mul(velocity, momentum), gradient);
    assign(velocity, next);
    return sub(p, mul(nesterov ? add(gradient, mul(next, momentum)) : next, rate));
  }
}

export interface AdamOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
}

/** Adam (Kingma and Ba 2015, arXiv:1412.6980); weight decay is added to the gradient. */
export class Adam extends Optimizer {
  protected readonly options: Required<AdamOptions>;

  constructor(
    parameters: ReadonlyMap<string, Tensor>,
    { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions = {},
  ) {
    super(parameters, ['exp_avg', 'exp_avg_sq']);
    this.options = { betas, eps, weightDecay };
  }

  /**
   * m / (1 - beta1^t) over sqrt(v / (1 - beta2^t)) + eps: both corrections are numbers, so they go into the rate. eps is
   * compared with the corrected root, so it shrinks by the correction that moved there.
   */
  protected scalarsOf(learningRate: number): number[] {
    const { betas, eps } = this.options;
    const [first, second] = betas.map((beta) => 1 - beta ** this.stepCount);
    return [(learningRate * Math.sqrt(second)) / first, eps * Math.sqrt(second)];
  }

  protected update(state: FlatState, [rate, eps]: readonly Tensor[]): Tensor {
    const { weightDecay } = this.options;
    const { p, g } = state;
    return sub(p, this.moveOf(weightDecay === 0 ? g : add(g, mul(p, weightDecay)), state, rate, eps));
  }

  /** rate m / (sqrt(v) + eps), with the running moments m and v of the gradient brought up to date. */
  protected moveOf(g: Tensor, { slot }: FlatState, rate: Tensor, eps: Tensor): Tensor {
    const [beta1, beta2] = this.options.betas;
    const first = add(mul(slot('exp_avg'), beta1), mul(g, 1 - beta1));
    const second = add(mul(slot('exp_avg_sq'), beta2), mul(square(g), 1 - beta2));
    assign(slot('exp_avg'), first);
    assign(slot('exp_avg_sq'), second);
    return mul(div(first, add(sqrt(second), eps)), rate);
  }
}

/** AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): the decay shrinks the parameter, not the gradient. */
export class AdamW extends Adam {
  constructor(parameters: ReadonlyMap<string, Tensor>, { weightDecay = 0.01, ...options }: AdamOptions = {}) {
    super(parameters, { ...options, weightDecay });
  }

  protected override scalarsOf(learningRate: number): number[] {
    return [...super.scalarsOf(learningRate), 1 - learningRate * this.options.weightDecay];
  }

  protected override update(state: FlatState, [rate, eps, shrink]: readonly Tensor[]): Tensor {
    return sub(mul(state.p, shrink), this.moveOf(state.g, state, rate, eps));
  }
}
