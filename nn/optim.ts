// Optimisers, each by its formulas on blocks of parameters.
import { add, div, mul, sqrt, square, sub } from '../engine/ops/arithmetic.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type FlatState, type FlatUpdate, Optimizer } from './optimizer.ts';

export { clipByGlobalNorm, globalNorm } from './gradient-norm.ts';
export { type FlatState, type FlatUpdate, Optimizer, type StepOptions } from './optimizer.ts';

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

  protected update({ p, g, slot }: FlatState, [rate]: readonly Tensor[]): FlatUpdate {
    const { momentum, nesterov, weightDecay } = this.#options;
    const gradient = weightDecay === 0 ? g : add(g, mul(p, weightDecay));
    if (momentum === 0) return { p: sub(p, mul(gradient, rate)), slots: {} };
    const velocity = add(mul(slot('momentum'), momentum), gradient);
    const move = nesterov ? add(gradient, mul(velocity, momentum)) : velocity;
    return { p: sub(p, mul(move, rate)), slots: { momentum: velocity } };
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

  protected update(state: FlatState, scalars: readonly Tensor[]): FlatUpdate {
    const { weightDecay } = this.options;
    const { p, g } = state;
    return this.moved(p, { ...state, g: weightDecay === 0 ? g : add(g, mul(p, weightDecay)) }, scalars);
  }

  /** start - rate m / (sqrt(v) + eps), with the running moments m and v of the gradient brought up to date. */
  protected moved(start: Tensor, { g, slot }: FlatState, [rate, eps]: readonly Tensor[]): FlatUpdate {
    const [beta1, beta2] = this.options.betas;
    const m = add(mul(slot('exp_avg'), beta1), mul(g, 1 - beta1));
    const v = add(mul(slot('exp_avg_sq'), beta2), mul(square(g), 1 - beta2));
    const move = mul(div(m, add(sqrt(v), eps)), rate);
    return { p: sub(start, move), slots: { exp_avg: m, exp_avg_sq: v } };
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

  protected override update(state: FlatState, scalars: readonly Tensor[]): FlatUpdate {
    return this.moved(mul(state.p, scalars[2]), state, scalars);
  }
}
