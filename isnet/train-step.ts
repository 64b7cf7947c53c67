// What a step of training is to the device: one captured function of the batch and of the few numbers that change; or two,
// where a batch goes through in parts whose gradients are added up before the optimiser moves.
import { type CapturedStep, capture } from '../engine/capture.ts';
import { assign, full, literal, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat, slice } from '../engine/ops/layout.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import type { Recompute } from '../engine/trace.ts';
import { GradientSum } from '../nn/gradient-sum.ts';
import type { Module } from '../nn/module.ts';
import type { Optimizer } from '../nn/optim.ts';
import type { Batch, Losses, Objective, StepNumbers } from './objective.ts';
import { TermGradients } from './term-gradients.ts';

/** Tensors that a training step takes. `scalars` are the optimiser's, see `Optimizer.nextScalars`. */
type StepInputs = Plain<Batch & StepNumbers & { readonly scalars: Tensor }>;
/** Of a part of a step: `shares` [1 + terms] are what its total and each term count in those of the step. */
type PartInputs = Plain<Batch & StepNumbers & { readonly shares: Tensor }>;

/** The same fields as an object type, which, unlike an interface, passes for tensors by name. */
type Plain<T> = { readonly [Name in keyof T]: T[Name] };

export interface TrainStepOptions {
  /** What is minimised. */
  readonly losses: Objective;
  /** Largest global gradient norm; none by default. */
  readonly clipNorm?: number;
  /** Fixes what the stochastic variant draws. */
  readonly seed: number;
  /** What is computed again rather than kept; see `Recompute`. Default 'none'. */
  readonly recompute?: Recompute;
}

/** What a step has to be told, besides its images. */
export interface StepPlan {
  /** Weight of the heatmap loss, and the number that tells this step's draws from others'. */
  readonly P: number;
  readonly counter: number;
}

/** A part of a step, and its shares of the step's mean classification and heatmap losses: see `partsOf`. */
export interface StepPart extends StepPlan {
  readonly upload: () => Batch;
  readonly classification: number;
  readonly heatmap: number;
}

/** [total, classification] or [total, classification, heatmap] as one tensor. */
function packed({ total, classification, heatmap }: Losses): Tensor {
  const parts = heatmap ? [total, classification, heatmap] : [total, classification];
  return concat(
    parts.map((t) => reshape(t, [1])),
    0,
  );
}

/** The losses of a batch, packed, and the gradients of their total: of its terms one after another, then of the rest. */
function gradientsOf(
  objective: Objective,
  model: Module,
  inputs: Batch & StepNumbers,
  parameters: readonly Tensor[],
): { readonly losses: Tensor; readonly gradients: Tensor[] } {
  const terms = new TermGradients(parameters);
  const all = objective(model, inputs, (term) => terms.take(term));
  const losses = packed(all);
  const rest = backward(all.total, parameters, { retain: [losses] });
  return { losses, gradients: terms.plus(rest) };
}

/** The batch and the numbers of a step, uploaded. Call it inside a scope. */
function uploadInputs(
  device: Device,
  upload: () => Batch,
  { P, counter }: StepPlan,
  seed: number,
): Batch & StepNumbers {
  return {
    ...upload(),
    P: tensor(device, [P], []),
    // Counters travel as whole numbers in f32, which holds them up to 2^24.
    key: tensor(device, [seed % 2 ** 24, counter % 2 ** 24], [2]),
  };
}

/** The steps of one training run, captured at the first. */
export class TrainStep {
  readonly #model: Module;
  readonly #optimizer: Optimizer;
  readonly #options: TrainStepOptions;
  readonly #device: Device;
  readonly #run: CapturedStep<StepInputs, { losses: Tensor }>;
  #parts: StepInParts | null = null;

  constructor(device: Device, model: Module, optimizer: Optimizer, options: TrainStepOptions) {
    this.#device = device;
    this.#model = model;
    this.#optimizer = optimizer;
    this.#options = options;
    const parameters = [...optimizer.parameters.values()];
    const step = (inputs: StepInputs) => {
      const { losses, gradients } = gradientsOf(options.losses, model, inputs, parameters);
      optimizer.apply(gradients, inputs.scalars, { clipNorm: options.clipNorm });
      return { losses };
    };
    this.#run = capture(device, step, options);
  }

  /** Records the step for a batch of this size without taking it, and compiles its kernels side by side. */
  async prepare(upload: () => Batch): Promise<void> {
    const device = this.#device;
    let prepared: Promise<void> | undefined;
    scope(device, () => {
      const inputs = uploadInputs(device, upload, { P: 0, counter: 0 }, this.#options.seed);
      prepared = this.#run.prepare({ ...inputs, scalars: full(device, [scalarCount(this.#optimizer)], 0) });
    });
    await prepared;
  }

  /** The same for a part of this size of a step in parts. */
  async preparePart(upload: () => Batch): Promise<void> {
    await this.#stepInParts().prepare(upload);
  }

  /**
   * One step on the batch that `upload` brings to the device: the parameters move. Returns the losses as `[total,
   * classification]` or `[total, classification, heatmap]`, which the caller reads and releases.
   */
  train(upload: () => Batch, plan: StepPlan, learningRate: number): Tensor {
    const device = this.#device;
    return scope(device, () => {
      const scalars = this.#optimizer.nextScalars(learningRate);
      const inputs = uploadInputs(device, upload, plan, this.#options.seed);
      return this.#run({ ...inputs, scalars: tensor(device, scalars, [scalars.length]) }).losses;
    });
  }

  /**
   * One step on a batch in parts, one after another. Only one part is on the device at a time; its numbers are those of
   * the whole batch up to rounding, but for BatchNorm, whose statistics are of the parts. Returns losses as `train` does.
   */
  trainInParts(parts: readonly StepPart[], learningRate: number): Tensor {
    return this.#stepInParts().train(parts, learningRate);
  }

  /** The losses of a batch, in the same form, with the model as it is. */
  evaluate(upload: () => Batch, plan: StepPlan): Tensor {
    const device = this.#device;
    return scope(device, () => {
      const inputs = uploadInputs(device, upload, plan, this.#options.seed);
      // Terms of the total are not needed once their numbers are there.
      return packed(this.#options.losses(this.#model, inputs, () => {}));
    });
  }

  #stepInParts(): StepInParts {
    this.#parts ??= new StepInParts(this.#device, this.#model, this.#optimizer, this.#options);
    return this.#parts;
  }

  /** Gives back the buffers of the captured steps. */
  dispose(): void {
    this.#run.dispose();
    this.#parts?.dispose();
  }
}

// [total, classification, heatmap]; of a classifier the last stays 0.
const LOSS_COUNT = 3;

/** Steps whose gradient is the sum of those of parts of the batch: one captured function per part, one to move. */
class StepInParts {
  readonly #device: Device;
  readonly #optimizer: Optimizer;
  readonly #seed: number;
  readonly #gradients: GradientSum;
  /** Losses of the parts so far, by their shares: [3]. */
  readonly #losses: Tensor;
  readonly #add: CapturedStep<PartInputs, Record<never, Tensor>>;
  readonly #move: CapturedStep<{ readonly scalars: Tensor }, { losses: Tensor }>;
  #hasHeatmap = false;

  constructor(device: Device, model: Module, optimizer: Optimizer, options: TrainStepOptions) {
    this.#device = device;
    this.#optimizer = optimizer;
    this.#seed = options.seed;
    const parameters = [...optimizer.parameters.values()];
    this.#gradients = new GradientSum(device, parameters);
    this.#losses = keep(full(device, [LOSS_COUNT], 0));
    const addPart = ({ shares, ...inputs }: PartInputs) => {
      const { losses, gradients } = gradientsOf(options.losses, model, inputs, parameters);
      this.#hasHeatmap = losses.shape[0] === LOSS_COUNT;
      this.#gradients.add(gradients, reshape(slice(shares, [0], [1]), []));
      this.#addLosses(losses, shares);
      return {};
    };
    this.#add = capture(device, addPart, options);
    this.#move = capture(device, ({ scalars }: { readonly scalars: Tensor }) => {
      optimizer.applySum(this.#gradients, scalars, { clipNorm: options.clipNorm });
      this.#gradients.clear();
      const count = this.#hasHeatmap ? LOSS_COUNT : LOSS_COUNT - 1;
      const losses = add(slice(this.#losses, [0], [count]), 0);
      withoutRecording(device, () => scope(device, () => assign(this.#losses, mul(this.#losses, 0))));
      return { losses };
    });
  }

  #addLosses(losses: Tensor, shares: Tensor): void {
    const device = this.#device;
    withoutRecording(device, () =>
      scope(device, () => {
        const isShort = losses.shape[0] < LOSS_COUNT;
        const all = isShort ? concat([losses, literal(device, [0], [1])], 0) : losses;
        assign(this.#losses, add(this.#losses, mul(all, shares)));
      }),
    );
  }

  async prepare(upload: () => Batch): Promise<void> {
    const device = this.#device;
    const prepared: Promise<void>[] = [];
    scope(device, () => {
      const inputs = uploadInputs(device, upload, { P: 0, counter: 0 }, this.#seed);
      prepared.push(this.#add.prepare({ ...inputs, shares: full(device, [LOSS_COUNT], 0) }));
      prepared.push(this.#move.prepare({ scalars: full(device, [scalarCount(this.#optimizer)], 0) }));
    });
    await Promise.all(prepared);
  }

  train(parts: readonly StepPart[], learningRate: number): Tensor {
    const device = this.#device;
    for (const part of parts) scope(device, () => this.#addPart(part));
    return scope(device, () => {
      const scalars = this.#optimizer.nextScalars(learningRate);
      return this.#move({ scalars: tensor(device, scalars, [scalars.length]) }).losses;
    });
  }

  /**
   * a (1 - P) C + b P H, for the shares a and b, is s ((1 - P') C + P' H) with s = a (1 - P) + b P and P' = b P / s: so an
   * objective need not know of parts.
   */
  #addPart({ upload, P, counter, classification: a, heatmap: b }: StepPart): void {
    const share = a * (1 - P) + b * P;
    const plan = { P: share > 0 ? (b * P) / share : 0, counter };
    const inputs = uploadInputs(this.#device, upload, plan, this.#seed);
    this.#add({ ...inputs, shares: tensor(this.#device, [share, a, b], [LOSS_COUNT]) });
  }

  dispose(): void {
    this.#add.dispose();
    this.#move.dispose();
    this.#gradients.dispose();
    release(this.#losses);
  }
}

/** How many numbers the optimiser takes per step; asking for them counts no step. */
function scalarCount(optimizer: Optimizer): number {
  const { stepCount } = optimizer;
  const { length } = optimizer.nextScalars(0);
  optimizer.stepCount = stepCount;
  return length;
}
