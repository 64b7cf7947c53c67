// Layers that exporters take to pieces, put together again: relevance has rules for layers, and few for their pieces.

import { adaptiveMatrix } from './adaptive.ts';
import { OnnxNode } from './graph-reader.ts';
import type { Numbers } from './numbers.ts';
import type { AttributeMessage } from './schema.ts';

/** What patterns ask about the graph around a node. */
export interface Surroundings {
  /** Numbers of a name that do not depend on the input. */
  constant(name: string): Numbers | undefined;
  /** The node that makes a value, if only one node takes it: then it may be a part of that one. */
  part(name: string, op: string): OnnxNode | undefined;
  /** The node that makes a value. */
  maker(name: string): OnnxNode | undefined;
}

/** A node in place of another one and its parts, or null if the pattern is not there. */
type Pattern = (node: OnnxNode, graph: Surroundings) => OnnxNode | null;

const single = (numbers: Numbers | undefined): number | undefined =>
  numbers?.data.length === 1 ? numbers.data[0] : undefined;

const isAbout = (numbers: Numbers | undefined, value: number): boolean =>
  Math.abs((single(numbers) ?? Number.NaN) - value) < 1e-4 * value;

const lists = (values: Readonly<Record<string, readonly number[]>>): ReadonlyMap<string, AttributeMessage> =>
  new Map(Object.entries(values).map(([name, ints]) => [name, attribute(name, { ints })]));

const attribute = (name: string, value: Partial<AttributeMessage>): AttributeMessage => ({
  name,
  f: undefined,
  i: undefined,
  s: undefined,
  t: undefined,
  floats: [],
  ints: [],
  type: undefined,
  ...value,
});

/** The constant operand of a node of two operands, and the other one. */
function operands(node: OnnxNode, graph: Surroundings): { constant: string; other: string } | null {
  const [a, b] = node.inputs;
  if (graph.constant(b)) return { constant: b, other: a };
  return graph.constant(a) ? { constant: a, other: b } : null;
}

/** A fixed matrix [rows, columns] as Gemm takes it. */
interface Matrix {
  readonly name: string;
  /** Whether the file has it the other way round, which Gemm can take: it keeps its name, and nothing is moved. */
  readonly isTurned: boolean;
  readonly columns: number;
}

function matrixOf(name: string, graph: Surroundings): Matrix | null {
  const turn = graph.maker(name);
  const isTurned = turn?.op === 'Transpose' && String(turn.ints('perm') ?? [1, 0]) === '1,0';
  const own = isTurned ? turn.inputs[0] : name;
  const { shape } = graph.constant(own) ?? { shape: [] };
  return shape.length === 2 ? { name: own, isTurned, columns: shape[isTurned ? 0 : 1] } : null;
}

/** x W (+ b) with fixed W [I, O] is a dense layer, which Gemm also is for matrices. */
const dense: Pattern = (node, graph) => {
  if (node.op === 'MatMul') return denseOf(node, null, node.outputs, graph);
  const found = node.op === 'Add' ? operands(node, graph) : null;
  const product = found && graph.part(found.other, 'MatMul');
  return product ? denseOf(product, found.constant, node.outputs, graph) : null;
};

function denseOf(
  { name, inputs: [x, weight] }: OnnxNode,
  bias: string | null,
  outputs: readonly string[],
  graph: Surroundings,
): OnnxNode | null {
  const matrix = graph.constant(x) ? null : matrixOf(weight, graph);
  if (!matrix) return null;
  const biasShape = bias === null ? undefined : graph.constant(bias)?.shape;
  if (biasShape && (biasShape.length !== 1 || biasShape[0] !== matrix.columns)) return null;
  const attributes = new Map([['transB', attribute('transB', { i: matrix.isTurned ? 1 : 0 })]]);
  const inputs = [x, matrix.name, ...(bias === null ? [] : [bias])];
  return new OnnxNode('Gemm', name, inputs, outputs, attributes);
}

/** Factors of nested products. */
function factors(node: OnnxNode, graph: Surroundings): string[] {
  return node.inputs.flatMap((name) => {
    const inner = graph.part(name, 'Mul');
    return inner ? factors(inner, graph) : [name];
  });
}

/** 0.5 x (1 + erf(x / sqrt 2)), in any order and with either form of the division. */
const gelu: Pattern = (node, graph) => {
  if (node.op !== 'Mul') return null;
  const all = factors(node, graph);
  const sum = all.map((name) => graph.part(name, 'Add')).find((part) => part !== undefined);
  const half = all.find((name) => isAbout(graph.constant(name), 0.5));
  const x = all.find((name) => name !== half && name !== sum?.outputs[0]);
  const one = sum && operands(sum, graph);
  if (all.length !== 3 || !half || !x || !one || !isAbout(graph.constant(one.constant), 1)) return null;
  const erf = graph.part(one.other, 'Erf');
  const scaled = erf && (graph.part(erf.inputs[0], 'Div') ?? graph.part(erf.inputs[0], 'Mul'));
  const scale = scaled && operands(scaled, graph);
  const expected = scaled?.op === 'Div' ? Math.SQRT2 : Math.SQRT1_2;
  if (!scale || scale.other !== x || !isAbout(graph.constant(scale.constant), expected)) return null;
  return new OnnxNode('Gelu', node.name, [x], node.outputs);
};

/** x sigmoid(x) */
const silu: Pattern = (node, graph) => {
  if (node.op !== 'Mul') return null;
  const [a, b] = node.inputs;
  const isGate = (gate: string, x: string) => graph.part(gate, 'Sigmoid')?.inputs[0] === x;
  const x = isGate(b, a) ? a : isGate(a, b) ? b : null;
  return x === null ? null : new OnnxNode('Silu', node.name, [x], node.outputs);
};

/** [-2, -1] for two. */
const lastAxes = (count: number): number[] => Array.from({ length: count }, (_, i) => i - count);

/** (x - mean x) / sqrt(mean (x - mean x)^2 + eps) * w + b: what LayerNorm is before opset 17. */
const layerNorm: Pattern = (node, graph) => {
  const outer = node.op === 'Add' ? operands(node, graph) : null;
  const product = outer && graph.part(outer.other, 'Mul');
  const scaled = product && operands(product, graph);
  const quotient = scaled && graph.part(scaled.other, 'Div');
  const root = quotient && graph.part(quotient.inputs[1], 'Sqrt');
  const stabilized = root && graph.part(root.inputs[0], 'Add');
  const eps = stabilized && operands(stabilized, graph);
  const variance = eps && graph.part(eps.other, 'ReduceMean');
  const square = variance && graph.part(variance.inputs[0], 'Pow');
  const centered = quotient && graph.maker(quotient.inputs[0]);
  if (!outer || !scaled || !eps || !square || centered?.op !== 'Sub') return null;
  const mean = graph.part(centered.inputs[1], 'ReduceMean');
  const [x] = centered.inputs;
  const isNorm = square.inputs[0] === centered.outputs[0] && mean?.inputs[0] === x;
  if (!isNorm || !isAbout(graph.constant(square.inputs[1]), 2)) return null;
  const axis = -(graph.constant(scaled.constant)?.shape.length ?? 1);
  const isOverLast = [mean, variance].every((part) => String(part?.ints('axes')) === String(lastAxes(-axis)));
  if (!isOverLast) return null;
  const attributes = new Map([
    ['axis', attribute('axis', { i: axis })],
    ['epsilon', attribute('epsilon', { f: single(graph.constant(eps.constant)) })],
  ]);
  const inputs = [x, scaled.constant, outer.constant];
  return new OnnxNode('LayerNormalization', node.name, inputs, node.outputs, attributes);
};

/** Groups of channels as channels of InstanceNormalization, then a scale and a shift per channel: PyTorch's GroupNorm. */
const groupNorm: Pattern = (node, graph) => {
  const outer = node.op === 'Add' ? operands(node, graph) : null;
  const product = outer && graph.part(outer.other, 'Mul');
  const scaled = product && operands(product, graph);
  const back = scaled && graph.part(scaled.other, 'Reshape');
  const norm = back && graph.part(back.inputs[0], 'InstanceNormalization');
  const grouped = norm && graph.part(norm.inputs[0], 'Reshape');
  if (!outer || !scaled || !norm || !grouped) return null;
  const [ones, zeros] = norm.inputs.slice(1).map((name) => Array.from(graph.constant(name)?.data ?? []));
  if (!ones?.every((value) => value === 1) || !zeros?.every((value) => value === 0)) return null;
  const isPerChannel = [scaled.constant, outer.constant].every((name) => {
    const [, ...rest] = graph.constant(name)?.shape ?? [];
    return rest.length > 0 && rest.every((size) => size === 1);
  });
  if (!isPerChannel) return null;
  const attributes = new Map([
    ['num_groups', attribute('num_groups', { i: ones.length })],
    ['epsilon', attribute('epsilon', { f: norm.float('epsilon') })],
  ]);
  // Stored per channel, where only their shape was changed.
  const stored = [scaled.constant, outer.constant].map((name) => {
    const maker = graph.maker(name);
    return maker && ['Reshape', 'Unsqueeze'].includes(maker.op) ? maker.inputs[0] : name;
  });
  return new OnnxNode(
    'GroupNormalization',
    node.name,
    [grouped.inputs[0], ...stored],
    node.outputs,
    attributes,
  );
};

/** A x B with matrices of means is an adaptive pool: as we write those that ONNX has not. */
const adaptivePool: Pattern = (node, graph) => {
  if (node.op !== 'MatMul') return null;
  const inner = graph.part(node.inputs[0], 'MatMul');
  const left = inner && graph.constant(inner.inputs[0]);
  const right = graph.constant(node.inputs[1]);
  if (!inner || !left || !right || left.shape.length !== 2 || right.shape.length !== 2) return null;
  const [oh, h] = left.shape;
  const [w, ow] = right.shape;
  const rows = adaptiveMatrix(h, oh).flat();
  const columns = adaptiveMatrix(w, ow);
  const isMeans =
    rows.every((value, i) => Math.abs(value - left.data[i]) < 1e-6) &&
    columns.every((row, o) => row.every((value, i) => Math.abs(value - right.data[i * ow + o]) < 1e-6));
  if (!isMeans) return null;
  return new OnnxNode(
    'AdaptiveAveragePool',
    node.name,
    [inner.inputs[1]],
    node.outputs,
    lists({ size: [oh, ow] }),
  );
};

// The pool is two products, each of which could be a dense layer: it comes first.
const patterns: readonly Pattern[] = [adaptivePool, layerNorm, groupNorm, gelu, silu, dense];

/** Puts layers together where their last pieces are; what they were made of is left for nobody to use. */
export const rewritten = (node: OnnxNode, graph: Surroundings): OnnxNode => {
  for (const pattern of patterns) {
    const found = pattern(node, graph);
    if (found) return found;
  }
  return node;
};
