// What a step of training is to the device: one captured function of the batch and of the few numbers that change.
import { type CapturedStep, capture } from '../engine/capture.ts';
import { full, tensor } from '../engine/create.ts';
import { backward } from '../engine/grad.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat } from '../engine/ops/layout.ts';
import { scope } from '../engine/scope.ts';
import type { Device, Tensor } from '../engine/tensor.ts';
import type { Module } from '../nn/module.ts';
import type { Optimizer } from '../nn/optim.ts';
import {
  type Batch,
  type ClassificationOptions,
  classifierLosses,
  type IsnetOptions,
  isnetLosses,
  type Losses,
  type StepNumbers,
} from './objective.ts';

/** Tensors that a training step takes. `scalars` are the optimiser's, see `Optimizer.nextScalars`. */
type StepInputs = Plain<Batch & StepNumbers & { readonly scalars: Tensor }>;

/** The same fields as an object type, which, unlike an interface, passes for tensors by name. */
type Plain<T> = { readonly [Name in keyof T]: T[Name] };

export interface TrainStepOptions extends ClassificationOptions {
  /** The heatmap loss; without it an ordinary classifier is trained. */
  readonly isnet?: IsnetOptions;
  /** Largest global gradient norm; none by default. */
  readonly clipNorm?: number;
  /** Fixes what the stochastic variant draws. */
  readonly seed: number;
}

/** What a step has to be told, besides its images. */
export interface StepPlan {
  /** Weight of the heatmap loss, and the number that tells this step's draws from others'. */
  readonly P: number;
  readonly counter: number;
}

/** Losses of a batch under the options, recorded. An ordinary classifier looks neither at P nor at the masks. */
function lossesOf(model: Module, options: TrainStepOptions, inputs: Batch & StepNumbers): Losses {
  const { isnet, isMultiLabel, posWeight } = options;
  const classification = { isMultiLabel, posWeight };
  return isnet
    ? isnetLosses(model, inputs, { ...classification, ...isnet }, inputs)
    : classifierLosses(model, inputs, classification);
}

/** [total, classification] or [total, classification, heatmap] as one tensor. */
function packed({ total, classification, heatmap }: Losses): Tensor {
  const parts = heatmap ? [total, classification, heatmap] : [total, classification];
  return concat(
    parts.map((t) => reshape(t, [1])),
    0,
  );
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

  constructor(device: Device, model: Module, optimizer: Optimizer, options: TrainStepOptions) {
    this.#device = device;
    this.#model = model;
    this.#optimizer = optimizer;
    this.#options = options;
    const parameters = [...optimizer.parameters.values()];
    this.#run = capture(device, (inputs: StepInputs) => {
      const all = lossesOf(model, options, inputs);
      const losses = packed(all);
      const gradients = backward(all.total, parameters, { retain: [losses] });
      optimizer.apply(gradients, inputs.scalars, { clipNorm: options.clipNorm });
      return { losses };
    });
  }

  /** Records the step for a batch of this size without taking it, and compiles its kernels side by side. */
  async prepare(upload: () => Batch): Promise<void> {
    const device = this.#device;
    const { stepCount } = this.#optimizer;
    const { length } = this.#optimizer.nextScalars(0);
    this.#optimizer.stepCount = stepCount;
    let prepared: Promise<void> | undefined;
    scope(device, () => {
      const inputs = uploadInputs(device, upload, { P: 0, counter: 0 }, this.#options.seed);
      prepared = this.#run.prepare({ ...inputs, scalars: full(device, [length], 0) });
    });
    await prepared;
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

  /** The losses of a batch, in the same form, with the model as it is. */
  evaluate(upload: () => Batch, plan: StepPlan): Tensor {
    const device = this.#device;
    return scope(device, () => {
      const inputs = uploadInputs(device, upload, plan, this.#options.seed);
      return packed(lossesOf(this.#model, this.#options, inputs));
    });
  }

  /** Gives back the buffers of the captured steps. */
  dispose(): void {
    this.#run.dispose();
  }
}
