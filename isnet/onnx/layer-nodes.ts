// How layers are written as ONNX nodes: those that are more than one op or have numbers of their own, so that a graph has one
// node per layer.
import type { LayerCall, Tensor } from '../../engine/tensor.ts';
import { LeakyReLU } from '../../nn/activations.ts';
import { BatchNorm2d } from '../../nn/batch-norm.ts';
import { ConvTranspose2d } from '../../nn/conv-transpose.ts';
import { GroupNorm, LayerNorm } from '../../nn/layer-norm.ts';
import { Conv2d, Flatten, Linear } from '../../nn/layers.ts';
import type { Layer } from '../../nn/module.ts';
import { Upsample } from '../../nn/upsample.ts';
import type { GraphWriter } from './graph-writer.ts';

/** A layer call to be written. */
export interface LayerToWrite {
  readonly writer: GraphWriter;
  readonly call: LayerCall;
  /** Name of the layer's input in the graph. */
  readonly input: string;
  /** The result. */
  readonly output: Tensor;
  /** Name of the layer in its model. */
  readonly name: string;
}

/** Adds the nodes of a call; returns the name of the result. */
type WriteLayer<L> = (layer: L, call: LayerToWrite) => string;

/** Names of parameters in the order of the node's inputs; those that the call has not are left out. */
const weights = ({ writer, call: { params } }: LayerToWrite, names: readonly string[]): string[] =>
  names.flatMap((name) => (params[name] ? [writer.weight(params[name])] : []));

/** [top, left, bottom, right] */
const bothSides = ([y, x]: readonly [number, number]): number[] => [y, x, y, x];

const conv: WriteLayer<Conv2d> = ({ attrs }, call) => {
  const { stride, padding, dilation, groups } = attrs;
  const attributes = {
    kernel_shape: call.call.params.weight.shape.slice(2),
    strides: stride,
    pads: bothSides(padding),
    dilations: dilation,
    group: groups,
  };
  return call.writer.node('Conv', [call.input, ...weights(call, ['weight', 'bias'])], attributes, call.name);
};

const convTranspose: WriteLayer<ConvTranspose2d> = ({ attrs, outputPadding }, call) => {
  const attributes = {
    kernel_shape: call.call.params.weight.shape.slice(2),
    strides: attrs.stride,
    pads: bothSides(attrs.padding),
    output_padding: outputPadding,
  };
  const inputs = [call.input, ...weights(call, ['weight', 'bias'])];
  return call.writer.node('ConvTranspose', inputs, attributes, call.name);
};

// Gemm takes matrices only. With more axes it is MatMul, whose weight the other way round a Transpose gives: runtimes do
// that once, when they load the file, and the weight keeps its name and shape.
const linear: WriteLayer<Linear> = (_, call) => {
  const { writer, input, name, output } = call;
  const [weight, ...bias] = weights(call, ['weight', 'bias']);
  if (output.shape.length === 2) {
    return writer.node('Gemm', [input, weight, ...bias], { transB: 1 }, name);
  }
  const turned = writer.node('Transpose', [weight], { perm: [1, 0] }, `${name}/Transpose`);
  if (bias.length === 0) return writer.node('MatMul', [input, turned], {}, name);
  const product = writer.node('MatMul', [input, turned], {}, `${name}/MatMul`);
  return writer.node('Add', [product, ...bias], {}, name);
};

// A node of its own and not folded into the layer before it: names stay, and runtimes fold it when they load the file.
const batchNorm: WriteLayer<BatchNorm2d> = ({ eps }, call) =>
  call.writer.node(
    'BatchNormalization',
    [call.input, ...weights(call, ['weight', 'bias', 'mean', 'variance'])],
    { epsilon: { float: eps } },
    call.name,
  );

const layerNorm: WriteLayer<LayerNorm> = ({ eps, weight }, call) =>
  call.writer.node(
    'LayerNormalization',
    [call.input, ...weights(call, ['weight', 'bias'])],
    { axis: -weight.shape.length, epsilon: { float: eps } },
    call.name,
  );

// There is no op for it before opset 18, and the one there is another. Each group as a channel, as PyTorch writes it.
const groupNorm: WriteLayer<GroupNorm> = ({ groups, eps }, call) => {
  const { writer, input, name, output } = call;
  const [weight, bias] = weights(call, ['weight', 'bias']);
  const [, channels, ...rest] = output.shape;
  const reshape = (x: string, shape: readonly number[]) =>
    writer.node('Reshape', [x, writer.ints(shape)], {}, `${name}/Reshape`);
  const perChannel = (t: string) => reshape(t, [channels, ...rest.map(() => 1)]);
  const neutral = [1, 0].map((value) => writer.reals([groups], new Array<number>(groups).fill(value)));
  const normalized = writer.node(
    'InstanceNormalization',
    [reshape(input, [0, groups, -1]), ...neutral],
    { epsilon: { float: eps } },
    `${name}/InstanceNormalization`,
  );
  const whole = reshape(normalized, [-1, channels, ...rest]);
  const scaled = writer.node('Mul', [whole, perChannel(weight)], {}, `${name}/Mul`);
  return writer.node('Add', [scaled, perChannel(bias)], {}, name);
};

const leakyRelu: WriteLayer<LeakyReLU> = ({ negativeSlope }, { writer, input, name }) =>
  writer.node('LeakyRelu', [input], { alpha: { float: negativeSlope } }, name);

const flatten: WriteLayer<Flatten> = (_, { writer, input, name }) =>
  writer.node('Flatten', [input], { axis: 1 }, name);

const upsample: WriteLayer<Upsample> = ({ scaleFactor: s }, { writer, input, name }) =>
  writer.node(
    'Resize',
    [input, '', writer.reals([4], [1, 1, s, s])],
    { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    name,
  );

// By class and not by its name, which a bundler may shorten.
const table: readonly (readonly [abstract new (...args: never) => Layer, WriteLayer<never>])[] = [
  [Conv2d, conv],
  [ConvTranspose2d, convTranspose],
  [Linear, linear],
  [BatchNorm2d, batchNorm],
  [LayerNorm, layerNorm],
  [GroupNorm, groupNorm],
  [LeakyReLU, leakyRelu],
  [Flatten, flatten],
  [Upsample, upsample],
];

/** How a layer is written as a whole; null for layers that are written op by op. */
export function layerWriter(layer: object): ((call: LayerToWrite) => string) | null {
  const write = table.find(([kind]) => layer instanceof kind)?.[1];
  return write ? (call) => write(layer as never, call) : null;
}
