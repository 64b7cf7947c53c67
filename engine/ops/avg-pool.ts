// Means over windows, even or adaptive, and their adjoint. One pair of ops serves both kinds of window.
import type { AdapterProfile, KernelPlan, Operand } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Pair } from './pair.ts';
import { isPooledByColumns, meansWgsl } from './pool-columns.ts';
import {
  checkPlanes,
  type FixedWindow,
  fixedWindow,
  LANES,
  lanesFor,
  type PoolOptions,
  pixelsOf,
  windowCounts,
  windowParams,
} from './pool-window.ts';

interface EvenWindows extends FixedWindow {
  /** Whether padding counts as zeros in the mean, or not at all. */
  readonly isPadCounted: boolean;
}

interface AdaptiveWindows {
  /** Output size [OH, OW]; window o spans floor(o H / OH) to ceil((o + 1) H / OH). */
  readonly output: Pair;
}

type AvgWindows = EvenWindows | AdaptiveWindows;

const isAdaptive = (windows: AvgWindows): windows is AdaptiveWindows => 'output' in windows;

function countsOf(where: string, size: Pair, windows: AvgWindows): Pair {
  if (!isAdaptive(windows)) return windowCounts(where, size, windows);
  const { output } = windows;
  if (output.some((n) => !Number.isInteger(n) || n < 1) || Math.min(...size) < 1) {
    throw new ShapeError(
      `${where}: no windows of ${formatShape(size)} make ${formatShape(output)}; sizes are whole numbers from 1 up`,
    );
  }
  return output;
}

/** First pixel, end and divisor of window o along one axis. */
function spanOfWindow(windows: AvgWindows, axis: 0 | 1, size: number, o: number): [number, number, number] {
  if (isAdaptive(windows)) {
    const first = Math.floor((o * size) / windows.output[axis]);
    const end = Math.ceil(((o + 1) * size) / windows.output[axis]);
    return [first, end, end - first];
  }
  const [first, end] = pixelsOf(windows, axis, size, o);
  return [first, end, windows.isPadCounted ? windows.kernel[axis] : end - first];
}

/** Calls `visit(i_x, i_out, weight)` for every pixel of every window of every plane. */
function forEachPixel(
  windows: AvgWindows,
  [n, c, h, w]: Shape,
  [, , oh, ow]: Shape,
  visit: (iX: number, iOut: number, weight: number) => void,
): void {
  for (let row = 0; row < n * c * oh; row++) {
    const plane = Math.floor(row / oh);
    const [r0, r1, height] = spanOfWindow(windows, 0, h, row % oh);
    for (let p = 0; p < ow; p++) {
      const [s0, s1, width] = spanOfWindow(windows, 1, w, p);
      for (let r = r0; r < r1; r++) {
        for (let s = s0; s < s1; s++) visit((plane * h + r) * w + s, row * ow + p, 1 / (height * width));
      }
    }
  }
}

const arguments_ = 'size: u32, windows: u32, kernel: u32, stride: u32, pad: u32';

const adaptiveWgsl = `
fn window(o: u32, ${arguments_}) -> vec3u {
  let first = o * size / windows;
  let end = ((o + 1u) * size + windows - 1u) / windows;
  return vec3u(first, end, end - first);
}
fn covering(i: u32, ${arguments_}) -> vec2u {
  return vec2u(i * windows / size, ((i + 1u) * windows + size - 1u) / size);
}
`;

const evenWgsl = (divisor: string): string => `
fn window(o: u32, ${arguments_}) -> vec3u {
  let first = max(o * stride, pad) - pad;
  let end = min(o * stride + kernel, size + pad) - pad;
  return vec3u(first, end, ${divisor});
}
fn covering(i: u32, ${arguments_}) -> vec2u {
  let first = (max(i + pad + stride, kernel) - kernel) / stride;
  return vec2u(first, min(windows, (i + pad) / stride + 1u));
}
`;

const functionsOf = (windows: AvgWindows): string =>
  isAdaptive(windows) ? adaptiveWgsl : evenWgsl(windows.isPadCounted ? 'kernel' : 'end - first');

/** What the kernels are told of the windows. Adaptive ones follow from the sizes alone: the kernels do not look at these. */
const fixedPart = (windows: AvgWindows): FixedWindow =>
  isAdaptive(windows) ? fixedWindow({ kernel: 1 }) : windows;

function planAverage(
  [n, c, h, w]: Shape,
  [, , oh, ow]: Shape,
  windows: AvgWindows,
  adapter: AdapterProfile,
): KernelPlan {
  const isByColumns = !isAdaptive(windows) && isPooledByColumns(windows, adapter);
  const items = { rows: n * c * oh, width: ow, lanes: isByColumns ? LANES : 1 };
  const launch = windowParams([h, w], [oh, ow], fixedPart(windows), items, adapter);
  const shader = isByColumns ? 'pool_columns' : 'avg_pool';
  const functions = isByColumns ? meansWgsl(windows, windows.isPadCounted) : functionsOf(windows);
  const operands: Operand[] = [{ input: 0 }, 'output'];
  return { steps: [{ ...launch, shader, prelude: launch.prelude + functions, operands }] };
}

function planAdjoint(
  [n, c, h, w]: Shape,
  [, , oh, ow]: Shape,
  windows: AvgWindows,
  adapter: AdapterProfile,
): KernelPlan {
  const items = { rows: n * c * h, width: w, lanes: lanesFor(adapter) };
  const launch = windowParams([h, w], [oh, ow], fixedPart(windows), items, adapter);
  const operands: Operand[] = [{ input: 0 }, 'output'];
  const prelude = launch.prelude + functionsOf(windows);
  return { steps: [{ ...launch, shader: 'avg_pool_adjoint', prelude, operands }] };
}

export const avgPoolOp = defineOp<AvgWindows>({
  name: 'avgPool',
  shape([x], windows) {
    checkPlanes('avgPool', x);
    return [x[0], x[1], ...countsOf('avgPool', [x[2], x[3]], windows)];
  },
  reference([x], windows, out) {
    out.data.fill(0);
    forEachPixel(windows, x.shape, out.shape, (iX, iOut, weight) => {
      out.data[iOut] += weight * x.data[iX];
    });
  },
  kernel: ({ inputs: [x], output, attrs, adapter }) => planAverage(x, output, attrs, adapter),
  vjp: [(g, [x], _, windows) => avgPoolAdjoint(g, windows, [x.shape[2], x.shape[3]])],
  examples: [
    {
      inputs: [[2, 1, 4, 6]],
      attrs: { kernel: [2, 3], stride: [2, 3], padding: [0, 0], isPadCounted: true },
    },
    {
      inputs: [[1, 2, 5, 4]],
      attrs: { kernel: [3, 3], stride: [2, 1], padding: [1, 1], isPadCounted: true },
    },
    {
      inputs: [[1, 1, 5, 4]],
      attrs: { kernel: [3, 2], stride: [2, 2], padding: [1, 1], isPadCounted: false },
    },
    { inputs: [[1, 2, 5, 3]], attrs: { output: [3, 4] } },
  ],
});

interface AdjointAttrs {
  readonly windows: AvgWindows;
  /** Sizes [H, W] of the planes that come out. */
  readonly size: Pair;
}

export const avgPoolAdjointOp = defineOp<AdjointAttrs>({
  name: 'avgPoolAdjoint',
  shape([g], { windows, size }) {
    const counts = countsOf('avgPoolAdjoint', size, windows);
    if (g.length !== 4 || g[2] !== counts[0] || g[3] !== counts[1]) {
      throw new ShapeError(
        `avgPoolAdjoint: g is ${formatShape(g)}; for planes ${formatShape(size)} it must be [N, C, ${counts.join(', ')}]`,
      );
    }
    return [g[0], g[1], ...size];
  },
  reference([g], { windows }, out) {
    out.data.fill(0);
    forEachPixel(windows, out.shape, g.shape, (iX, iOut, weight) => {
      out.data[iX] += weight * g.data[iOut];
    });
  },
  kernel: ({ inputs: [g], output, attrs: { windows }, adapter }) => planAdjoint(output, g, windows, adapter),
  vjp: [(g, _, __, { windows }) => apply(avgPoolOp, [g], windows)],
  examples: [
    {
      inputs: [[2, 1, 3, 4]],
      attrs: {
        windows: { kernel: [3, 3], stride: [2, 1], padding: [1, 1], isPadCounted: true },
        size: [5, 4],
      },
    },
    {
      inputs: [[1, 1, 2, 1]],
      attrs: {
        windows: { kernel: [2, 2], stride: [2, 2], padding: [0, 0], isPadCounted: false },
        size: [5, 3],
      },
    },
    { inputs: [[1, 2, 3, 4]], attrs: { windows: { output: [3, 4] }, size: [5, 3] } },
    { inputs: [[1, 1, 2, 3]], attrs: { windows: { output: [2, 3] }, size: [7, 7] } },
  ],
});

/** Adjoint of averaging: spreads g [N, C, OH, OW] evenly over the windows of planes [H, W]. The batch is that of g. */
const avgPoolAdjoint = (g: Tensor, windows: AvgWindows, size: Pair): Tensor =>
  apply(avgPoolAdjointOp, [g], { windows, size });

/** Options of `avgPool2d`. */
export interface AvgPoolOptions extends PoolOptions {
  /** Whether padding counts as zeros in the mean (the default, as in PyTorch), or not at all. */
  readonly countIncludePad?: boolean;
}

/** Means [N, C, OH, OW] over windows of x [N, C, H, W]. Throws ShapeError when the window does not fit. */
export function avgPool2d(x: Tensor, options: AvgPoolOptions): Tensor {
  return apply(avgPoolOp, [x], { ...fixedWindow(options), isPadCounted: options.countIncludePad ?? true });
}

/**
 * Means [N, C, OH, OW] of x [N, C, H, W] over as many windows as asked for: window o spans floor(o H / OH) to
 * ceil((o + 1) H / OH), as in PyTorch. Throws ShapeError when a size is not a whole number from 1 up.
 */
export const adaptiveAvgPool2d = (x: Tensor, output: Pair): Tensor => apply(avgPoolOp, [x], { output });
