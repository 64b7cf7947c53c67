// Convolutions of few filters without a product of matrices, which would load each pixel once per tap and for few rows.
// The kernels' inner loops are written out here, so that all they see of an image stays in registers.
import {
  type AdapterProfile,
  type ConvDirection,
  type ConvGeometry,
  type Dispatch,
  foldWorkgroups,
  GPU_THREADS,
  isSwiftShader,
  type KernelPlan,
  MOST_TEMP_ELEMENTS,
  SOFTWARE_WORKGROUPS,
  threadsPerWorkgroup,
} from '../dispatch.ts';
import { countTo } from '../shape.ts';
import { convWindowParams, isCheaperByTaps, isDense, turned } from './gemm-conv.ts';
import { weightsOfParts } from './gemm-packing.ts';

/**
 * Filters of a thread, and rows of its patch of pixels, four columns wide. More would share more loads, but the code is written
 * out for each of them, and lavapipe is slow to compile it: see bench/README.md.
 */
const MOST_FILTERS = 5;
const ROWS = 2;
const PATCH_COLUMNS = 4;
/** More taps make programs that take too long to compile. */
const MOST_TAPS = 9;

/** Threads of the largest workgroup: each has a sum of its own for every weight. */
const MOST_THREADS = 64;

/** Whether the kernels of this file can compute a direction. */
export function canBeWindows(direction: ConvDirection, g: ConvGeometry): boolean {
  const isUndilated = g.dilation[0] * g.dilation[1] === 1;
  const isPossible = isDense(g) && isUndilated && g.kernel[0] * g.kernel[1] <= MOST_TAPS;
  if (direction !== 'weight') return isPossible;
  // Weight gradients need whole patches of output pixels.
  const isWhole = g.OH >= ROWS && g.OW >= PATCH_COLUMNS;
  return isPossible && isWhole && MOST_THREADS * weightElements(g) <= MOST_TEMP_ELEMENTS;
}

/** Elements of a weight gradient in whole vec4s. */
const weightElements = ({ O, C, groups, kernel }: ConvGeometry): number =>
  O * (C / groups) * filled(kernel[0] * kernel[1], 4);

const filled = (n: number, block: number): number => Math.ceil(n / block) * block;

/** As few blocks as can be, all of one size: the least that holds all filters, because those that are not there cost as much. */
const filtersPerBlock = (n: number): number => Math.ceil(n / Math.ceil(n / MOST_FILTERS));

/**
 * With more filters at work, those of full blocks and of patches that hang over the edge included, a panel is taken: it shares
 * each pixel among all of them. A panel is late to pay for weight gradients on SwiftShader.
 */
const MOST_FILTERS_AT_WORK = {
  swiftShader: { forward: 16, input: 16, weight: 18 },
  others: { forward: 18, input: 18, weight: 5.6 },
} as const;
/** With more output channels per input channel, input gradients go by taps where those pay: in programs that are there anyway. */
const MOST_CHANNEL_RATIO = 8;
/**
 * Fewer filters than half of a tile's rows; for a single one there are more threads in conv_direct. A guess: no GPU was at
 * hand.
 */
const MOST_GPU_FILTERS = 8;

/** Whether a direction is fastest in this way. */
export function isFastestByWindows(
  direction: ConvDirection,
  g: ConvGeometry,
  adapter: AdapterProfile,
): boolean {
  // A window of one tap is loaded for its own sake alone.
  if (g.kernel[1] === 1) return false;
  if (direction === 'input' && isCheaperByTaps(g) && g.O > MOST_CHANNEL_RATIO * g.C) return false;
  const conv = direction === 'input' ? turned(g) : g;
  const filters = conv.O / g.groups;
  if (adapter.family === 'gpu') {
    const isBetweenOthers = filters > 1 && filters <= MOST_GPU_FILTERS;
    return direction !== 'weight' && isBetweenOthers && itemsOf(conv).threads >= GPU_THREADS;
  }
  const { OH, OW } = conv;
  const waste = (filled(OH, ROWS) * filled(OW, PATCH_COLUMNS)) / (OH * OW);
  const most = MOST_FILTERS_AT_WORK[isSwiftShader(adapter.subgroupSize) ? 'swiftShader' : 'others'];
  return filled(filters, filtersPerBlock(filters)) * waste <= most[direction];
}

/** One direction of conv2d; see `planConv2d`. */
export function planWindows(direction: ConvDirection, g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  if (direction === 'weight') return planWeight(g, adapter);
  const taps = g.kernel[0] * g.kernel[1];
  const C = g.C / g.groups;
  const w_group_stride = (g.O / g.groups) * C * taps;
  if (direction === 'forward') {
    const strides = { w_filter_stride: C * taps, w_channel_stride: taps, w_tap_stride: 1 };
    return planForward(g, { w_start: 0, w_group_stride, ...strides }, adapter);
  }
  const strides = { w_filter_stride: taps, w_channel_stride: C * taps, w_tap_stride: MINUS_ONE };
  return planForward(turned(g), { w_start: taps - 1, w_group_stride, ...strides }, adapter);
}

/** As u32. */
const MINUS_ONE = 2 ** 32 - 1;

/** Patches of all images, and the filters that a thread computes of each. */
function itemsOf({ N, O, OH, OW, groups }: ConvGeometry) {
  const groupFilters = O / groups;
  const filters = filtersPerBlock(groupFilters);
  const filterBlocks = groups * Math.ceil(groupFilters / filters);
  const [row_items, plane_rows] = [Math.ceil(OW / PATCH_COLUMNS), Math.ceil(OH / ROWS)];
  const count = N * plane_rows * row_items;
  return { filters, filterBlocks, count, row_items, plane_rows, threads: count * filterBlocks };
}

/** How the items of each block are cut into runs, and what both kernels are told. */
function share(
  g: ConvGeometry,
  blocks: number,
  adapter: AdapterProfile,
  mostRuns = Number.POSITIVE_INFINITY,
) {
  const isSoftware = adapter.family === 'software';
  const group = threadsPerWorkgroup(adapter);
  const { count, row_items, plane_rows } = itemsOf(g);
  const runsWanted = isSoftware ? Math.ceil(SOFTWARE_WORKGROUPS / blocks) : Math.ceil(count / group);
  const per_thread = Math.ceil(count / (group * Math.min(runsWanted, mostRuns)));
  const runs = Math.ceil(count / (group * per_thread));
  const workgroups = foldWorkgroups(runs * blocks, adapter);
  const { height, width, out_height, out_width, padding_y, padding_x } = convWindowParams(g);
  const params = {
    ...{ count, per_thread, groups_x: workgroups[0], runs, blocks, row_items, plane_rows },
    ...{ channels: g.C, height, width, out_channels: g.O, out_height, out_width },
    ...{ group_channels: g.C / g.groups, group_filters: g.O / g.groups, padding_y, padding_x },
  };
  return { group, runs, params, workgroups };
}

function planForward(g: ConvGeometry, weights: Record<string, number>, adapter: AdapterProfile): KernelPlan {
  const { filters, filterBlocks } = itemsOf(g);
  const { group, params, workgroups } = share(g, filterBlocks, adapter);
  // On a GPU a load of what neighbours load, too, is cheap, and subgroups may be of any size.
  const lanes = adapter.family === 'software' ? adapter.subgroupSize : 0;
  const dispatch: Dispatch = {
    shader: 'conv_windows',
    prelude: addChannel(g.kernel, filters, lanes) + constsOf(g.kernel, filters, group),
    params: { ...params, ...weights },
    operands: [{ input: 0 }, { input: 1 }, 'output'],
    workgroups,
  };
  return { steps: [dispatch] };
}

function planWeight(g: ConvGeometry, adapter: AdapterProfile): KernelPlan {
  const columns = g.kernel[0] * g.kernel[1];
  const quads = Math.ceil(columns / 4);
  const rows = g.O * (g.C / g.groups);
  const { filters, filterBlocks } = itemsOf(g);
  const blocks = filterBlocks * (g.C / g.groups);
  const mostRuns = Math.floor(MOST_TEMP_ELEMENTS / (threadsPerWorkgroup(adapter) * weightElements(g)));
  const { group, runs, params, workgroups } = share(g, blocks, adapter, mostRuns);
  const parts = runs * group;
  const sums: Dispatch = {
    shader: 'conv_windows_weight',
    prelude: `${constsOf(g.kernel, filters, group)}const QUADS = ${quads}u;\n${addPatch(g.kernel, filters)}`,
    params,
    operands: [{ input: 0 }, { input: 1 }, { temp: 0 }],
    workgroups,
  };
  return weightsOfParts(sums, { rows, columns, parts }, adapter);
}

type Kernel = ConvGeometry['kernel'];

const constsOf = ([, columns]: Kernel, filters: number, group: number): string =>
  `const GROUP = ${group}u;
const FILTERS = ${filters}u;
const ROWS = ${ROWS}u;
const COLUMNS = ${PATCH_COLUMNS - 1 + columns}u;
`;

/**
 * WGSL: `window_<line>_<kx>`, what the four pixels of a row see at a tap, for a line of x. Bitwise `&`, because `&&` is a
 * branch: SwiftShader is slow to compile so many of them.
 */
function windowsOf(line: number, [, columns]: Kernel): string[] {
  const lines = [
    `let is_line_${line} = first_y + ${line}u < params.height;`,
    `let i_${line} = i_x + ${line}u * params.width;`,
  ];
  for (let column = 0; column < PATCH_COLUMNS - 1 + columns; column++) {
    const isInside = `is_line_${line} & is_column[${column}]`;
    lines.push(`let x_${line}_${column} = load_x(i_${line} + ${column}u, ${isInside});`);
  }
  for (let kx = 0; kx < columns; kx++) {
    const four = Array.from({ length: PATCH_COLUMNS }, (_, i) => `x_${line}_${kx + i}`);
    lines.push(`let window_${line}_${kx} = vec4<Real>(${four.join(', ')});`);
  }
  return lines;
}

/** Calls `visit` with each line of x that a patch sees, and each row of pixels that sees it, through a line of taps. */
function eachLine(
  kernel: Kernel,
  atLine: (line: number) => void,
  visit: (line: number, row: number, ky: number) => void,
): void {
  for (let line = 0; line < ROWS - 1 + kernel[0]; line++) {
    atLine(line);
    for (let row = 0; row < ROWS; row++) {
      const ky = line - row;
      if (ky >= 0 && ky < kernel[0]) visit(line, row, ky);
    }
  }
}

/**
 * WGSL: the functions of conv_windows.wgsl. Where subgroups have `lanes` lanes, these share out the loads of weights and
 * hand them to each other; with 0 every thread loads all.
 */
function addChannel(kernel: Kernel, filters: number, lanes: number): string {
  const taps = kernel[0] * kernel[1];
  const loads = lanes > 0 ? Math.ceil((filters * taps) / lanes) : filters;
  const weight = (f: number, tap: number): string => {
    if (lanes === 0) return `w[i_w + weight_places[${f}] + ${tap}u * params.w_tap_stride]`;
    const i = f * taps + tap;
    return `subgroupBroadcast(w_${Math.floor(i / lanes)}, ${i % lanes}u)`;
  };
  const lines = lanes > 0 ? countTo(loads).map((i) => `let w_${i} = w[i_w + weight_places[${i}]];`) : [];
  eachLine(
    kernel,
    (line) => lines.push(...windowsOf(line, kernel)),
    (line, row, ky) => {
      for (let kx = 0; kx < kernel[1]; kx++) {
        for (let f = 0; f < filters; f++) {
          lines.push(`sum_${f * ROWS + row} += ${weight(f, ky * kernel[1] + kx)} * window_${line}_${kx};`);
        }
      }
    },
  );
  // Filters that are not there repeat the last one.
  const places = countTo(loads).map((i) => {
    if (lanes === 0) return `min(${i}u, filters_left - 1u) * params.w_filter_stride`;
    const at = `min(${i * lanes}u + thread, ${filters * taps - 1}u)`;
    return `min(${at} / ${taps}u, filters_left - 1u) * params.w_filter_stride + ${at} % ${taps}u * params.w_tap_stride`;
  });
  return `${lanes > 0 ? 'enable subgroups;\n' : ''}var<private> weight_places: array<u32, ${loads}>;
fn prepare_weights(thread: u32, filters_left: u32) {
  ${places.map((place, i) => `weight_places[${i}] = ${place};`).join('\n  ')}
}
fn add_channel(i_x: u32, i_w: u32) {
  ${inLocals('sums', 'sum', filters * ROWS, lines)}
}
`;
}

/** WGSL: the function of conv_windows_weight.wgsl. */
function addPatch(kernel: Kernel, filters: number): string {
  const quads = Math.ceil((kernel[0] * kernel[1]) / 4);
  const lines: string[] = [];
  for (let row = 0; row < ROWS; row++) {
    lines.push(`let is_own_${row} = is_counted & vec4<bool>(${row}u >= first_counted);`);
    for (let f = 0; f < filters; f++) {
      lines.push(`let dy_${f}_${row} = load_dy(i_dy[${f}] + ${row}u * params.out_width, is_own_${row});`);
    }
  }
  eachLine(
    kernel,
    (line) => lines.push(...windowsOf(line, kernel)),
    (line, row, ky) => {
      for (let kx = 0; kx < kernel[1]; kx++) {
        const tap = ky * kernel[1] + kx;
        for (let f = 0; f < filters; f++) {
          const sum = `sum_${f * quads + Math.floor(tap / 4)}.${'xyzw'[tap % 4]}`;
          lines.push(`${sum} += dot(dy_${f}_${row}, window_${line}_${kx});`);
        }
      }
    },
  );
  return `fn add_patch(i_x: u32) {
  ${inLocals('sums', 'sum', filters * quads, lines)}
}
`;
}

/** WGSL: lines that work on `<name>_<i>`, copies of an array's elements. */
function inLocals(array: string, name: string, length: number, lines: readonly string[]): string {
  const all = countTo(length);
  const before = all.map((i) => `var ${name}_${i} = ${array}[${i}];`);
  const after = all.map((i) => `${array}[${i}] = ${name}_${i};`);
  return [...before, ...lines, ...after].join('\n  ');
}
