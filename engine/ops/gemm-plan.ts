// Which product of matrices an op is: matmul and the three directions of conv2d, one kernel family for all.
import type { ShaderName } from '../../shaders/catalogue.ts';
import type { AdapterProfile, KernelPlan } from '../dispatch.ts';
import { planGemm } from './gemm-variants.ts';
import { spanOf } from './span.ts';

/** Sizes of a batched product C[z] = A[z] B[z] and the strides of A and B in elements. C [batch, M, N] is contiguous. */
interface MatmulGeometry {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly aBatchStride: number;
  readonly aRowStride: number;
  readonly aColStride: number;
  readonly bBatchStride: number;
  readonly bRowStride: number;
  readonly bColStride: number;
}

/** Sizes of a convolution x [N, C, H, W], w [O, C/groups, kernel] -> y [N, O, OH, OW]; pairs are (y, x). */
export interface ConvGeometry {
  readonly N: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly O: number;
  readonly OH: number;
  readonly OW: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

type ConvDirection = 'forward' | 'input' | 'weight';

/** C[z] = A[z] B[z]; inputs: A, B. */
export function planMatmul(g: MatmulGeometry, adapter: AdapterProfile): KernelPlan {
  const a = { batch: g.aBatchStride, outer: g.aRowStride, term: g.aColStride, size: g.M, outStride: g.N };
  const b = { batch: g.bBatchStride, outer: g.bColStride, term: g.bRowStride, size: g.N, outStride: 1 };
  // Kernels work on blocks of columns: the longer side takes that place, or a product with 10 columns computes 16.
  const isSwapped = g.M > g.N;
  const [rows, columns] = isSwapped ? [b, a] : [a, b];
  return planGemm(
    {
      operandsShader: 'operands_matmul',
      operands: isSwapped ? [{ input: 1 }, { input: 0 }] : [{ input: 0 }, { input: 1 }],
      batches: g.batch,
      rows: rows.size,
      columns: columns.size,
      terms: g.K,
      params: {
        a_batch_stride: rows.batch,
        a_row_stride: rows.outer,
        a_term_stride: rows.term,
        b_batch_stride: columns.batch,
        b_term_stride: columns.term,
        b_column_stride: columns.outer,
        out_row_stride: rows.outStride,
        out_column_stride: columns.outStride,
      },
    },
    adapter,
  );
}

/**
 * One direction of conv2d. The output and the inputs, in order:
 *   forward  y [N, O, OH, OW] of x, w      input  dx [N, C, H, W] of dy, w      weight  dw [O, C/groups, kernel] of x, dy
 */
export function planConv2d(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  if (direction === 'input' && isCheaperByTaps(g)) return planInputByTaps(g, adapter);
  const { operandsShader, rows, columns, terms } = convAsProduct(direction, g);
  return planGemm(
    {
      operandsShader,
      operands: [{ input: 1 }, { input: 0 }],
      batches: g.groups,
      rows,
      columns,
      terms,
      params: { channels: g.C, out_channels: g.O, ...windowParams(g) },
    },
    adapter,
  );
}

/** Params of the kernels about one plane, its output plane and the window between them. */
const windowParams = (g: ConvGeometry): Record<string, number> => ({
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

/** Elements of the buffer that holds one value per output pixel, input channel and tap. */
const tapCount = (g: ConvGeometry): number => g.N * g.C * g.kernel[0] * g.kernel[1] * g.OH * g.OW;

/** 128 MiB: the smallest binding limit of the adapters we know of. */
const MAX_TAPS = 2 ** 25;
/** Fewer rows cannot share the loading of columns. */
const FEW_CHANNELS = 4;

/**
 * Whether the input gradient is better taken in two steps: with a stride most taps of a pixel fall between output
 * pixels, and the direct product would multiply by those zeros.
 */
function isCheaperByTaps(g: ConvGeometry): boolean {
  const isSparse = g.stride[0] * g.stride[1] > 1 || g.C < FEW_CHANNELS;
  return isSparse && g.groups === 1 && tapCount(g) <= MAX_TAPS;
}

/** taps[n] = w^T dy[n], a product over output channels alone; then each pixel gathers its taps. Inputs: dy, w. */
function planInputByTaps(g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  const taps = g.C * g.kernel[0] * g.kernel[1];
  const pixels = g.OH * g.OW;
  const product = planGemm(
    {
      operandsShader: 'operands_matmul',
      operands: [{ input: 1 }, { input: 0 }],
      batches: g.N,
      rows: taps,
      columns: pixels,
      terms: g.O,
      params: {
        a_batch_stride: 0,
        a_row_stride: 1,
        a_term_stride: taps,
        b_batch_stride: g.O * pixels,
        b_term_stride: pixels,
        b_column_stride: 1,
        out_row_stride: pixels,
        out_column_stride: 1,
      },
      targetTemp: 0,
    },
    adapter,
  );
  const { prelude, params, workgroups } = spanOf(g.N * g.C * g.H * g.W, adapter);
  const gather = {
    shader: 'col2im' as const,
    prelude,
    params: { ...params, ...windowParams(g) },
    operands: [{ temp: 0 }, 'output'] as const,
    workgroups,
  };
  return { steps: [...product.steps, gather], temps: [tapCount(g), ...(product.temps ?? [])] };
}

interface ProductSizes {
  readonly operandsShader: ShaderName;
  readonly rows: number;
  readonly columns: number;
  readonly terms: number;
}

/** Rows are channels, whose values lie at fixed strides; columns are where pixels meet the kernel and its padding. */
function convAsProduct(direction: ConvDirection, g: ConvGeometry): ProductSizes {
  const inChannels = g.C / g.groups;
  const outChannels = g.O / g.groups;
  const taps = g.kernel[0] * g.kernel[1];
  const outPixels = g.N * g.OH * g.OW;
  switch (direction) {
    case 'forward':
      return {
        operandsShader: 'operands_conv2d',
        rows: outChannels,
        columns: outPixels,
        terms: inChannels * taps,
      };
    case 'input':
      return {
        operandsShader: 'operands_conv2d_input',
        rows: inChannels,
        columns: g.N * g.H * g.W,
        terms: outChannels * taps,
      };
    case 'weight':
      return {
        operandsShader: 'operands_conv2d_weight',
        rows: outChannels,
        columns: inChannels * taps,
        terms: outPixels,
      };
  }
}
