// Convolutions of groups with few channels, depthwise ones above all, without a product of matrices.
import {
  type AdapterProfile,
  type ConvDirection,
  type ConvGeometry,
  type Dispatch,
  foldWorkgroups,
  GPU_THREADS,
  type KernelPlan,
  threadsPerWorkgroup,
} from '../dispatch.ts';
import { convWindowParams, hasTapsOfPhases, type Items, pixelItems } from './gemm-conv.ts';
import { weightsOfParts } from './gemm-packing.ts';
import { spanOf } from './span.ts';

/** More pairs of an input and an output channel in a group make a product of matrices faster: it shares what it loads. */
const MOST_PAIRS = 4;

/** Whether the direct kernels can compute a direction. */
export const canBeDirect = (direction: ConvDirection, g: ConvGeometry): boolean =>
  g.dilation[1] === 1 && (direction !== 'input' || hasTapsOfPhases(g));

/**
 * Whether a direction is fastest directly. On software adapters so is the forward direction to one channel, which is too
 * few threads for a GPU.
 */
export function isFastestDirect(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): boolean {
  const [filters, channels] = [g.O / g.groups, g.C / g.groups];
  const isFlat = direction === 'forward' && filters === 1 && adapter.family === 'software';
  // A window of one tap is loaded for its own sake alone.
  return g.kernel[1] > 1 && (filters * channels <= MOST_PAIRS || isFlat);
}

/** One direction of conv2d; see `planConv2d`. */
export function planDirect(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  const fields = {
    channels: g.C,
    out_channels: g.O,
    group_channels: g.C / g.groups,
    group_filters: g.O / g.groups,
    ...convWindowParams(g),
  };
  if (direction === 'weight') return planWeight(g, fields, adapter);
  const items = direction === 'forward' ? outputItems(g) : pixelItems(g);
  const { prelude, params, workgroups } = spanOf(items.count, adapter);
  const dispatch: Dispatch = {
    shader: direction === 'forward' ? 'conv_direct' : 'conv_direct_input',
    prelude,
    params: { ...fields, ...items.params, ...params },
    operands: [{ input: 0 }, { input: 1 }, 'output'],
    workgroups,
  };
  return { steps: [dispatch] };
}

/** Items of the forward direction: four neighbouring output pixels. */
function outputItems(g: ConvGeometry): Items {
  const row_items = Math.ceil(g.OW / 4);
  return { count: g.N * g.O * g.OH * row_items, params: { row_items } };
}

/** Enough threads to share them evenly between the threads of a CPU, or to fill a GPU. */
const THREADS_WANTED = { software: 256, gpu: GPU_THREADS } as const;

function planWeight(g: ConvGeometry, fields: Record<string, number>, adapter: AdapterProfile): KernelPlan {
  const columns = g.kernel[1];
  const rows = ((g.O * g.C) / g.groups) * g.kernel[0];
  const quads = Math.ceil(columns / 4);
  const lines = g.N * g.OH;
  const partLines = Math.ceil(lines / Math.ceil(THREADS_WANTED[adapter.family] / (rows * quads)));
  const parts = Math.ceil(lines / partLines);
  const group = threadsPerWorkgroup(adapter);
  const workgroups = foldWorkgroups(Math.ceil((parts * rows * quads) / group), adapter);
  const sums: Dispatch = {
    shader: 'conv_direct_weight',
    prelude: `const GROUP = ${group}u;\n`,
    params: { ...fields, groups_x: workgroups[0], parts, part_lines: partLines, lines, rows, quads },
    operands: [{ input: 0 }, { input: 1 }, { temp: 0 }],
    workgroups,
  };
  return weightsOfParts(sums, { rows, columns, parts }, adapter);
}
