// Models as ONNX files: a plain classifier that every runtime runs, without anything of ours.
//
// The forward pass is recorded without being run, and written layer by layer where a layer is one node, else op by op: the
// same two views of it that relevance has. Weights keep their names, so that a file can be compared with the checkpoint.
import { CpuDevice } from '../../engine/cpu-device.ts';
import { read } from '../../engine/create.ts';
import { UsageError } from '../../engine/errors.ts';
import type { Shape } from '../../engine/shape.ts';
import { release, Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { readTensors, stateLayout } from '../../nn/state-dict.ts';
import { WideLinear } from '../../nn/wide-linear.ts';
import {
  type ForwardGraph,
  inOrder,
  type Size,
  sizesOf,
  type Twin,
  twinsOf,
  withForwardGraph,
} from './forward-graph.ts';
import { GraphWriter, INPUT } from './graph-writer.ts';
import { layerWriter } from './layer-nodes.ts';
import { floatTensor } from './numbers.ts';
import { opRow } from './op-nodes.ts';
import { encode } from './protobuf.ts';
import { elementTypes, modelSchema, type TensorDraft, type ValueInfoDraft } from './schema.ts';

/** Version of ONNX's ops that files are written for: runtimes since the middle of 2022 read it. */
export const OPSET = 17;
const IR_VERSION = 8;
/** Name of the graph's output. */
export const OUTPUT = 'logits';
/** Name of the axis that counts samples. */
const BATCH = 'batch';

export interface OnnxExportOptions {
  /** Shape of one image: [C, H, W]. */
  readonly input: Shape;
  /** Texts that the file carries: class names, range of the input, where the model comes from. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Name of the graph; default: the model's class. */
  readonly name?: string;
  /** Version of the software that wrote the file. */
  readonly producerVersion?: string;
}

/**
 * The model in evaluation mode as an ONNX file: input `input` [batch, ...input], output `logits`, any batch size, opset
 * 17. Weights are f32 under their names in weights files. Throws UsageError for an op that ONNX has not or that is not
 * known here, naming it and its layer, and what the model throws for an input of this shape.
 */
export async function exportOnnx(
  model: Module,
  options: OnnxExportOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { input, metadata = {}, name = model.constructor.name, producerVersion = '' } = options;
  const [first] = model.stateDict().values();
  const device = first?.device ?? new CpuDevice();
  const firstId = device.recorder.nextId;
  const { writer, output, tensors } = withForwardGraph(model, device, input, (graph) => write(graph, model));
  const initializer = [...(await initializers(model, writer)), ...writer.integers];
  // What the forward pass made and did not cache. Parameters, and whatever else is older than this, are not ours.
  const cached = new Set(device.constants.values());
  for (const t of tensors) if (t.id >= firstId && !cached.has(t)) release(t);
  return encode(modelSchema, {
    irVersion: IR_VERSION,
    producerName: 'isnet-webgpu',
    producerVersion,
    opsetImport: [{ domain: '', version: OPSET }],
    graph: {
      name,
      nodes: writer.nodes,
      initializer,
      input: [valueInfo(INPUT, [{ perSample: 1 }, ...input])],
      output: [valueInfo(OUTPUT, output)],
    },
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
}

/** What is left of a forward graph once it is written. Tensors stand apart, so that they outlive their scope. */
interface Written {
  readonly writer: GraphWriter;
  readonly output: readonly Size[];
  readonly tensors: readonly Tensor[];
}

function write(graph: ForwardGraph, model: Module): Written {
  const writer = new GraphWriter(model.stateDict());
  const steps = new Steps(model);
  const names = new Map<Tensor, string>([[graph.input[0], INPUT]]);
  for (const twin of inOrder(graph, (t) =>
    t === graph.input[0] || t === graph.input[1] ? [] : steps.inputsOf(t),
  )) {
    if (names.has(twin[0])) continue;
    const step = steps.of(twin[0]);
    const inputs = twinsOf(twin, (t) => steps.inputsOf(t));
    const inputNames = inputs.map(([t]) => names.get(t) ?? '');
    names.set(twin[0], step ? step.write(writer, twin, inputs, inputNames) : writer.weight(twin[0]));
  }
  nameOutput(writer, names.get(graph.output[0]) ?? INPUT);
  const tensors = [...writer.weights.values()].filter((t) => t instanceof Tensor);
  return { writer, output: sizesOf(graph.output), tensors };
}

/** The result goes by its own name and not by that of the layer that makes it. */
function nameOutput(writer: GraphWriter, name: string): void {
  const made = writer.nodes.findIndex(({ output }) => output?.includes(name));
  const isUsed = writer.nodes.some(({ input }) => input?.includes(name));
  if (made < 0 || isUsed)
    writer.nodes.push({ opType: 'Identity', name: OUTPUT, input: [name], output: [OUTPUT] });
  else writer.nodes[made] = { ...writer.nodes[made], output: [OUTPUT] };
}

/** How one tensor of the forward pass is written. */
interface Step {
  readonly inputs: readonly Tensor[];
  write(writer: GraphWriter, twin: Twin, inputs: readonly Twin[], names: readonly string[]): string;
}

/** The steps of a model's forward pass, with the names of its layers. */
class Steps {
  readonly #names = new Map<object, string>();
  readonly #blocks = new Map<object, string>();
  readonly #state: ReadonlyMap<string, Shape>;

  constructor(model: Module) {
    this.#state = stateLayout(model);
    for (const [name, module] of model.namedModules()) {
      if (!this.#names.has(module)) this.#names.set(module, name);
      if (!(module instanceof WideLinear)) continue;
      for (const [, block] of module.children()) this.#blocks.set(block, name);
    }
  }

  inputsOf(t: Tensor): readonly Tensor[] {
    return this.of(t)?.inputs ?? [];
  }

  /** Null for leaves: parameters and constants. */
  of(t: Tensor): Step | null {
    return this.#wide(t) ?? this.#layer(t) ?? this.#op(t);
  }

  /** A dense layer in blocks of rows is one again: files have its weight in one piece. */
  #wide(t: Tensor): Step | null {
    if (t.origin?.op.name !== 'concat') return null;
    const calls = t.origin.inputs.map(({ call }) => call);
    const [call] = calls;
    if (!call) return null;
    const name = this.#blocks.get(call.layer);
    if (name === undefined || !calls.every((other) => other && this.#blocks.get(other.layer) === name))
      return null;
    const [weight, bias] = [`${name}.weight`, `${name}.bias`];
    if (!this.#state.has(weight) || t.shape.length !== 2) return null;
    return {
      inputs: [call.input],
      write: (writer, _, __, [x]) => {
        const parameters = [writer.namedWeight(weight, call.params.weight)];
        if (call.params.bias) parameters.push(writer.namedWeight(bias, call.params.bias));
        return writer.node('Gemm', [x, ...parameters], { transB: 1 }, name);
      },
    };
  }

  #layer(t: Tensor): Step | null {
    const { call } = t;
    const writeLayer = call && layerWriter(call.layer);
    if (!writeLayer) return null;
    const name = this.#names.get(call.layer) || call.layer.constructor.name;
    return {
      inputs: [call.input],
      write: (writer, [output], _, [input]) => writeLayer({ writer, call, input, output, name }),
    };
  }

  #op(t: Tensor): Step | null {
    const { origin, call } = t;
    if (!origin) return null;
    const layer = call ? this.#names.get(call.layer) || call.layer.constructor.name : '';
    const row = opRow(origin.op.name);
    if (!row) {
      throw new UsageError(
        `onnx: op '${origin.op.name}'${layer && ` of layer '${layer}'`} cannot be exported; use layers of nn, or ops that ONNX has`,
      );
    }
    return {
      inputs: origin.inputs.slice(0, row.inputCount),
      write: (writer, twin, inputs, names) =>
        row.write({ writer, twin, inputs, names, name: layer || origin.op.name }),
    };
  }
}

/** Numbers of everything that nodes take. Waits for the device. */
async function initializers(model: Module, writer: GraphWriter): Promise<TensorDraft[]> {
  const { weights } = writer;
  const state = model.stateDict();
  const used = new Map([...state].filter(([name]) => weights.has(wholeName(name))));
  const drafts = (await readTensors(used)).map(([name, { shape, data }]) => floatTensor(name, shape, data));
  const written = new Set(drafts.map(({ name }) => name));
  for (const [name, numbers] of weights) {
    if (written.has(name)) continue;
    const data = numbers instanceof Tensor ? await read(numbers) : numbers.data;
    drafts.push(floatTensor(name, numbers.shape, data));
  }
  return drafts;
}

/** Name under which a file holds a block of rows of a `WideLinear`. */
const wholeName = (name: string): string => name.replace(/\.rows\d+\.(weight|bias)$/, '.$1');

const valueInfo = (name: string, sizes: readonly Size[]): ValueInfoDraft => {
  const dim = sizes.map((size) => {
    if (typeof size === 'number') return { value: size };
    return { param: size.perSample === 1 ? BATCH : `${size.perSample} ${BATCH}` };
  });
  return { name, type: { tensorType: { elemType: elementTypes.float, shape: { dim } } } };
};
