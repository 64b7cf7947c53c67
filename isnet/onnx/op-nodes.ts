// How ops of the engine are written as ONNX nodes, opset 17: one row per op. What is no row is an error that names it.
import type { ConvAttrs } from '../../engine/ops/conv.ts';
import type { Pair } from '../../engine/ops/pair.ts';
import type { FixedWindow } from '../../engine/ops/pool-window.ts';
import type { Shape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { adaptiveMatrix } from './adaptive.ts';
import { type Size, sizesOf, type Twin } from './forward-graph.ts';
import type { GraphWriter } from './graph-writer.ts';

/** An op to be written. */
export interface OpToWrite {
  readonly writer: GraphWriter;
  /** The result, for both batches. */
  readonly twin: Twin;
  /** The op's inputs, and their names in the graph. */
  readonly inputs: readonly Twin[];
  readonly names: readonly string[];
  /** What the result is to be called. */
  readonly name: string;
}

interface OpRow {
  /** Adds the nodes; returns the name of the result. */
  readonly write: (op: OpToWrite) => string;
  /** How many of the op's inputs the nodes take, if not all. */
  readonly inputCount?: number;
}

const attrsOf = <T>(t: Tensor): T => t.origin?.attrs as T;
const isFixed = (size: Size): size is number => typeof size === 'number';
const isSame = (a: Size, b: Size): boolean =>
  isFixed(a) || isFixed(b) ? a === b : a.perSample === b.perSample;

/** An op that ONNX has under another name. */
const same = (onnxOp: string): OpRow => ({
  write: ({ writer, names, name }) => writer.node(onnxOp, names, {}, name),
});

/** Several nodes in a row; `add` names those before the last after it. */
const chain = (
  write: (op: OpToWrite, add: (onnxOp: string, inputs: readonly string[]) => string) => string,
): OpRow => ({
  write: (op) => write(op, (onnxOp, inputs) => op.writer.node(onnxOp, inputs, {}, `${op.name}/${onnxOp}`)),
});

const scalar = (writer: GraphWriter, value: number): string => writer.reals([], [value]);

// Gelu is an op of its own only from opset 20 on. Runtimes know these five nodes, which are PyTorch's, and join them.
const gelu = chain(({ writer, names: [x], name }, add) => {
  const shifted = add('Add', [add('Erf', [add('Div', [x, scalar(writer, Math.SQRT2)])]), scalar(writer, 1)]);
  return writer.node('Mul', [add('Mul', [x, shifted]), scalar(writer, 0.5)], {}, name);
});

const silu = chain(({ writer, names: [x], name }, add) =>
  writer.node('Mul', [x, add('Sigmoid', [x])], {}, name),
);

const onePlusLog = chain(({ writer, names: [x], name }, add) =>
  writer.node('Log', [add('Add', [x, scalar(writer, 1)])], {}, name),
);

// What ONNX calls greater is a truth, and a number only after a second node, too.
const step = chain(({ writer, names: [x], name }, add) => writer.node('Relu', [add('Sign', [x])], {}, name));

const square: OpRow = { write: ({ writer, names: [x], name }) => writer.node('Mul', [x, x], {}, name) };

const matmul: OpRow = {
  write({ writer, twin: [t], inputs, names, name }) {
    const { transposeA, transposeB } = attrsOf<{ transposeA: boolean; transposeB: boolean }>(t);
    const operands = [transposeA, transposeB].map((isTransposed, i) => {
      if (!isTransposed) return names[i];
      const perm = inputs[i][0].shape.length === 3 ? [0, 2, 1] : [1, 0];
      return writer.node('Transpose', [names[i]], { perm }, `${name}/Transpose`);
    });
    return writer.node('MatMul', operands, {}, name);
  },
};

const conv: OpRow = {
  write({ writer, twin: [t], inputs: [, [w]], names, name }) {
    const { stride, padding, dilation, groups } = attrsOf<ConvAttrs>(t);
    const attributes = {
      kernel_shape: w.shape.slice(2),
      strides: stride,
      pads: [...padding, ...padding],
      dilations: dilation,
      group: groups,
    };
    return writer.node('Conv', names, attributes, name);
  },
};

const windowAttributes = ({ kernel, stride, padding }: FixedWindow) => ({
  kernel_shape: kernel,
  strides: stride,
  pads: [...padding, ...padding],
});

const maxPool: OpRow = {
  inputCount: 1,
  write: ({ writer, twin: [t], names, name }) =>
    writer.node('MaxPool', names, windowAttributes(attrsOf(t)), name),
};

const averagePool: OpRow = {
  write({ writer, twin: [t], inputs: [[x]], names, name }) {
    const attrs = attrsOf<(FixedWindow & { isPadCounted: boolean }) | { output: Pair }>(t);
    if ('output' in attrs)
      return adaptivePool(writer, [x.shape[2], x.shape[3]], attrs.output, names[0], name);
    const attributes = { ...windowAttributes(attrs), count_include_pad: attrs.isPadCounted ? 1 : 0 };
    return writer.node('AveragePool', names, attributes, name);
  },
};

/** Even windows are an ordinary pool. Others are two products with matrices of means:  A_h x A_w^T. */
function adaptivePool(writer: GraphWriter, [h, w]: Pair, [oh, ow]: Pair, x: string, name: string): string {
  if (oh === 1 && ow === 1) return writer.node('GlobalAveragePool', [x], {}, name);
  if (h % oh === 0 && w % ow === 0) {
    const kernel = [h / oh, w / ow];
    return writer.node('AveragePool', [x], { kernel_shape: kernel, strides: kernel }, name);
  }
  const [rows, columns] = [adaptiveMatrix(h, oh), adaptiveMatrix(w, ow)];
  const left = writer.reals([oh, h], rows.flat());
  const right = writer.reals(
    [w, ow],
    Array.from({ length: w }, (_, i) => columns.map((row) => row[i])).flat(),
  );
  const means = writer.node('MatMul', [left, x], {}, `${name}/MatMul`);
  return writer.node('MatMul', [means, right], {}, name);
}

const reshape: OpRow = {
  write({ writer, twin, inputs: [x], names, name }) {
    const sizes = sizesOf(twin);
    const from = sizesOf(x);
    const isFlat = sizes.length === 2 && !isFixed(sizes[0]) && from.length > 2 && isSame(sizes[0], from[0]);
    if (isFlat) return writer.node('Flatten', names, { axis: 1 }, name);
    // At most one axis grows with the batch: two would make the number of elements grow with its square.
    const shape = sizes.map((size) => (isFixed(size) ? size : -1));
    return writer.node('Reshape', [...names, writer.ints(shape)], {}, name);
  },
};

const expand: OpRow = {
  write({ writer, twin, inputs: [x], names, name }) {
    const sizes = sizesOf(twin);
    const lead = sizes.length - x[0].shape.length;
    const from = sizesOf(x);
    // 1 leaves an axis as it is.
    const wanted = sizes.map(
      (size, axis): Size => (from[axis - lead] && isSame(size, from[axis - lead]) ? 1 : size),
    );
    const parts = wanted.map((size) =>
      isFixed(size) ? writer.ints([size]) : batches(writer, size.perSample),
    );
    const shape = wanted.every(isFixed)
      ? writer.ints(wanted)
      : writer.node('Concat', parts, { axis: 0 }, `${name}/shape`);
    return writer.node('Expand', [...names, shape], {}, name);
  },
};

/** The list of one size that is a multiple of the batch. */
const batches = (writer: GraphWriter, perSample: number): string =>
  perSample === 1 ? writer.batchSize() : writer.node('Mul', [writer.batchSize(), writer.ints([perSample])]);

interface Box {
  readonly starts: readonly number[];
  readonly shape: Shape;
}

/** Axes along which a box is not the whole. */
function cutAxes(box: Size[], whole: Size[]): number[] {
  return box.flatMap((size, axis) => (isSame(size, whole[axis]) ? [] : [axis]));
}

const slice: OpRow = {
  write({ writer, twin, inputs: [x], names, name }) {
    const { starts, shape } = attrsOf<Box>(twin[0]);
    const axes = cutAxes(sizesOf(twin), sizesOf(x));
    const list = (of: (axis: number) => number) => writer.ints(axes.map(of));
    const bounds = [list((axis) => starts[axis]), list((axis) => starts[axis] + shape[axis])];
    return writer.node('Slice', [...names, ...bounds, writer.ints(axes)], {}, name);
  },
};

const pad: OpRow = {
  write({ writer, twin, inputs: [[x]], names, name }) {
    const { starts, shape } = attrsOf<Box>(twin[0]);
    const ends = shape.map((size, axis) => size - starts[axis] - x.shape[axis]);
    return writer.node('Pad', [...names, writer.ints([...starts, ...ends])], {}, name);
  },
};

const sum = (writer: GraphWriter, x: string, axes: readonly number[], name: string): string =>
  writer.node('ReduceSum', [x, writer.ints(axes)], { keepdims: 0 }, name);

const axesOf = (t: Tensor): readonly number[] => attrsOf<{ axes: readonly number[] }>(t).axes;
const axisAttribute = (t: Tensor): { axis: number } => ({ axis: attrsOf<{ axis: number }>(t).axis });

/** A row for an op with an axis. */
const alongAxis = (onnxOp: string): OpRow => ({
  write: ({ writer, twin: [t], names, name }) => writer.node(onnxOp, names, axisAttribute(t), name),
});

const rows: Readonly<Record<string, OpRow>> = {
  add: same('Add'),
  sub: same('Sub'),
  mul: same('Mul'),
  div: same('Div'),
  neg: same('Neg'),
  sqrt: same('Sqrt'),
  exp: same('Exp'),
  log: same('Log'),
  abs: same('Abs'),
  sign: same('Sign'),
  step,
  floor: same('Floor'),
  power: same('Pow'),
  maximum: same('Max'),
  square,
  log1p: onePlusLog,
  relu: same('Relu'),
  // Of code that calls the op: the slope may be a tensor, which LeakyRelu does not take. Layers are in layer-nodes.ts.
  leakyRelu: same('PRelu'),
  sigmoid: same('Sigmoid'),
  softplus: same('Softplus'),
  tanh: same('Tanh'),
  erf: same('Erf'),
  gelu,
  silu,
  softmax: alongAxis('Softmax'),
  logSoftmax: alongAxis('LogSoftmax'),
  matmul,
  conv2d: conv,
  poolGather: maxPool,
  avgPool: averagePool,
  reduceSum: { write: ({ writer, twin: [t], names: [x], name }) => sum(writer, x, axesOf(t), name) },
  sumProduct: chain(({ writer, twin: [t], names, name }, add) =>
    sum(writer, add('Mul', names), axesOf(t), name),
  ),
  concat: alongAxis('Concat'),
  permute: {
    write: ({ writer, twin: [t], names, name }) =>
      writer.node('Transpose', names, { perm: attrsOf<{ order: readonly number[] }>(t).order }, name),
  },
  reshape,
  expand,
  slice,
  pad,
};

/** How an op is written, or null if it is not. */
export const opRow = (name: string): OpRow | null => (Object.hasOwn(rows, name) ? rows[name] : null);
