// Which products of matrices the three directions of conv2d are.
import {
  type AdapterProfile,
  type ConvDirection,
  type ConvGeometry,
  type KernelPlan,
  MOST_TEMP_ELEMENTS,
} from '../dispatch.ts';
import { FOUR_NEIGHBOURS, type Product, plainLines, type RunLayout, runsOfB } from './gemm-product.ts';
import { planGemm } from './gemm-variants.ts';
import { spanOf } from './span.ts';

/** One direction of conv2d by a product of matrices; see `planConv2d`. */
export function planConvProduct(
  direction: ConvDirection,
  g: ConvGeometry,
  adapter: AdapterProfile,
): KernelPlan {
  if (direction === 'weight') return planGemm(weightGradient(g), adapter);
  if (direction === 'forward') return planGemm(forward(g), adapter);
  return planGemm(isDense(g) ? denseInputGradient(g) : stridedInputGradient(g), adapter);
}

/** Whether an output pixel lies on each place of the window. */
export const isDense = ({ stride }: ConvGeometry): boolean => stride[0] * stride[1] === 1;

/** Where a map [N, channels, pixels] has its columns (image, pixel): one product per group, a row per channel. */
function mapLayout(g: ConvGeometry, channels: number, pixels: number): RunLayout {
  const batch = (channels / g.groups) * pixels;
  return { start: 0, batch, line: pixels, run: pixels, runStride: channels * pixels, step: 1 };
}

const tapsOf = ({ kernel }: ConvGeometry): number => kernel[0] * kernel[1];

const common = { a: { input: 1 }, b: { input: 0 }, out: 'output', firstTemp: 0 } as const;

/** A row of A is a filter, a column of B the window of an output pixel. */
function forward(g: ConvGeometry): Product {
  const terms = (g.C / g.groups) * tapsOf(g);
  return windows(g, plainLines(terms, { batch: (g.O / g.groups) * terms, line: terms, step: 1 }));
}

/** The convolution of dy that gives dx, with filters turned by 180 degrees whose channel axes are swapped; for stride 1. */
export function turned(g: ConvGeometry): ConvGeometry {
  const reach = (axis: number) => g.dilation[axis] * (g.kernel[axis] - 1) - g.padding[axis];
  const sizes = { C: g.O, H: g.OH, W: g.OW, O: g.C, OH: g.H, OW: g.W };
  return { ...g, ...sizes, padding: [reach(0), reach(1)] };
}

/** The input gradient at stride 1. */
function denseInputGradient(g: ConvGeometry): Product {
  const taps = tapsOf(g);
  const runStride = (g.C / g.groups) * taps;
  const batch = (g.O / g.groups) * runStride;
  const convolution = turned(g);
  if (taps === 1) {
    return windows(convolution, plainLines(g.O / g.groups, { batch, line: 1, step: runStride }));
  }
  return windows(convolution, { start: taps - 1, batch, line: taps, run: taps, runStride, step: -1 });
}

/** One product per group, over all images. */
function windows(g: ConvGeometry, aLayout: RunLayout): Product {
  const columns = g.N * g.OH * g.OW;
  const terms = (g.C / g.groups) * tapsOf(g);
  const general = {
    operandsShader: 'operands_conv2d',
    fourColumns: hasNeighbours(g) ? FOUR_NEIGHBOURS : undefined,
    params: { channels: g.C, ...convWindowParams(g) },
  } as const;
  return {
    ...common,
    ...(isPointwise(g) ? runsOfB(mapLayout(g, g.C, g.H * g.W), g.groups, terms, columns) : general),
    batches: g.groups,
    rows: g.O / g.groups,
    columns,
    terms,
    aLayout,
    outLayout: mapLayout(g, g.O, g.OH * g.OW),
  };
}

/** Whether output pixels 4 i to 4 i + 3 see windows beside each other, and a window's taps pixels beside each other. */
const hasNeighbours = ({ OW, stride, dilation }: ConvGeometry): boolean =>
  OW % 4 === 0 && stride[1] === 1 && dilation[1] === 1;

/** Whether each output pixel meets one input pixel, the one at its place. */
const isPointwise = (g: ConvGeometry): boolean =>
  tapsOf(g) * g.stride[0] * g.stride[1] === 1 && g.padding[0] === 0 && g.padding[1] === 0;

/** Rows are output channels, columns (channel, tap), and the sum goes over all output pixels. */
function weightGradient(g: ConvGeometry): Product {
  const pixels = g.OH * g.OW;
  const [rows, columns] = [g.O / g.groups, (g.C / g.groups) * tapsOf(g)];
  return {
    ...common,
    operandsShader: 'operands_conv2d_weight',
    params: { channels: g.C, ...convWindowParams(g) },
    batches: g.groups,
    rows,
    columns,
    terms: g.N * pixels,
    aLayout: mapLayout(g, g.O, pixels),
    outLayout: plainLines(columns, { batch: rows * columns, line: columns, step: 1 }),
  };
}

/** The input gradient at any stride, in one product: most of its terms are zeros when the stride is large. */
function stridedInputGradient(g: ConvGeometry): Product {
  const taps = tapsOf(g);
  const [O, C] = [g.O / g.groups, g.C / g.groups];
  return {
    ...common,
    operandsShader: 'operands_conv2d_input',
    params: { out_channels: g.O, ...convWindowParams(g) },
    batches: g.groups,
    rows: C,
    columns: g.N * g.H * g.W,
    terms: O * taps,
    aLayout: { start: 0, batch: O * C * taps, line: taps, run: taps, runStride: C * taps, step: 1 },
    outLayout: mapLayout(g, g.C, g.H * g.W),
  };
}

/** Params of the kernels about one plane, its output plane and the window between them. */
export const convWindowParams = (g: ConvGeometry): Record<string, number> => ({
  height: g.H,
  width: g.W,
  out_height: g.OH,
  out_width: g.OW,
  kernel_h: g.kernel[0],
  kernel_w: g.kernel[1],
  stride_y: g.stride[0],
  stride_x: g.stride[1],
  padding_y: g.padding[0],
  padding_x: g.padding[1],
  dilation_y: g.dilation[0],
  dilation_x: g.dilation[1],
});

/** Output pixels of all images, filled up to whole vec4s: the taps of one row. */
const tapColumns = (g: ConvGeometry): number => Math.ceil((g.N * g.OH * g.OW) / 4) * 4;

/** Fewer rows do not make up for loading the windows of dy, with this many output channels per input channel or more. */
const FEW_CHANNELS = 8;
const LEAST_CHANNEL_RATIO = 4;

/** Whether an input gradient can go by taps, whose buffer the adapter must be able to bind. */
export const canGoByTaps = (g: ConvGeometry): boolean =>
  hasTapsOfPhases(g) && tapCount(g) <= MOST_TEMP_ELEMENTS;

/** With a stride most taps of a pixel fall between output pixels, and one product would multiply by those zeros. */
export function isCheaperByTaps(g: ConvGeometry): boolean {
  const isFlat = g.C / g.groups < FEW_CHANNELS && g.O >= LEAST_CHANNEL_RATIO * g.C;
  return isDense(g) ? isFlat && tapsOf(g) > 1 : true;
}

/** Whether stride or dilation is 1 along each axis, which those who go from tap to tap of one remainder rely on. */
export const hasTapsOfPhases = ({ stride, dilation }: ConvGeometry): boolean =>
  stride.every((size, axis) => size === 1 || dilation[axis] === 1);

/** Elements of the buffer that holds one value per output pixel, input channel and tap. */
const tapCount = (g: ConvGeometry): number => g.C * tapsOf(g) * tapColumns(g);

/** How many items a kernel shares out, and the params that tell what they are. */
export interface Items {
  readonly count: number;
  readonly params: Readonly<Record<string, number>>;
}

/** Items of an input gradient: four pixels for each remainder of x by the stride, lines in the order of their remainders. */
export function pixelItems({ N, C, H, W, stride }: ConvGeometry): Items {
  const [row_items, phase_rows] = [Math.ceil(W / (4 * stride[1])), Math.ceil(H / stride[0])];
  return { count: N * C * stride[0] * phase_rows * row_items, params: { row_items, phase_rows } };
}

/**
 * The input gradient in two steps: taps = w^T dy, a product over output channels alone; then each pixel gathers its
 * taps.
 */
export function planInputByTaps(g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  const [O, C] = [g.O / g.groups, g.C / g.groups];
  const [rows, line] = [C * tapsOf(g), tapColumns(g)];
  const pointwiseWindow = { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1] } as const;
  const dy = { ...g, ...pointwiseWindow, C: g.O, H: g.OH, W: g.OW };
  const aLayout = plainLines(O, { batch: O * rows, line: 1, step: rows });
  const product = planGemm(
    {
      ...windows(dy, aLayout),
      rows,
      out: { temp: 0 },
      outLayout: plainLines(g.N * g.OH * g.OW, { batch: rows * line, line, step: 1 }),
      firstTemp: 1,
    },
    adapter,
  );
  const items = pixelItems(g);
  const { prelude, params, workgroups } = spanOf(items.count, adapter);
  const gather = {
    shader: 'col2im' as const,
    prelude,
    params: { ...params, ...items.params, channels: g.C, taps_row: line, ...convWindowParams(g) },
    operands: [{ temp: 0 }, 'output'] as const,
    workgroups,
  };
  return { steps: [...product.steps, gather], temps: [tapCount(g), ...(product.temps ?? [])] };
}
