// Nodes that are no layers, as functions of the engine. Shapes that exporters compute run through the same functions.
import { ShapeError } from '../../engine/errors.ts';
import { erf, leakyRelu } from '../../engine/ops/activations.ts';
import { add, div, mean, mul, neg, sqrt, square, sub } from '../../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../../engine/ops/broadcast.ts';
import { where } from '../../engine/ops/indexing.ts';
import { concat, pad, permute, slice } from '../../engine/ops/layout.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { maxPool2d } from '../../engine/ops/max-pool.ts';
import { abs, exp, floor, log, maximum, power, sign, softplus } from '../../engine/ops/pointwise.ts';
import { logSoftmax, softmax } from '../../engine/ops/softmax.ts';
import {
  broadcastShapes,
  formatShape,
  isSameShape,
  normalizeAxis,
  type Shape,
  sizeOf,
} from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { OnnxNode } from './graph-reader.ts';
import { elementTypes } from './schema.ts';
import { applied, HostValue, hostList, hostValue, integersOf, type Value } from './values.ts';

// Numbers on the host are shapes and the like.
const MOST_HOST_NUMBERS = 2 ** 20;

/** What a node makes of its inputs; a list where it has several outputs. */
export type Run = (inputs: readonly (Value | undefined)[]) => Value | Value[];

/** Makes a node ready to run. `opset` is the version of the file's ops. */
export type CompileOp = (node: OnnxNode, opset: number) => Run;

const given = (inputs: readonly (Value | undefined)[]): Value[] =>
  inputs.filter((value) => value !== undefined);
const first = (inputs: readonly (Value | undefined)[], node: OnnxNode): Value =>
  inputs[0] ?? node.fail('has no input', 'export the model again');

/** An op that is a function of tensors and nothing else. */
const plain =
  (fn: (...tensors: Tensor[]) => Tensor): CompileOp =>
  () =>
  (inputs) =>
    applied(given(inputs), fn);

/** A function of the first input alone, that may look at the others. */
const onFirst =
  (
    fn: (x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[], opset: number) => Tensor,
  ): CompileOp =>
  (node, opset) =>
  (inputs) =>
    applied([first(inputs, node)], (x) => fn(x, node, inputs, opset));

/**
 * An op of two operands. An activation that it repeats is expanded first: relevance adds up what its copies get, and does
 * not do so silently.
 */
const broadcast = (fn: (a: Tensor, b: Tensor) => Tensor): CompileOp =>
  plain((a, b) => {
    if (isSameShape(a.shape, b.shape)) return fn(a, b);
    const shape = broadcastShapes('import', a.shape, b.shape);
    const spread = (t: Tensor) => (t.origin ? expand(t, shape) : t);
    return fn(spread(a), spread(b));
  });

const same: CompileOp = (node) => (inputs) => first(inputs, node);

/** A list that is an attribute in some versions and an input in others. */
function listOf(node: OnnxNode, name: string, value: Value | undefined): number[] | undefined {
  const own = node.ints(name);
  if (own) return [...own];
  return value && integersOf(value, node, name);
}

const axesOf = (node: OnnxNode, value: Value | undefined, rank: number): number[] | undefined =>
  listOf(node, 'axes', value)?.map((axis) => normalizeAxis(`import: ${node}`, axis, rank));

/** Whole numbers are divided as such. */
const divide: CompileOp = () => (inputs) => {
  const quotient = applied(given(inputs), div);
  if (!(quotient instanceof HostValue && quotient.isInteger)) return quotient;
  return hostValue({ data: quotient.data.map(Math.trunc), shape: quotient.shape, isInteger: true });
};

/** Any ranks: leading axes broadcast and count as one. */
function product(a: Tensor, b: Tensor): Tensor {
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw new ShapeError(
      `import: MatMul of ${formatShape(a.shape)} and ${formatShape(b.shape)}; only matrices can be imported`,
    );
  }
  if (a.shape.length === 2 && b.shape.length === 2) return matmul(a, b);
  const lead = broadcastShapes('import: MatMul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  const flat = (t: Tensor) => {
    const matrix = t.shape.slice(-2);
    return reshape(expand(t, [...lead, ...matrix]), [sizeOf(lead), ...matrix]);
  };
  const y = matmul(flat(a), flat(b));
  return reshape(y, [...lead, ...y.shape.slice(-2)]);
}

function reshaped(x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor {
  const wanted = integersOf(inputs[1], node, 'shape');
  const shape = wanted.map((size, axis) => (size === 0 && !node.int('allowzero') ? x.shape[axis] : size));
  if (!shape.includes(-1) && sizeOf(shape) !== sizeOf(x.shape)) {
    node.fail(
      `makes ${formatShape(shape)} of ${formatShape(x.shape)}`,
      'export the model with a dynamic batch axis, or run it with the batch that it was exported for',
    );
  }
  return reshape(x, shape);
}

function squeezed(x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor {
  const axes = axesOf(node, inputs[1], x.shape.length);
  return reshape(
    x,
    x.shape.filter((size, axis) => (axes ? !axes.includes(axis) : size !== 1)),
  );
}

function unsqueezed(x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor {
  const count = listOf(node, 'axes', inputs[1])?.length ?? 0;
  const axes = axesOf(node, inputs[1], x.shape.length + count) ?? [];
  const rest = [...x.shape];
  return reshape(
    x,
    Array.from({ length: x.shape.length + count }, (_, axis) =>
      axes.includes(axis) ? 1 : (rest.shift() ?? 1),
    ),
  );
}

/** The part from `start` to `end` along an axis; both are cut off at its ends, and count from there if negative. */
function part(x: Tensor, axis: number, start: number, end: number): Tensor {
  const size = x.shape[axis];
  const inside = (n: number) => Math.min(size, Math.max(0, n < 0 ? n + size : n));
  const from = inside(start);
  const starts = x.shape.map((_, i) => (i === axis ? from : 0));
  return slice(
    x,
    starts,
    x.shape.map((n, i) => (i === axis ? Math.max(0, inside(end) - from) : n)),
  );
}

function sliced(x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor {
  const starts = listOf(node, 'starts', inputs[1]) ?? [];
  const ends = listOf(node, 'ends', inputs[2]) ?? [];
  const axes = axesOf(node, inputs[3], x.shape.length) ?? [...starts.keys()];
  const steps = inputs[4] ? integersOf(inputs[4], node, 'steps') : [];
  if (steps.some((step) => step !== 1))
    node.fail(`takes steps of ${steps}`, 'only steps of 1 can be imported');
  return axes.reduce((t, axis, i) => part(t, axis, starts[i], ends[i]), x);
}

/** Elements at fixed places: one, whose axis goes, or several side by side. */
function gathered(x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor {
  const indices = integersOf(inputs[1], node, 'indices');
  const axis = normalizeAxis(`import: ${node}`, node.int('axis') ?? 0, x.shape.length);
  const rank = inputs[1]?.shape.length ?? 0;
  if (rank > 1) node.fail(`has indices of rank ${rank}`, 'only one index or a list of them can be imported');
  const parts = indices.map((index) => part(x, axis, index, index === -1 ? x.shape[axis] : index + 1));
  const joined = concat(parts, axis);
  return rank === 1
    ? joined
    : reshape(
        joined,
        x.shape.filter((_, i) => i !== axis),
      );
}

const split: CompileOp = (node) => (inputs) => {
  const x = first(inputs, node);
  const axis = normalizeAxis(`import: ${node}`, node.int('axis') ?? 0, x.shape.length);
  const count = node.outputs.length;
  const even = Math.ceil(x.shape[axis] / count);
  const sizes = listOf(node, 'split', inputs[1]) ?? Array.from({ length: count }, () => even);
  let start = 0;
  return sizes.map((size) => {
    const from = start;
    start += size;
    return applied([x], (t) => part(t, axis, from, start));
  });
};

function padded(x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor {
  const pads = listOf(node, 'pads', inputs[1]) ?? [];
  const rank = x.shape.length;
  const mode = node.text('mode') ?? 'constant';
  const value = inputs[2] instanceof HostValue ? inputs[2].data[0] : (node.float('value') ?? 0);
  if (mode !== 'constant' || value !== 0 || pads.length !== 2 * rank || pads.some((n) => n < 0)) {
    node.fail(
      `pads by [${pads}] in mode '${mode}' with ${value}`,
      'only zeros around all axes can be imported',
    );
  }
  return pad(
    x,
    pads.slice(0, rank),
    x.shape.map((size, axis) => size + pads[axis] + pads[rank + axis]),
  );
}

const reduced =
  (fn: typeof mean) =>
  (x: Tensor, node: OnnxNode, inputs: readonly (Value | undefined)[]): Tensor => {
    const axes = axesOf(node, inputs[1], x.shape.length);
    return fn(x, axes, { keepDims: (node.int('keepdims') ?? 1) !== 0 });
  };

/** The square is an op of its own: relevance knows it. */
const raised: CompileOp = () => (inputs) => {
  const exponent = inputs[1];
  const isTwo = exponent instanceof HostValue && exponent.data.length === 1 && exponent.data[0] === 2;
  return isTwo ? applied(given(inputs).slice(0, 1), square) : applied(given(inputs), power);
};

/** 1 where two numbers are equal, else 0. */
const equal = (a: Tensor, b: Tensor): Tensor => sub(1, abs(sign(sub(a, b))));

/** The lesser of two numbers. */
const below = (x: Tensor, high: number): Tensor => neg(maximum(neg(x), -high));

/** max(0, min(1, alpha x + beta)) */
const hardSigmoid = (x: Tensor, alpha: number, beta: number): Tensor =>
  maximum(below(add(mul(x, alpha), beta), 1), 0);

const clip: CompileOp = (node) => (inputs) =>
  applied([first(inputs, node)], (x) => {
    const bound = (name: string, index: number): number | undefined => {
      const value = inputs[index];
      if (value && !(value instanceof HostValue)) node.fail('has bounds from the image', 'use fixed ones');
      return value instanceof HostValue ? value.data[0] : node.float(name);
    };
    const [low, high] = [bound('min', 1), bound('max', 2)];
    const above = low === undefined || low === -Infinity ? x : maximum(x, low);
    return high === undefined || high === Infinity ? above : below(above, high);
  });

/** Along one axis. Before opset 13 all axes from it on were one, which is the same for the last. */
const alongAxis =
  (fn: typeof softmax) =>
  (x: Tensor, node: OnnxNode, _: readonly (Value | undefined)[], opset: number): Tensor => {
    const rank = x.shape.length;
    const axis = normalizeAxis(`import: ${node}`, node.int('axis') ?? (opset < 13 ? 1 : -1), rank);
    if (opset < 13 && axis !== rank - 1)
      node.fail(`of opset ${opset} runs over several axes`, 'export with opset 17');
    return fn(x, axis);
  };

const shapeOf: CompileOp = (node) => (inputs) =>
  hostList(first(inputs, node).shape.slice(node.int('start') ?? 0, node.int('end')));

const cast: CompileOp = (node) => (inputs) => {
  const value = first(inputs, node);
  const type = node.int('to');
  const isReal = type === elementTypes.float || type === elementTypes.double || type === elementTypes.float16;
  if (value instanceof HostValue) {
    return hostValue({
      data: isReal ? value.data : value.data.map(Math.trunc),
      shape: value.shape,
      isInteger: !isReal,
    });
  }
  return isReal
    ? value
    : node.fail('makes whole numbers of activations', 'explain and train models of reals only');
};

const constantOfShape: CompileOp = (node) => (inputs) => {
  const shape: Shape = integersOf(inputs[0], node, 'shape');
  if (!(sizeOf(shape) < MOST_HOST_NUMBERS)) {
    node.fail(`makes ${formatShape(shape)} of one number`, 'give the file numbers of its own');
  }
  const { data, isInteger } = node.tensor('value') ?? { data: [0], isInteger: false };
  return hostValue({ data: new Float64Array(sizeOf(shape)).fill(data[0]), shape, isInteger });
};

const flattened = (x: Tensor, node: OnnxNode): Tensor => {
  const axis = node.int('axis') ?? 1;
  return reshape(x, [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))]);
};

/** Every op by its name in ONNX. Layers are in import-layers.ts. */
export const ops: Readonly<Record<string, CompileOp>> = {
  Identity: same,
  Add: broadcast(add),
  Sub: broadcast(sub),
  Mul: broadcast(mul),
  Div: divide,
  Neg: plain(neg),
  Sqrt: plain(sqrt),
  Exp: plain(exp),
  Log: plain(log),
  Abs: plain(abs),
  Sign: plain(sign),
  Floor: plain(floor),
  Erf: plain(erf),
  Softplus: plain(softplus),
  Pow: raised,
  Sum: plain((...terms) => terms.reduce((a, b) => add(a, b))),
  Max: plain((...terms) => terms.reduce((a, b) => maximum(a, b))),
  PRelu: plain((x, slope) => leakyRelu(x, slope)),
  Equal: plain(equal),
  Where: plain(where),
  MatMul: plain(product),
  Softmax: onFirst(alongAxis(softmax)),
  LogSoftmax: onFirst(alongAxis(logSoftmax)),
  GlobalMaxPool: onFirst((x) => maxPool2d(x, { kernel: [x.shape[2], x.shape[3]] })),
  ReduceMean: onFirst(reduced(mean)),
  ReduceSum: onFirst(reduced(sum)),
  HardSigmoid: onFirst((x, node) => hardSigmoid(x, node.float('alpha') ?? 0.2, node.float('beta') ?? 0.5)),
  HardSwish: plain((x) => mul(x, hardSigmoid(x, 1 / 6, 0.5))),
  Clip: clip,
  Cast: cast,
  Shape: shapeOf,
  ConstantOfShape: constantOfShape,
  Concat: (node) => (inputs) => applied(given(inputs), (...parts) => concat(parts, node.int('axis') ?? 0)),
  Transpose: onFirst((x, node) => permute(x, node.ints('perm') ?? [...x.shape.keys()].reverse())),
  Flatten: onFirst(flattened),
  Reshape: onFirst(reshaped),
  Squeeze: onFirst(squeezed),
  Unsqueeze: onFirst(unsqueezed),
  Expand: onFirst((x, node, inputs) =>
    expand(x, broadcastShapes(`import: ${node}`, x.shape, integersOf(inputs[1], node, 'shape'))),
  ),
  Slice: onFirst(sliced),
  Split: split,
  Gather: onFirst(gathered),
  Pad: onFirst(padded),
};
