// What all optimisers share: parameters and running tensors in few long blocks, a step in two halves, a state to save.
import { assign, full, tensor } from '../engine/create.ts';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { slice } from '../engine/ops/layout.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { formatShape, isSameShape } from '../engine/shape.ts';
import { release, type Tensor } from '../engine/tensor.ts';
import { blocksOf, type ParameterBlock } from './flat-parameters.ts';
import { clip } from './gradient-norm.ts';
import type { GradientSum } from './gradient-sum.ts';

/** Parameters and their running tensors, as `update` sees them: all of shape [size]. */
export interface FlatState {
  /** The parameters' numbers before the step. */
  readonly p: Tensor;
  /** Their gradients. */
  readonly g: Tensor;
  /** The running tensor of a slot before the step. */
  readonly slot: (name: string) => Tensor;
}

/** What a step makes of a `FlatState`: nothing is overwritten before all is computed, so that `capture` makes one kernel of it. */
export interface FlatUpdate {
  readonly p: Tensor;
  /** The running tensors by slot: all of them. */
  readonly slots: Readonly<Record<string, Tensor>>;
}

/** Options of one step. */
export interface StepOptions {
  /** Largest global norm of the gradients, see `clipByGlobalNorm`; none by default. */
  readonly clipNorm?: number;
}

/** A block of parameters with the running tensors that the optimiser keeps of them, by slot. */
interface Block {
  readonly layout: ParameterBlock;
  readonly slots: ReadonlyMap<string, Tensor>;
}

/**
 * Updates parameters from gradients. What changes from step to step on the host are a few numbers, `nextScalars`; with
 * them `apply` is work on the device alone, so that a captured step can contain it. `step` is both.
 */
export abstract class Optimizer {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly #names: readonly string[];
  readonly #tensors: readonly Tensor[];
  readonly #slots: readonly string[];
  readonly #blocks: readonly Block[];
  /** Running tensors by `<parameter>.<slot>`, as `state` showed them last or `loadState` took them over. */
  #shown = new Map<string, Tensor>();
  stepCount = 0;

  /**
   * `parameters` as from `module.namedParameters()`; gradients come in the same order. `slots` names the running tensors
   * that there are of each parameter; they are 0 at first.
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, slots: readonly string[]) {
    this.parameters = parameters;
    this.#names = [...parameters.keys()];
    this.#tensors = [...parameters.values()];
    this.#slots = slots;
    this.#blocks = blocksOf(this.#tensors).map((layout) => {
      const { device } = layout.parameters[0];
      const zeros = () => keep(full(device, [layout.size], 0));
      return { layout, slots: new Map(slots.map((slot) => [slot, zeros()])) };
    });
  }

  /** The numbers of step `stepCount` that do not come from the device: `update` gets each as a tensor []. */
  protected abstract scalarsOf(learningRate: number): number[];

  /** The new numbers of parameters and running tensors. */
  protected abstract update(state: FlatState, scalars: readonly Tensor[]): FlatUpdate;

  /** Counts a step and gives the numbers that `apply` needs for it, as many at every step. */
  nextScalars(learningRate: number): number[] {
    this.stepCount++;
    return this.scalarsOf(learningRate);
  }

  /**
   * Moves every parameter one step against its gradient; `scalars` holds the numbers of `nextScalars`. Throws ShapeError
   * if there is not one gradient per parameter, of its shape.
   */
  apply(gradients: readonly Tensor[], scalars: Tensor, options: StepOptions = {}): void {
    this.#checkGradients(gradients);
    if (gradients.length === 0) return;
    this.#aside(() => {
      const flat = this.#blocks.map(({ layout }) => layout.join(gradients));
      this.#move(flat, scalars, options);
    });
  }

  /** As `apply`, for a sum of gradients of this optimiser's parameters. */
  applySum(sum: GradientSum, scalars: Tensor, options: StepOptions = {}): void {
    this.#aside(() => this.#move(sum.blocks, scalars, options));
  }

  #move(flat: readonly Tensor[], scalars: Tensor, { clipNorm }: StepOptions): void {
    const clipped = clipNorm === undefined ? flat : clip(flat, clipNorm);
    const parts = Array.from({ length: scalars.shape[0] }, (_, i) => reshape(slice(scalars, [i], [1]), []));
    this.#blocks.forEach(({ layout, slots }, i) => {
      // Joined anew at each step: parameters are everyone's, and may have been loaded or averaged since.
      const p = layout.join(this.#tensors);
      const slot = (name: string) => slots.get(name) as Tensor;
      const next = this.update({ p, g: clipped[i], slot }, parts);
      for (const [name, running] of slots) assign(running, next.slots[name]);
      layout.write(next.p, this.#tensors);
    });
  }

  /** One step with learning rate `learningRate`: `apply` with the numbers of `nextScalars`. */
  step(gradients: readonly Tensor[], learningRate: number, options: StepOptions = {}): void {
    this.#checkGradients(gradients);
    const scalars = this.nextScalars(learningRate);
    if (gradients.length === 0) return;
    const { device } = gradients[0];
    scope(device, () => this.apply(gradients, tensor(device, scalars, [scalars.length]), options));
  }

  #checkGradients(gradients: readonly Tensor[]): void {
    if (gradients.length !== this.#tensors.length) {
      throw new ShapeError(
        `optimizer: ${gradients.length} gradients for ${this.#tensors.length} parameters; pass the result of backward(loss, [...parameters.values()])`,
      );
    }
    const odd = gradients.findIndex(({ shape }, i) => !isSameShape(shape, this.#tensors[i].shape));
    if (odd >= 0) {
      throw new ShapeError(
        `optimizer: the gradient of ${this.#names[odd]} is ${formatShape(gradients[odd].shape)} and the parameter ${formatShape(this.#tensors[odd].shape)}; pass gradients in the order of the parameters`,
      );
    }
  }

  /** Work on the device that is not recorded and leaves no tensors behind. */
  #aside(work: () => void): void {
    const [first] = this.#tensors;
    if (first) withoutRecording(first.device, () => scope(first.device, work));
  }

  /**
   * Running tensors by `<parameter>.<slot>`, as they are now. They belong to the optimiser, which overwrites them at the
   * next call; what has been released is made anew.
   */
  state(): ReadonlyMap<string, Tensor> {
    this.#aside(() => {
      for (const { layout, slots } of this.#blocks) {
        for (const [slot, flat] of slots) {
          layout.split(flat).forEach((part, i) => {
            const key = `${this.#names[layout.first + i]}.${slot}`;
            const known = this.#shown.get(key);
            const shown = known?.isReleased === false ? known : keep(full(part.device, part.shape, 0));
            assign(shown, part);
            this.#shown.set(key, shown);
          });
        }
      }
    });
    return this.#shown;
  }

  /**
   * Takes up a saved state in place of its own: the steps taken, and tensors as from `state()`, which are the optimiser's
   * from now on. What is missing starts at 0. Throws UsageError for a tensor that is none of its running ones.
   */
  loadState(state: ReadonlyMap<string, Tensor>, stepCount: number): void {
    // Copied first: `state` may be this optimiser's own.
    const next = new Map(state);
    const keyOf = (i: number, slot: string) => `${this.#names[i]}.${slot}`;
    const known = new Set(this.#slots.flatMap((slot) => this.#names.map((_, i) => keyOf(i, slot))));
    const unknown = [...next.keys()].filter((key) => !known.has(key));
    if (unknown.length > 0) {
      throw new UsageError(
        `optimizer: it keeps no ${unknown.join(', ')}; load the state into the kind of optimiser that wrote it`,
      );
    }
    this.#aside(() => {
      for (const slot of this.#slots) {
        const parts = this.#tensors.map((p, i) => next.get(keyOf(i, slot)) ?? full(p.device, p.shape, 0));
        for (const { layout, slots } of this.#blocks) assign(slots.get(slot) as Tensor, layout.join(parts));
      }
    });
    const kept = new Set(next.values());
    for (const t of this.#shown.values()) if (!kept.has(t)) release(t);
    for (const t of kept) keep(t);
    this.#shown = next;
    this.stepCount = stepCount;
  }

  /** Releases all running tensors, also those that `state` gave. */
  dispose(): void {
    for (const { slots } of this.#blocks) for (const t of slots.values()) release(t);
    for (const t of this.#shown.values()) release(t);
  }
}
