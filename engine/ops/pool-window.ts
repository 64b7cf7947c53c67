// Which pixels a pooling window sees, and which windows see a pixel: shared by max and average pooling.
import type { AdapterProfile } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { formatShape, INDEX_LIMIT, type Shape } from '../shape.ts';
import { type Pair, pairOf } from './pair.ts';
import { type Span, spanOf } from './span.ts';

/** Windows of one size at even distances. Pairs are [vertical, horizontal]. */
export interface FixedWindow {
  readonly kernel: Pair;
  readonly stride: Pair;
  /** Pixels added on each side. */
  readonly padding: Pair;
}

/** The window of a pooling function, as users give it. */
export interface PoolOptions {
  /** Size of the window: one number, or [height, width]. */
  readonly kernel: number | Pair;
  /** Distance of neighbouring windows; default: the kernel, so that windows touch. */
  readonly stride?: number | Pair;
  /** Pixels added on each side; default 0, at most half the kernel. */
  readonly padding?: number | Pair;
}

/** The window that the options describe. */
export function fixedWindow({ kernel, stride = kernel, padding = 0 }: PoolOptions): FixedWindow {
  return { kernel: pairOf(kernel), stride: pairOf(stride), padding: pairOf(padding) };
}

/** Throws ShapeError unless x is [N, C, H, W] with planes that f32 can index. */
export function checkPlanes(where: string, x: Shape): void {
  if (x.length !== 4) {
    throw new ShapeError(`${where}: ${formatShape(x)} is not [N, C, H, W]; reshape it first`);
  }
  if (x[2] * x[3] > INDEX_LIMIT) {
    throw new ShapeError(
      `${where}: planes of ${formatShape(x)} have more than 2^24 pixels; f32 cannot index them`,
    );
  }
}

/** Output size [OH, OW] for input planes [H, W]. Throws ShapeError on a bad window or one that fits nowhere. */
export function windowCounts(where: string, [h, w]: Pair, { kernel, stride, padding }: FixedWindow): Pair {
  const isWhole = [...kernel, ...stride, ...padding].every(Number.isInteger);
  if (!isWhole || Math.min(...kernel, ...stride) < 1 || Math.min(...padding) < 0) {
    throw new ShapeError(
      `${where}: kernel ${formatShape(kernel)}, stride ${formatShape(stride)} and padding ${formatShape(padding)} ` +
        'must be whole numbers, padding from 0 up and the others from 1 up',
    );
  }
  if (padding.some((n, axis) => 2 * n > kernel[axis])) {
    throw new ShapeError(
      `${where}: padding ${formatShape(padding)} is more than half the kernel ${formatShape(kernel)}; ` +
        'a window would see padding only',
    );
  }
  const count = (size: number, axis: 0 | 1) =>
    Math.floor((size + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1;
  const counts: Pair = [count(h, 0), count(w, 1)];
  // An empty plane is refused even where padding would make up a window: kernels read at least one pixel of each.
  if (Math.min(h, w, ...counts) < 1) {
    throw new ShapeError(
      `${where}: kernel ${formatShape(kernel)} is larger than the plane [${h}, ${w}] with padding ` +
        `${formatShape(padding)}; use a smaller kernel`,
    );
  }
  return counts;
}

/** First pixel and end (exclusive) along one axis that window o sees; padding is cut off. */
export function pixelsOf(window: FixedWindow, axis: 0 | 1, size: number, o: number): Pair {
  const first = o * window.stride[axis] - window.padding[axis];
  return [Math.max(0, first), Math.min(size, first + window.kernel[axis])];
}

/** Neighbouring results of a row that one thread makes on software adapters, where they share loads and loops. */
export const LANES = 4;

/** How many results of a row an item is where windows may be of any kind. On GPUs one: none was at hand to try more. */
export const lanesFor = ({ family }: AdapterProfile): number => (family === 'software' ? LANES : 1);

/**
 * Params, consts and functions of the kernels that walk windows: planes [H, W], windows [OH, OW]. An item is `lanes` results
 * of one of `rows` rows of `width` results; the last one of a row may have fewer.
 */
export function windowParams(
  [h, w]: Pair,
  [oh, ow]: Pair,
  { kernel, stride, padding }: FixedWindow,
  { rows, width, lanes }: { readonly rows: number; readonly width: number; readonly lanes: number },
  adapter: AdapterProfile,
): Pick<Span, 'prelude' | 'workgroups'> & { readonly params: Record<string, number> } {
  const { prelude, workgroups, params } = spanOf(rows * Math.ceil(width / lanes), adapter);
  const [kernel_h, kernel_w] = kernel;
  const [stride_h, stride_w] = stride;
  const [pad_h, pad_w] = padding;
  const fields = { h, w, oh, ow, kernel_h, kernel_w, pad_h, pad_w };
  const strides = `const STRIDE_H = ${stride_h}u;\nconst STRIDE_W = ${stride_w}u;\n`;
  return {
    prelude: prelude + strides + itemWgsl(width, lanes),
    workgroups,
    params: { ...params, ...fields },
  };
}

/** WGSL: `Item`, the numbers of an item, and `store(i, left, value)`, which writes those that are there: `left` from number i on. */
function itemWgsl(width: number, lanes: number): string {
  const isWhole = width % lanes === 0;
  const type = `const LANES = ${lanes}u;
alias Item = ${lanes === 1 ? 'Real' : 'vec4<Real>'};
alias Out = ${isWhole ? 'Item' : 'Real'};
const STEPS = ${lanes === 1 ? 'Real(0)' : 'Item(0, 1, 2, 3)'};
`;
  if (isWhole) return `${type}fn store(i: u32, left: u32, value: Item) { out[i / LANES] = value; }\n`;
  return `${type}fn store(i: u32, left: u32, value: Item) {
  out[i] = value.x;
  if (left > 1u) { out[i + 1u] = value.y; }
  if (left > 2u) { out[i + 2u] = value.z; }
  if (left > 3u) { out[i + 3u] = value.w; }
}
`;
}
