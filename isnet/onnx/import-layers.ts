// Nodes that are layers of nn, made so that relevance sees the calls that it has rules for.
import { ShapeError } from '../../engine/errors.ts';
import { avgPool2d } from '../../engine/ops/avg-pool.ts';
import { expand, reshape } from '../../engine/ops/broadcast.ts';
import { concat, pad, slice } from '../../engine/ops/layout.ts';
import type { Pair } from '../../engine/ops/pair.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { GELU, LeakyReLU, Sigmoid, SiLU, Tanh } from '../../nn/activations.ts';
import { BatchNorm2d } from '../../nn/batch-norm.ts';
import { ConvTranspose2d } from '../../nn/conv-transpose.ts';
import { GroupNorm, LayerNorm } from '../../nn/layer-norm.ts';
import { AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, Flatten, MaxPool2d, ReLU } from '../../nn/layers.ts';
import type { Init, Module } from '../../nn/module.ts';
import { Upsample } from '../../nn/upsample.ts';
import { linear } from '../../nn/wide-linear.ts';
import type { OnnxNode } from './graph-reader.ts';
import type { Numbers } from './numbers.ts';

/** A module to be made for a node: what builds it, and its parameters under the names of its state. */
export interface LayerPlan {
  readonly make: (init: Init) => Module;
  readonly parameters?: Readonly<Record<string, Parameter>>;
  /** How the module is called, where that is not all. */
  readonly run?: (x: Tensor, layer: Module) => Tensor;
}

/** Numbers of a parameter. Its name is the file's if they are as the file has them. */
export interface Parameter {
  readonly numbers: Numbers;
  readonly name?: string;
}

/** What plans ask for: numbers of a node's inputs, by their place. */
export interface Constants {
  /** Throws CheckpointError if they depend on the image. */
  given(node: OnnxNode, index: number): Parameter;
  /** Undefined where the input is left out. */
  optional(node: OnnxNode, index: number): Parameter | undefined;
}

/** The layer of a node; null where its inputs make it no layer but an op. */
type PlanLayer = (node: OnnxNode, constants: Constants) => LayerPlan | null;

const pairOf = (list: readonly number[] | undefined, fallback: number): Pair => [
  list?.[0] ?? fallback,
  list?.[1] ?? fallback,
];

/** `bias` only where there is one. */
const withBias = (weight: Parameter, bias: Parameter | undefined): Record<string, Parameter> =>
  bias ? { weight, bias } : { weight };

interface Padding {
  /** The layer's own, if it is the same on both sides. */
  readonly own: Pair;
  /** Zeros around the image before the layer, where the layer cannot. */
  readonly before: ((x: Tensor) => Tensor) | null;
}

/** Zeros on the sides [top, left, bottom, right]. */
function padSides(x: Tensor, [top, left, bottom, right]: readonly number[]): Tensor {
  const [N, C, H, W] = x.shape;
  return pad(x, [0, 0, top, left], [N, C, H + top + bottom, W + left + right]);
}

function paddingOf(node: OnnxNode, kernel: Pair, stride: Pair, dilation: Pair): Padding {
  const mode = node.text('auto_pad') ?? 'NOTSET';
  if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
    const before = (x: Tensor): Tensor => {
      const totals = [0, 1].map((axis) => {
        const size = x.shape[2 + axis];
        const covered =
          (Math.ceil(size / stride[axis]) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        return Math.max(0, covered - size);
      });
      const less = totals.map((n) => Math.floor(n / 2));
      const more = totals.map((n, axis) => n - less[axis]);
      return padSides(x, mode === 'SAME_UPPER' ? [...less, ...more] : [...more, ...less]);
    };
    return { own: [0, 0], before };
  }
  const [top = 0, left = 0, bottom = top, right = left] = (mode === 'NOTSET' && node.ints('pads')) || [];
  if (top === bottom && left === right) return { own: [top, left], before: null };
  return { own: [0, 0], before: (x) => padSides(x, [top, left, bottom, right]) };
}

const conv: PlanLayer = (node, constants) => {
  const weight = constants.given(node, 1);
  const { shape } = weight.numbers;
  if (shape.length !== 4)
    node.fail(`has the kernel ${formatShape(shape)}`, 'only 2D convolutions can be imported');
  const [outputs, perGroup, ...kernel] = shape;
  const bias = constants.optional(node, 2);
  const groups = node.int('group') ?? 1;
  const [stride, dilation] = [pairOf(node.ints('strides'), 1), pairOf(node.ints('dilations'), 1)];
  const { own: padding, before } = paddingOf(node, pairOf(kernel, 1), stride, dilation);
  const options = { stride, padding, dilation, groups, bias: bias !== undefined };
  return {
    make: (init) => new Conv2d(init, perGroup * groups, outputs, pairOf(kernel, 1), options),
    parameters: withBias(weight, bias),
    run: before ? (x, layer) => layer.forward(before(x)) : undefined,
  };
};

const convTranspose: PlanLayer = (node, constants) => {
  const weight = constants.given(node, 1);
  const [inputs, outputs, ...kernel] = weight.numbers.shape;
  const bias = constants.optional(node, 2);
  const [stride, dilation] = [pairOf(node.ints('strides'), 1), pairOf(node.ints('dilations'), 1)];
  const { own: padding, before } = paddingOf(node, pairOf(kernel, 1), stride, dilation);
  const isPlain = kernel.length === 2 && (node.int('group') ?? 1) === 1 && Math.max(...dilation) === 1;
  if (!isPlain || before || node.ints('output_shape')?.length) {
    node.fail('has groups, dilation, uneven padding or a fixed output', 'only plain 2D ones can be imported');
  }
  const outputPadding = pairOf(node.ints('output_padding'), 0);
  const options = { stride, padding, outputPadding, bias: bias !== undefined };
  return {
    make: (init) => new ConvTranspose2d(init, inputs, outputs, pairOf(kernel, 1), options),
    parameters: withBias(weight, bias),
  };
};

/** [columns, rows] of the transpose. */
function transposed({ shape: [rows, columns], data }: Numbers): Numbers {
  const turned = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) turned[c * rows + r] = data[r * columns + c];
  return { shape: [columns, rows], data: turned, isInteger: false };
}

/** The same numbers times a factor, which has no name if it changes them. */
function scaled({ numbers, name }: Parameter, factor: number): Parameter {
  if (factor === 1) return { numbers, name };
  return { numbers: { ...numbers, data: Float32Array.from(numbers.data, (value) => value * factor) } };
}

/** y = alpha x W^T + beta b */
const gemm: PlanLayer = (node, constants) => {
  if (node.int('transA')) node.fail('transposes its input', 'only layers x W^T + b can be imported');
  const stored = constants.given(node, 1);
  const isTurned = (node.int('transB') ?? 0) !== 0;
  const weight = scaled(
    isTurned ? stored : { numbers: transposed(stored.numbers) },
    node.float('alpha') ?? 1,
  );
  const [outputs, inputs] = weight.numbers.shape;
  const bias = constants.optional(node, 2);
  if (bias && bias.numbers.data.length !== outputs) {
    node.fail(
      `adds ${formatShape(bias.numbers.shape)} to ${outputs} outputs`,
      'export it with one bias per output',
    );
  }
  const flat =
    bias && scaled({ ...bias, numbers: { ...bias.numbers, shape: [outputs] } }, node.float('beta') ?? 1);
  return {
    make: (init) => linear(init, inputs, outputs, { bias: bias !== undefined }),
    parameters: withBias(weight, flat),
  };
};

const batchNorm: PlanLayer = (node, constants) => {
  const names = ['weight', 'bias', 'running_mean', 'running_var'];
  const parameters = Object.fromEntries(names.map((name, i) => [name, constants.given(node, i + 1)]));
  const [channels] = parameters.weight.numbers.shape;
  return {
    make: (init) => new BatchNorm2d(init, channels, { eps: node.float('epsilon') ?? 1e-5 }),
    parameters,
    run: (x, layer) => {
      if (x.shape.length === 4) return layer.forward(x);
      // Of any rank: channels are the second axis.
      const planes = reshape(x, [x.shape[0], channels, -1, 1]);
      return reshape(layer.forward(planes), x.shape);
    },
  };
};

const layerNorm: PlanLayer = (node, constants) => {
  const [weight, bias] = [constants.given(node, 1), constants.optional(node, 2)];
  const { shape } = weight.numbers;
  const axis = node.int('axis') ?? -1;
  if (axis < 0 && axis !== -shape.length)
    node.fail(`has axis ${axis} for ${formatShape(shape)}`, 'export it again');
  const options = { eps: node.float('epsilon') ?? 1e-5, bias: bias !== undefined };
  return { make: (init) => new LayerNorm(init, shape, options), parameters: withBias(weight, bias) };
};

/** InstanceNormalization is one group per channel. */
const groupNorm: PlanLayer = (node, constants) => {
  const perChannel = ({ numbers, name }: Parameter): Parameter => ({
    numbers: { ...numbers, shape: [numbers.data.length] },
    name,
  });
  const parameters = {
    weight: perChannel(constants.given(node, 1)),
    bias: perChannel(constants.given(node, 2)),
  };
  const [channels] = parameters.weight.numbers.shape;
  const groups = node.int('num_groups') ?? channels;
  const eps = node.float('epsilon') ?? 1e-5;
  return { make: (init) => new GroupNorm(init, groups, channels, { eps }), parameters };
};

interface Window {
  readonly kernel: Pair;
  readonly options: { readonly stride: Pair; readonly padding: Pair };
  /** Zeros around the image. */
  readonly before: ((x: Tensor) => Tensor) | null;
  /** Rows and columns by which the last windows stick out of an image, where the file keeps such windows. */
  readonly overhang: (x: Tensor) => Pair;
}

function windowOf(node: OnnxNode): Window {
  const kernel = pairOf(node.ints('kernel_shape'), 1);
  const stride = pairOf(node.ints('strides'), 1);
  const dilation = pairOf(node.ints('dilations'), 1);
  if (Math.max(...dilation) > 1) {
    node.fail(`has dilation [${dilation}]`, 'only windows in one piece can be imported');
  }
  const { own: padding, before } = paddingOf(node, kernel, stride, dilation);
  const overhang = (x: Tensor): Pair => {
    const along = (axis: 0 | 1): number => {
      const room = x.shape[2 + axis] + 2 * padding[axis] - kernel[axis];
      const start = Math.ceil(room / stride[axis]) * stride[axis];
      // A window that would begin behind the image is none.
      return node.int('ceil_mode') && start - padding[axis] < x.shape[2 + axis] ? start - room : 0;
    };
    return [along(0), along(1)];
  };
  return { kernel, options: { stride, padding }, before, overhang };
}

/** The last pixels of an axis repeated: no maximum changes by that, since a window that sees copies sees the original. */
function withLast(x: Tensor, axis: 2 | 3, count: number): Tensor {
  if (count === 0) return x;
  const starts = x.shape.map((size, i) => (i === axis ? size - 1 : 0));
  const last = slice(x, starts, x.shape.with(axis, 1));
  return concat([x, expand(last, x.shape.with(axis, count))], axis);
}

const maxPool: PlanLayer = (node) => {
  const { kernel, options, before, overhang } = windowOf(node);
  if (before) node.fail('pads unevenly', 'only the same padding on both sides can be imported');
  return {
    make: () => new MaxPool2d(kernel, options),
    run(x, layer) {
      const [rows, columns] = overhang(x);
      return layer.forward(withLast(withLast(x, 2, rows), 3, columns));
    },
  };
};

const averagePool: PlanLayer = (node) => {
  const { kernel, options, before, overhang } = windowOf(node);
  const countIncludePad = (node.int('count_include_pad') ?? 0) !== 0;
  const isPadded = Math.max(...options.padding) > 0;
  if (before && !countIncludePad)
    node.fail('pads unevenly', 'only the same padding on both sides can be imported');
  return {
    make: () => new AvgPool2d(kernel, options),
    run: (x, layer) => {
      if (Math.max(...overhang(x)) > 0) {
        node.fail(`has windows that stick out of ${formatShape(x.shape)}`, 'export it with ceil_mode=False');
      }
      if (isPadded && !countIncludePad) return avgPool2d(x, { kernel, ...options, countIncludePad });
      return layer.forward(before ? before(x) : x);
    },
  };
};

/** Copies of pixels by a whole factor. */
const resize: PlanLayer = (node, constants) => {
  const scales = node.floats('scales')?.length
    ? node.floats('scales')
    : constants.optional(node, node.inputs.length > 2 ? 2 : 1)?.numbers.data;
  const [n, c, factor, width] = scales ? Array.from(scales) : [];
  const isWhole = n === 1 && c === 1 && factor === width && Number.isInteger(factor) && factor >= 1;
  if (!isWhole || (node.text('mode') ?? 'nearest') !== 'nearest') {
    node.fail(
      `resizes by [${scales ? Array.from(scales) : '?'}] in mode '${node.text('mode')}'`,
      "only mode 'nearest' by a fixed whole factor can be imported",
    );
  }
  return { make: () => new Upsample(factor) };
};

const of =
  (make: (init: Init, node: OnnxNode) => Module): PlanLayer =>
  (node) => ({ make: (init) => make(init, node) });

const flatten: PlanLayer = (node) => ((node.int('axis') ?? 1) === 1 ? { make: () => new Flatten() } : null);

const gelu: PlanLayer = (node) => {
  const mode = node.text('approximate') ?? 'none';
  if (mode !== 'none') node.fail(`approximates by '${mode}'`, "export it with approximate='none'");
  return { make: () => new GELU() };
};

const dropout: PlanLayer = (node, constants) => {
  const p = node.float('ratio') ?? constants.optional(node, 1)?.numbers.data[0] ?? 0.5;
  return { make: (init) => new Dropout(init, p) };
};

const plans: Readonly<Record<string, PlanLayer>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  BatchNormalization: batchNorm,
  LayerNormalization: layerNorm,
  GroupNormalization: groupNorm,
  InstanceNormalization: groupNorm,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: of(() => new AdaptiveAvgPool2d(1)),
  AdaptiveAveragePool: of((_, node) => new AdaptiveAvgPool2d(pairOf(node.ints('size'), 1))),
  Relu: of(() => new ReLU()),
  LeakyRelu: of((_, node) => new LeakyReLU(node.float('alpha') ?? 0.01)),
  Sigmoid: of(() => new Sigmoid()),
  Tanh: of(() => new Tanh()),
  Gelu: gelu,
  Silu: of(() => new SiLU()),
  Dropout: dropout,
  Flatten: flatten,
  Resize: resize,
  Upsample: resize,
};

/** The layer that a node is; null if it is none. Throws CheckpointError for one that cannot be imported. */
export function layerPlan(node: OnnxNode, constants: Constants): LayerPlan | null {
  return Object.hasOwn(plans, node.op) ? plans[node.op](node, constants) : null;
}

/** Throws ShapeError unless x fits the sizes that the file states; the batch may be any. */
export function checkInput(x: Tensor, sizes: readonly (number | null)[]): void {
  const fits =
    sizes.length === 0 ||
    (x.shape.length === sizes.length &&
      sizes.every((n, axis) => axis === 0 || n === null || n === x.shape[axis]));
  if (fits) return;
  const stated = sizes.map((n, axis) => (axis === 0 ? 'N' : (n ?? 'any'))).join(', ');
  throw new ShapeError(
    `OnnxModel: the input is ${formatShape(x.shape)} and the file takes [${stated}]; resize the images`,
  );
}
