// An ONNX graph in the making: nodes, their names, and the numbers they take.
import type { Shape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { intTensor } from './numbers.ts';
import { type AttributeDraft, attributeTypes, type NodeDraft, type TensorDraft } from './schema.ts';

/** What an attribute of a node may be: whole numbers, a text, or a real number. */
export type Attribute = number | string | readonly number[] | { readonly float: number };

/** Name of the graph's input. */
export const INPUT = 'input';

// Names of numbers that are no parameters.
const CONSTANT = 'constant';
const INTEGERS = 'integers';

/** Whether a tensor of a file that we wrote is none of the model's parameters. */
export const isConstantName = (name: string): boolean => /^(constant|integers)(_\d+)?$/.test(name);

/** Collects nodes in the order of execution. Every result has a name of its own, that of the module where there is one. */
export class GraphWriter {
  readonly nodes: NodeDraft[] = [];
  /** Lists of whole numbers: shapes, axes. */
  readonly integers: TensorDraft[] = [];
  /** Tensors of the model, and other numbers that stand in its code, by name. */
  readonly weights = new Map<string, Tensor | { readonly shape: Shape; readonly data: ArrayLike<number> }>();
  readonly #weightNames = new Map<Tensor, string>();
  readonly #taken = new Set<string>([INPUT]);
  readonly #known = new Map<string, string>();

  /** `stateNames`: tensors of the model by their name in weights files, which they keep. */
  constructor(stateNames: ReadonlyMap<string, Tensor>) {
    for (const [name, t] of stateNames) {
      this.#taken.add(name);
      if (!this.#weightNames.has(t)) this.#weightNames.set(t, name);
    }
  }

  /** A name that nothing else has. */
  fresh(wish: string): string {
    let name = wish;
    for (let i = 2; this.#taken.has(name); i++) name = `${wish}_${i}`;
    this.#taken.add(name);
    return name;
  }

  /** Adds a node, by default named after its op; returns the name of its result, which is the node's own. */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    wish = op,
  ): string {
    const name = this.fresh(wish);
    const attribute = Object.entries(attributes).map(([key, value]) => attributeOf(key, value));
    this.nodes.push({ opType: op, name, input: inputs, output: [name], attribute });
    return name;
  }

  /** Name of a tensor that does not depend on the input: a parameter, or a constant of the model's code. */
  weight(t: Tensor): string {
    const name = this.#weightNames.get(t) ?? this.fresh(CONSTANT);
    this.#weightNames.set(t, name);
    this.weights.set(name, t);
    return name;
  }

  /** Takes the parameter that weights files have under this name. */
  namedWeight(name: string, t: Tensor): string {
    this.weights.set(name, t);
    return name;
  }

  /** Name of real numbers; the same ones have one name. */
  reals(shape: Shape, data: readonly number[]): string {
    return this.#once(`reals ${shape} : ${data}`, () => {
      const name = this.fresh(CONSTANT);
      this.weights.set(name, { shape, data });
      return name;
    });
  }

  /** Name of a list of whole numbers, or of one alone. */
  ints(values: readonly number[] | number): string {
    return this.#once(`ints ${JSON.stringify(values)}`, () => {
      const name = this.fresh(INTEGERS);
      this.integers.push(intTensor(name, values));
      return name;
    });
  }

  /** Name of the list [N] of the batch size, which is known when the graph runs. */
  batchSize(): string {
    return this.#once('batch', () => this.node('Shape', [INPUT], { start: 0, end: 1 }, 'batch'));
  }

  #once(key: string, make: () => string): string {
    const name = this.#known.get(key) ?? make();
    this.#known.set(key, name);
    return name;
  }
}

function attributeOf(name: string, value: Attribute): AttributeDraft {
  if (typeof value === 'number') return { name, i: value, type: attributeTypes.int };
  if (typeof value === 'string') {
    return { name, s: new TextEncoder().encode(value), type: attributeTypes.text };
  }
  if ('float' in value) return { name, f: value.float, type: attributeTypes.float };
  return { name, ints: value, type: attributeTypes.ints };
}
