// The module tree. Own fields are the tree, and names are torchvision's, so that a state dict loads without a map.

import type { RandomStream } from '../engine/random-bits.ts';
import { keep } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';

/** Where a module's parameters live and what they are drawn from. */
export interface Init {
  readonly device: Device;
  readonly random: RandomStream;
  /** Parameters begin as zeros and nothing is drawn for them: for a model whose weights are loaded next. */
  readonly isBlank?: boolean;
}

/** Tensors of a layer by their name in code: `weight`, `bias`. */
export type Params = Readonly<Record<string, Tensor>>;

/** `runningMean` -> `running_mean`: fields are camelCase, state dicts are not. */
const stateName = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** A network or a part of one. */
export abstract class Module {
  /** Whether Dropout drops and BatchNorm uses batch statistics; see `train` and `eval`. */
  isTraining = true;

  abstract forward(x: Tensor): Tensor;

  /** Direct sub-modules by name; by default the own fields that are modules. */
  children(): [string, Module][] {
    return Object.entries(this).filter((entry): entry is [string, Module] => entry[1] instanceof Module);
  }

  /** Own tensors that are trained, by field. */
  ownParameters(): Params {
    return {};
  }

  /** Own tensors that belong to the state but are not trained, by field. */
  ownBuffers(): Params {
    return {};
  }

  /** Own tensors that are no part of the state, such as counters of random draws, by field. */
  ownTransients(): Params {
    return {};
  }

  /** This module and all below it, with their dotted names ('' for this one). */
  namedModules(prefix = ''): [string, Module][] {
    const inner = this.children().flatMap(([name, child]) =>
      child.namedModules(prefix ? `${prefix}.${name}` : name),
    );
    return [[prefix, this], ...inner];
  }

  #named(own: (module: Module) => Params): Map<string, Tensor> {
    const found = new Map<string, Tensor>();
    for (const [path, module] of this.namedModules()) {
      for (const [field, t] of Object.entries(own(module))) {
        found.set(path ? `${path}.${stateName(field)}` : stateName(field), t);
      }
    }
    return found;
  }

  /** Trained tensors by torchvision's names, e.g. `features.0.weight`; one that is shared once, by its first name. */
  namedParameters(): Map<string, Tensor> {
    // Twice in the map would be two steps of the optimiser.
    const seen = new Set<Tensor>();
    const named = [...this.#named((module) => module.ownParameters())];
    return new Map(named.filter(([, t]) => !seen.has(t) && seen.add(t)));
  }

  /** Untrained state by torchvision's names, e.g. `bn1.running_mean`. */
  namedBuffers(): Map<string, Tensor> {
    return this.#named((module) => module.ownBuffers());
  }

  /** Trained tensors in a fixed order. */
  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  /** Everything a checkpoint holds: parameters and buffers, each under all its names, as in PyTorch. */
  stateDict(): Map<string, Tensor> {
    return new Map([...this.#named((module) => module.ownParameters()), ...this.namedBuffers()]);
  }

  train(isTraining = true): this {
    for (const [, module] of this.namedModules()) module.isTraining = isTraining;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  /** Releases all tensors of the module and of those below it. */
  dispose(): void {
    for (const t of this.stateDict().values()) release(t);
    for (const [, module] of this.namedModules()) Object.values(module.ownTransients()).forEach(release);
  }
}

/**
 * A module without sub-modules that is pure in its parameters: `forward(x)` is `apply(x, this.params)`. Relevance rules
 * call `apply` with other parameters.
 */
export abstract class Layer extends Module {
  /** The layer as a function of its input and parameters. */
  abstract apply(x: Tensor, params: Params): Tensor;

  /** The tensors that a call with this input uses. */
  paramsFor(_x: Tensor): Params {
    return this.ownParameters();
  }

  forward(x: Tensor): Tensor {
    const params = this.paramsFor(x);
    const y = this.apply(x, params);
    if (x.device.recorder.isRecording && y !== x) y.call = { layer: this, input: x, params };
    return y;
  }
}

/** Makes tensors live until they are released: what a constructor does with its parameters. */
export function own<T extends Tensor | null>(t: T): T {
  if (t) keep(t);
  return t;
}

/** Modules in a row; children are named '0', '1', ... as in PyTorch, or as `named` is told. */
export class Sequential extends Module {
  #entries: readonly (readonly [string, Module])[];

  constructor(...modules: Module[]) {
    super();
    this.#entries = modules.map((module, i) => [String(i), module]);
  }

  /** Modules in a row by their names: PyTorch's Sequential of an OrderedDict. */
  static named(entries: readonly (readonly [string, Module])[]): Sequential {
    const sequential = new Sequential();
    sequential.#entries = entries;
    return sequential;
  }

  override children(): [string, Module][] {
    return this.#entries.map(([name, module]) => [name, module]);
  }

  forward(x: Tensor): Tensor {
    return this.#entries.reduce((signal, [, module]) => module.forward(signal), x);
  }
}

/** Runs `fn` with every module in evaluation mode, and gives each its own mode back. */
export function inEvaluation<T>(model: Module, fn: () => T): T {
  const modules = [...new Set(model.namedModules().map(([, module]) => module))];
  const modes = modules.map(({ isTraining }) => isTraining);
  try {
    for (const module of modules) module.isTraining = false;
    return fn();
  } finally {
    modules.forEach((module, i) => {
      module.isTraining = modes[i];
    });
  }
}
