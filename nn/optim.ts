// Optimisers. Each step reads gradients and overwrites parameters in place; nothing of it is recorded.
import { assign, full, tensor } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { add, div, mul, neg, sqrt, square, sub } from '../engine/ops/arithmetic.ts';
import { sum } from '../engine/ops/broadcast.ts';
import { maximum } from '../engine/ops/pointwise.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';

/** Updates parameters from gradients. Its state is tensors and a step count, so that training can be resumed. */
export abstract class Optimizer {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly #state = new Map<string, Tensor>();
  stepCount = 0;

  /** `parameters` as from `module.namedParameters()`; gradients come in the same order. */
  constructor(parameters: ReadonlyMap<string, Tensor>) {
    this.parameters = parameters;
  }

  /** The new value of one parameter. `state(slot)` gives a running tensor of the parameter's shape, at first 0. */
  protected abstract update(p: Tensor, g: Tensor, rate: Tensor, state: (slot: string) => Tensor): Tensor;

  /** Moves every parameter one step against its gradient, with learning rate `learningRate`. */
  step(gradients: readonly Tensor[], learningRate: number): void {
    const entries = [...this.parameters];
    if (entries.length !== gradients.length) {
      throw new ShapeError(
        `optimizer: ${gradients.length} gradients for ${entries.length} parameters; pass the result of backward(loss, [...parameters.values()])`,
      );
    }
    this.stepCount++;
    if (entries.length === 0) return;
    const { device } = entries[0][1];
    withoutRecording(device, () =>
      scope(device, () => {
        // An input tensor and no constant, so that a changing rate needs no new kernels or cached scalars.
        const rate = tensor(device, [this.rateOf(learningRate)], []);
        entries.forEach(([name, p], i) => {
          assign(
            p,
            this.update(p, gradients[i], rate, (slot) => this.#slot(name, slot, p)),
          );
        });
      }),
    );
  }

  /** The rate that `update` sees; Adam puts its bias correction here. */
  protected rateOf(learningRate: number): number {
    return learningRate;
  }

  #slot(name: string, slot: string, p: Tensor): Tensor {
    const key = `${name}.${slot}`;
    const known = this.#state.get(key);
    if (known) return known;
    const fresh = keep(full(p.device, p.shape, 0));
    this.#state.set(key, fresh);
    return fresh;
  }

  /** Running tensors by `<parameter>.<slot>`; empty before the first step. */
  state(): ReadonlyMap<string, Tensor> {
    return this.#state;
  }

  /** Takes up a saved state in place of its own, which is released: tensors as from `state()`, and the steps taken. */
  loadState(state: ReadonlyMap<string, Tensor>, stepCount: number): void {
    // Copied first: `state` may be this optimiser's own.
    const next = new Map(state);
    const kept = new Set(next.values());
    for (const t of this.#state.values()) if (!kept.has(t)) release(t);
    this.#state.clear();
    for (const [key, t] of next) this.#state.set(key, keep(t));
    this.stepCount = stepCount;
  }
}

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
    super(parameters);
    this.#options = { momentum, nesterov, weightDecay };
  }

  protected update(p: Tensor, g: Tensor, rate: Tensor, state: (slot: string) => Tensor): Tensor {
    const { momentum, nesterov, weightDecay } = this.#options;
    const gradient = weightDecay === 0 ? g : add(g, mul(p, weightDecay));
    if (momentum === 0) return sub(p, mul(gradient, rate));
    const velocity = state('momentum');
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
    super(parameters);
    this.options = { betas, eps, weightDecay };
  }

  /** m / (1 - beta1^t) over sqrt(v / (1 - beta2^t)): both corrections are numbers, so they go into the rate. */
  protected override rateOf(learningRate: number): number {
    const [beta1, beta2] = this.options.betas;
    return (learningRate * Math.sqrt(1 - beta2 ** this.stepCount)) / (1 - beta1 ** this.stepCount);
  }

  protected update(p: Tensor, g: Tensor, rate: Tensor, state: (slot: string) => Tensor): Tensor {
    const { weightDecay } = this.options;
    return this.moved(p, weightDecay === 0 ? g : add(g, mul(p, weightDecay)), rate, state);
  }

  protected moved(p: Tensor, g: Tensor, rate: Tensor, state: (slot: string) => Tensor): Tensor {
    const { betas, eps } = this.options;
    const [beta1, beta2] = betas;
    const first = state('exp_avg');
    const second = state('exp_avg_sq');
    assign(first, add(mul(first, beta1), mul(g, 1 - beta1)));
    assign(second, add(mul(second, beta2), mul(square(g), 1 - beta2)));
    // eps is compared with the corrected root, so it shrinks by the correction that moved into the rate.
    const correction = tensor(p.device, [eps * Math.sqrt(1 - beta2 ** this.stepCount)], []);
    return sub(p, mul(div(first, add(sqrt(second), correction)), rate));
  }
}

/** AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101): the decay shrinks the parameter, not the gradient. */
export class AdamW extends Adam {
  #learningRate = 0;

  constructor(parameters: ReadonlyMap<string, Tensor>, { weightDecay = 0.01, ...options }: AdamOptions = {}) {
    super(parameters, { ...options, weightDecay });
  }

  protected override rateOf(learningRate: number): number {
    this.#learningRate = learningRate;
    return super.rateOf(learningRate);
  }

  protected override update(p: Tensor, g: Tensor, rate: Tensor, state: (slot: string) => Tensor): Tensor {
    const shrink = tensor(p.device, [1 - this.#learningRate * this.options.weightDecay], []);
    return this.moved(mul(p, shrink), g, rate, state);
  }
}

/** Euclidean norm over all gradients together. Returns []. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  return sqrt(gradients.map((g) => sum(square(g))).reduce((a, b) => add(a, b)));
}

/**
 * Scales gradients down together so that their global norm is at most `maxNorm`: g min(1, maxNorm / (norm + 1e-6)). Throws
 * UsageError unless maxNorm is above 0.
 */
export function clipByGlobalNorm(device: Device, gradients: readonly Tensor[], maxNorm: number): Tensor[] {
  if (!(maxNorm > 0)) {
    throw new UsageError(`clipByGlobalNorm: maxNorm is ${maxNorm}; use a number above 0, or do not clip`);
  }
  return withoutRecording(device, () => {
    const ratio = div(maxNorm, add(globalNorm(gradients), 1e-6));
    const factor = neg(maximum(neg(ratio), -1));
    return gradients.map((g) => mul(g, factor));
  });
}
