// ONNX files as models: layers of nn where a node is one, so that they can be explained and trained like our own.

import { tensor } from '../../engine/create.ts';
import { CheckpointError } from '../../engine/errors.ts';
import { randomStream } from '../../engine/random-bits.ts';
import { type Device, release, type Tensor } from '../../engine/tensor.ts';
import { type Init, Module, own, type Params, Sequential } from '../../nn/module.ts';
import { loadStateDict } from '../../nn/state-dict.ts';
import { type OnnxGraph, type OnnxNode, readGraph } from './graph-reader.ts';
import { type Constants, checkInput, type LayerPlan, layerPlan, type Parameter } from './import-layers.ts';
import { ops, type Run } from './import-ops.ts';
import type { Numbers } from './numbers.ts';
import { rewritten } from './rewrite.ts';
import { HostValue, hostValue, type Value } from './values.ts';

export interface OnnxImportOptions {
  /** Name of the value that the model gives; default: the file's first output. Take the one before a final Softmax. */
  readonly output?: string;
}

/** A node made ready to run. */
interface Step {
  /** Names of values. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly run: Run;
}

/**
 * The network of an ONNX file on a device, in evaluation mode: images [N, ...] -> what the file's first output is. Dense
 * layers, convolutions, normalisations, activations and pools become layers of nn, under the names that PyTorch gave them
 * where the file tells; relevance, training and `exportOnnx` take it as they take our own.
 * Throws CheckpointError for a file that is damaged or has a node that cannot be imported, naming it.
 */
export function importOnnx(bytes: Uint8Array, device: Device, options: OnnxImportOptions = {}): OnnxModel {
  const graph = readGraph(bytes);
  const { output = graph.outputs[0] } = options;
  return new OnnxModel(device, graph, output).eval();
}

/** The network of an ONNX file; see `importOnnx`. */
export class OnnxModel extends Module {
  /** Texts that the file carries. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Sizes of the input, the batch first; null for those that may be any. */
  readonly inputShape: readonly (number | null)[];
  readonly #input: string;
  readonly #output: string;
  readonly #steps: readonly Step[];
  readonly #layers: ReadonlyMap<string, Module>;
  readonly #constants: ReadonlyMap<string, Value>;
  /** Parameters that have the file's numbers as they are, with the file's names. */
  readonly #fileNames: ReadonlyMap<Tensor, string>;

  constructor(device: Device, graph: OnnxGraph, output: string) {
    super();
    this.metadata = graph.metadata;
    this.inputShape = graph.inputShape;
    this.#input = graph.input;
    this.#output = output;
    const compiled = new Compiler(device, graph, output);
    this.#steps = compiled.steps;
    this.#layers = compiled.layers;
    this.#constants = compiled.constants;
    this.#fileNames = compiled.fileNames;
  }

  override children(): [string, Module][] {
    return [...this.#layers];
  }

  override ownParameters(): Params {
    const tensors = [...this.#constants].filter(
      (entry): entry is [string, Tensor] => !(entry[1] instanceof HostValue),
    );
    return Object.fromEntries(tensors);
  }

  override namedParameters(): Map<string, Tensor> {
    return this.#renamed(super.namedParameters());
  }

  override namedBuffers(): Map<string, Tensor> {
    return this.#renamed(super.namedBuffers());
  }

  override stateDict(): Map<string, Tensor> {
    return this.#renamed(super.stateDict());
  }

  #renamed(named: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
    return new Map([...named].map(([name, t]) => [this.#fileNames.get(t) ?? name, t]));
  }

  forward(x: Tensor): Tensor {
    checkInput(x, this.inputShape);
    const values = new Map<string, Value>([...this.#constants, [this.#input, x]]);
    for (const { inputs, outputs, run } of this.#steps) {
      const result = run(inputs.map((name) => values.get(name)));
      const results = Array.isArray(result) ? result : [result];
      outputs.forEach((name, i) => {
        if (results[i]) values.set(name, results[i]);
      });
    }
    const y = values.get(this.#output);
    if (!y || y instanceof HostValue) {
      throw new CheckpointError(
        `import: the output '${this.#output}' does not depend on the image; choose another one with { output }`,
      );
    }
    return y;
  }
}

/** Turns a graph into steps: puts layers together, leaves out what nobody needs, and makes modules and constants. */
class Compiler implements Constants {
  readonly steps: Step[] = [];
  readonly layers = new Map<string, Module>();
  readonly constants = new Map<string, Value>();
  readonly fileNames = new Map<Tensor, string>();
  readonly #device: Device;
  readonly #graph: OnnxGraph;
  readonly #init: Init;
  readonly #makers = new Map<string, OnnxNode>();
  readonly #useCounts = new Map<string, number>();
  readonly #folded = new Map<string, Numbers | undefined>();

  constructor(device: Device, graph: OnnxGraph, output: string) {
    this.#device = device;
    this.#graph = graph;
    this.#init = { device, random: randomStream(0, 'onnx'), isBlank: true };
    for (const node of graph.nodes) for (const name of node.outputs) this.#makers.set(name, node);
    for (const name of [...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs, output]) {
      this.#useCounts.set(name, (this.#useCounts.get(name) ?? 0) + 1);
    }
    if (!this.#makers.has(output)) {
      throw new CheckpointError(
        `import: no node makes '${output}'; the file's outputs are ${graph.outputs.join(', ')}`,
      );
    }
    try {
      for (const node of needed(
        graph.nodes.map((node) => rewritten(node, this)),
        output,
      ))
        this.#compile(node);
    } catch (error) {
      for (const layer of this.layers.values()) layer.dispose();
      for (const t of this.constants.values()) if (!(t instanceof HostValue)) release(t);
      throw error;
    }
  }

  maker(name: string): OnnxNode | undefined {
    return this.#makers.get(name);
  }

  part(name: string, op: string): OnnxNode | undefined {
    const node = this.#makers.get(name);
    return node?.op === op && this.#useCounts.get(name) === 1 ? node : undefined;
  }

  /** Numbers of a name, where they do not depend on the image: of the file, or worked out from those. */
  constant(name: string): Numbers | undefined {
    const own = this.#graph.numbers.get(name);
    if (own) return own;
    if (!this.#folded.has(name)) {
      // A graph that runs in a circle ends here.
      this.#folded.set(name, undefined);
      this.#folded.set(name, this.#fold(name));
    }
    return this.#folded.get(name);
  }

  #fold(name: string): Numbers | undefined {
    const node = this.#makers.get(name);
    if (!node) return undefined;
    if (node.op === 'Constant') return constantOf(node);
    if (!Object.hasOwn(ops, node.op)) return undefined;
    const inputs: (Numbers | undefined)[] = [];
    for (const input of node.inputs) {
      const numbers = input === '' ? undefined : this.constant(input);
      if (input !== '' && !numbers) return undefined;
      inputs.push(numbers);
    }
    const result = ops[node.op](
      node,
      this.#graph.opset,
    )(inputs.map((numbers) => numbers && hostValue(numbers)));
    const value = Array.isArray(result) ? result[node.outputs.indexOf(name)] : result;
    if (!(value instanceof HostValue)) return undefined;
    return { shape: value.shape, data: value.data, isInteger: value.isInteger };
  }

  given(node: OnnxNode, index: number): Parameter {
    return this.optional(node, index) ?? node.fail(`has no input ${index}`, 'export the model again');
  }

  optional(node: OnnxNode, index: number): Parameter | undefined {
    const name = node.inputs[index];
    if (!name) return undefined;
    const numbers =
      this.constant(name) ??
      node.fail(`takes '${name}' from the image`, 'only layers with weights of their own can be imported');
    // Exporters write equal weights once, and give them their other names by Identity.
    const isStored = this.#graph.numbers.has(name) || this.#makers.get(name)?.op === 'Identity';
    return { numbers, name: isStored ? name : undefined };
  }

  #compile(node: OnnxNode): void {
    if (node.op === 'Constant' || node.outputs.every((name) => name === '' || this.constant(name))) {
      for (const name of node.outputs) this.#keepConstant(name);
      return;
    }
    const plan = layerPlan(node, this);
    if (plan) {
      const layer = this.#make(node, plan);
      const call = plan.run ?? ((x: Tensor) => layer.forward(x));
      const run: Run = ([x]) => {
        if (!x || x instanceof HostValue)
          return node.fail('has no image as its input', 'export the model again');
        return call(x, layer);
      };
      this.steps.push({ inputs: node.inputs.slice(0, 1), outputs: node.outputs, run });
      return;
    }
    if (!Object.hasOwn(ops, node.op)) {
      node.fail('cannot be imported', 'replace the op before exporting, or import up to it with { output }');
    }
    for (const name of node.inputs) this.#keepConstant(name);
    this.steps.push({
      inputs: node.inputs,
      outputs: node.outputs,
      run: ops[node.op](node, this.#graph.opset),
    });
  }

  /** Makes a constant ready for steps: reals are parameters, single numbers and whole ones stay on the host. */
  #keepConstant(name: string): void {
    const numbers = name === '' || this.constants.has(name) ? undefined : this.constant(name);
    if (!numbers) return;
    const { data, shape, isInteger } = numbers;
    if (isInteger || data.length === 1) {
      this.constants.set(name, hostValue(numbers));
      return;
    }
    const t = own(tensor(this.#device, data, shape));
    this.constants.set(name, t);
    this.fileNames.set(t, name);
  }

  #make(node: OnnxNode, { make, parameters = {} }: LayerPlan): Module {
    const layer = make(this.#init);
    const name = this.#freeName(nameOf(node, parameters));
    this.layers.set(name, layer);
    const numbers = Object.entries(parameters).map(
      ([field, own]) => [`layer.${field}`, own.numbers] as const,
    );
    // Under a name, because files have the rows of a large dense layer in one piece.
    const holder = Sequential.named([['layer', layer]]);
    if (numbers.length > 0) loadStateDict(holder, new Map(numbers), { where: `import: ${node}` });
    for (const [field, t] of layer.stateDict()) {
      const fileName = parameters[field]?.name;
      if (fileName !== undefined) this.fileNames.set(t, fileName);
    }
    return layer;
  }

  #freeName(wish: string): string {
    let name = wish;
    for (let i = 2; this.layers.has(name); i++) name = `${wish}_${i}`;
    return name;
  }
}

/** Nodes on which the output depends, in their order. */
function needed(nodes: readonly OnnxNode[], output: string): OnnxNode[] {
  const names = new Set([output]);
  const kept: OnnxNode[] = [];
  for (const node of [...nodes].reverse()) {
    if (!node.outputs.some((name) => names.has(name))) continue;
    kept.push(node);
    for (const name of node.inputs) names.add(name);
  }
  return kept.reverse();
}

function constantOf(node: OnnxNode): Numbers | undefined {
  const value = node.tensor('value');
  if (value) return value;
  const real = node.float('value_float');
  const whole = node.int('value_int');
  if (real !== undefined) return { data: [real], shape: [], isInteger: false };
  if (whole !== undefined) return { data: [whole], shape: [], isInteger: true };
  const reals = node.floats('value_floats') ?? [];
  const wholes = node.ints('value_ints') ?? [];
  const data = reals.length > 0 ? reals : wholes;
  return { data, shape: [data.length], isInteger: reals.length === 0 };
}

/**
 * Name of a layer: that of its parameters without `.weight`, or the node's as PyTorch writes it, with the op left out:
 * `/layer1/layer1.0/conv1/Conv` is `layer1.0.conv1`.
 */
function nameOf({ name, op }: OnnxNode, parameters: Readonly<Record<string, Parameter>>): string {
  const weight = parameters.weight?.name?.match(/^([^:]+)\.weight$/)?.[1];
  if (weight) return weight;
  const segments = name.split('/').filter((part) => part !== '');
  const scopes = segments.length > 1 ? segments.slice(0, -1) : segments;
  const path = scopes.reduce((path, scope) => {
    const last = path.split('.').at(-1);
    return path === '' || scope.startsWith(`${path}.`) || scope.startsWith(`${last}.`)
      ? joinedPath(path, scope)
      : `${path}.${scope}`;
  }, '');
  return path || op;
}

/** `features` and `features.0` are `features.0`; `a.layer1` and `layer1.0` are `a.layer1.0`. */
function joinedPath(path: string, scope: string): string {
  const last = path.split('.').at(-1) ?? '';
  return path === '' || scope.startsWith(`${path}.`)
    ? scope
    : path.slice(0, path.length - last.length) + scope;
}
