// The messages of an ONNX file that networks need; field numbers are those of onnx.proto (ONNX 1.12, IR version 8).
// Left out: training, functions, subgraphs, sparse and quantised tensors. Readers skip what they do not know.
import { type Draft, inner, inners, type Message, many, one, packed } from './protobuf.ts';

/** Numbers or texts of a tensor, as raw little-endian bytes or in the list of their type. */
const tensor = {
  dims: many(1, 'int'),
  dataType: one(2, 'int'),
  floatData: packed(4, 'float'),
  int32Data: packed(5, 'int'),
  int64Data: packed(7, 'int'),
  name: one(8, 'text'),
  rawData: one(9, 'bytes'),
  doubleData: packed(10, 'double'),
  /** 1 where the numbers lie in a file of their own. */
  dataLocation: one(14, 'int'),
};

const attribute = {
  name: one(1, 'text'),
  f: one(2, 'float'),
  i: one(3, 'int'),
  s: one(4, 'bytes'),
  t: inner(5, tensor),
  floats: many(7, 'float'),
  ints: many(8, 'int'),
  type: one(20, 'int'),
};

const node = {
  input: many(1, 'text'),
  output: many(2, 'text'),
  name: one(3, 'text'),
  opType: one(4, 'text'),
  attribute: inners(5, attribute),
  domain: one(7, 'text'),
};

/** A size: a number, or a name for what changes from call to call. */
const dimension = { value: one(1, 'int'), param: one(2, 'text') };
const tensorType = { elemType: one(1, 'int'), shape: inner(2, { dim: inners(1, dimension) }) };
const valueInfo = { name: one(1, 'text'), type: inner(2, { tensorType: inner(1, tensorType) }) };

const graph = {
  nodes: inners(1, node),
  name: one(2, 'text'),
  initializer: inners(5, tensor),
  input: inners(11, valueInfo),
  output: inners(12, valueInfo),
};

/** A whole file. */
export const modelSchema = {
  irVersion: one(1, 'int'),
  producerName: one(2, 'text'),
  producerVersion: one(3, 'text'),
  graph: inner(7, graph),
  opsetImport: inners(8, { domain: one(1, 'text'), version: one(2, 'int') }),
  metadataProps: inners(14, { key: one(1, 'text'), value: one(2, 'text') }),
};

export type TensorMessage = Message<typeof tensor>;
export type NodeMessage = Message<typeof node>;
export type AttributeMessage = Message<typeof attribute>;
export type ValueInfoMessage = Message<typeof valueInfo>;
export type ModelMessage = Message<typeof modelSchema>;
export type TensorDraft = Draft<typeof tensor>;
export type NodeDraft = Draft<typeof node>;
export type AttributeDraft = Draft<typeof attribute>;
export type ValueInfoDraft = Draft<typeof valueInfo>;

/** Types of elements. */
export const elementTypes = {
  float: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  double: 11,
} as const;

/** Types of attributes. */
export const attributeTypes = { float: 1, int: 2, text: 3, ints: 7 } as const;
