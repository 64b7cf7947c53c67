// An ONNX file as nodes that can be asked: parsed, checked, and without the details of the format.
import { CheckpointError } from '../../engine/errors.ts';
import { type Numbers, numbersOf } from './numbers.ts';
import { decode } from './protobuf.ts';
import { type AttributeMessage, type ModelMessage, modelSchema, type ValueInfoMessage } from './schema.ts';

/** Versions of ONNX's ops that are read. Before 7 some ops mean something else. */
const FIRST_OPSET = 7;

/** A node: an op, what it takes and makes, and its attributes. */
export class OnnxNode {
  readonly op: string;
  readonly name: string;
  /** Names of values; '' for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #attributes: ReadonlyMap<string, AttributeMessage>;

  constructor(
    op: string,
    name: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: ReadonlyMap<string, AttributeMessage> = new Map(),
  ) {
    this.op = op;
    this.name = name;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#attributes = attributes;
  }

  int(name: string): number | undefined {
    return this.#attributes.get(name)?.i;
  }

  ints(name: string): readonly number[] | undefined {
    return this.#attributes.get(name)?.ints;
  }

  float(name: string): number | undefined {
    return this.#attributes.get(name)?.f;
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attributes.get(name)?.floats;
  }

  text(name: string): string | undefined {
    const bytes = this.#attributes.get(name)?.s;
    return bytes && new TextDecoder().decode(bytes);
  }

  tensor(name: string): Numbers | undefined {
    const tensor = this.#attributes.get(name)?.t;
    return tensor && numbersOf(tensor, `import: ${this}`);
  }

  fail(problem: string, advice: string): never {
    throw new CheckpointError(`import: ${this} ${problem}; ${advice}`);
  }

  toString(): string {
    return `node '${this.name}' (op '${this.op}')`;
  }
}

/** A graph with one input. */
export interface OnnxGraph {
  readonly opset: number;
  /** In an order in which they can run. */
  readonly nodes: readonly OnnxNode[];
  /** Weights and other numbers that the file has, by name. */
  readonly numbers: ReadonlyMap<string, Numbers>;
  readonly input: string;
  /** Sizes of the input; null for those that may be any. */
  readonly inputShape: readonly (number | null)[];
  readonly outputs: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** The graph of a file. Throws CheckpointError, beginning with `where`, for bytes that are none and for other graphs. */
export function readGraph(bytes: Uint8Array, where = 'import'): OnnxGraph {
  const model = decode(modelSchema, bytes, where);
  const { graph } = model;
  if (!graph || graph.nodes.length === 0) {
    throw new CheckpointError(`${where}: the file has no graph with nodes; use an ONNX model`);
  }
  const numbers = new Map(
    graph.initializer.map((tensor): [string, Numbers] => [tensor.name ?? '', numbersOf(tensor, where)]),
  );
  // Old files list their weights among the inputs, too.
  const inputs = graph.input.filter(({ name = '' }) => !numbers.has(name));
  if (inputs.length !== 1) {
    const names = inputs.map(({ name }) => name).join(', ');
    throw new CheckpointError(
      `${where}: the graph has ${inputs.length} inputs (${names}); only networks with one input, the image, can be imported`,
    );
  }
  return {
    opset: opsetOf(model, where),
    nodes: graph.nodes.map(
      ({ opType = '', name, input, output, attribute, domain }, i) =>
        new OnnxNode(
          domain && domain !== 'ai.onnx' ? `${domain}.${opType}` : opType,
          name || `${opType}_${i}`,
          input,
          output,
          new Map(attribute.map((own) => [own.name ?? '', own])),
        ),
    ),
    numbers,
    input: inputs[0].name ?? '',
    inputShape: shapeOf(inputs[0]),
    outputs: graph.output.map(({ name = '' }) => name),
    metadata: Object.fromEntries(model.metadataProps.map(({ key = '', value = '' }) => [key, value])),
  };
}

function opsetOf({ opsetImport }: ModelMessage, where: string): number {
  const version = opsetImport.find(({ domain = '' }) => domain === '' || domain === 'ai.onnx')?.version ?? 1;
  if (version < FIRST_OPSET) {
    throw new CheckpointError(
      `${where}: the file is of opset ${version}; export it with opset ${FIRST_OPSET} or later, 17 is best`,
    );
  }
  return version;
}

function shapeOf({ type }: ValueInfoMessage): (number | null)[] {
  const dim = type?.tensorType?.shape?.dim ?? [];
  return dim.map(({ value }) => (value !== undefined && value > 0 ? value : null));
}
