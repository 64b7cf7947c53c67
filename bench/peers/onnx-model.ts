// ONNX models of one or a few nodes, written byte by byte: the protobuf messages of onnx.proto that a graph needs.
// Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.

/** A node of a graph, its attributes whole numbers or lists of such. */
export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly output: { readonly name: string; readonly shape: readonly number[] };
}

// Opset 17 asks for IR version 8, which every runtime of the last years reads.
const IR_VERSION = 8;
const OPSET = 17;
const FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

/** The bytes of a model file. */
export function onnxModel({ nodes, inputs, output }: OnnxGraph): Uint8Array {
  const graph = message(7, [
    ...nodes.map(nodeField),
    text(2, 'graph'),
    ...Object.entries(inputs).map(([name, shape]) => valueInfo(11, name, shape)),
    valueInfo(12, output.name, output.shape),
  ]);
  const opset = message(8, [text(1, ''), integer(2, OPSET)]);
  return Buffer.concat([integer(1, IR_VERSION), graph, opset]);
}

function nodeField({ op, inputs, output, attributes = {} }: OnnxNode): Buffer {
  return message(1, [
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) =>
      typeof value === 'number'
        ? message(5, [text(1, name), integer(3, value), integer(20, ATTRIBUTE_INT)])
        : message(5, [text(1, name), ...value.map((n) => integer(8, n)), integer(20, ATTRIBUTE_INTS)]),
    ),
  ]);
}

/** ValueInfoProto: a name, and the type tensor of f32 with this shape. */
function valueInfo(field: number, name: string, shape: readonly number[]): Buffer {
  const dimensions = message(
    2,
    shape.map((size) => message(1, [integer(1, size)])),
  );
  return message(field, [text(1, name), message(2, [message(1, [integer(1, FLOAT), dimensions])])]);
}

// The wire format: a key is the field number times 8 plus the type, 0 for a varint and 2 for bytes with their length.
const integer = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field: number, value: Buffer): Buffer =>
  Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
const text = (field: number, value: string): Buffer => bytes(field, Buffer.from(value));
const message = (field: number, parts: readonly Buffer[]): Buffer => bytes(field, Buffer.concat(parts));

/** Seven bits a byte, the lowest first, the eighth set in all but the last. */
function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  do {
    out.push((rest % 128) + (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(out);
}
