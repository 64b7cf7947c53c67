// Max pooling as picking: where the maximum is (no slope), picking it, and the adjoint of picking.
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, isSameShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Pair } from './pair.ts';
import { beats, beatsWgsl, gatherDispatch, pickReference } from './pick.ts';
import { isPooledByColumns, winnersWgsl } from './pool-columns.ts';
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

export const maxPoolIndicesOp = defineOp<FixedWindow>({
  name: 'maxPoolIndices',
  shape([x], window) {
    checkPlanes('maxPoolIndices', x);
    const [n, c, h, w] = x;
    return [n, c, ...windowCounts('maxPoolIndices', [h, w], window)];
  },
  reference([x], window, out) {
    const [n, c, h, w] = x.shape;
    const [, , oh, ow] = out.shape;
    let item = 0;
    for (let plane = 0; plane < n * c; plane++) {
      for (let o = 0; o < oh; o++) {
        const [r0, r1] = pixelsOf(window, 0, h, o);
        for (let p = 0; p < ow; p++) {
          const [s0, s1] = pixelsOf(window, 1, w, p);
          let winner = r0 * w + s0;
          for (let r = r0; r < r1; r++) {
            for (let s = s0; s < s1; s++) {
              const best = x.data[plane * h * w + winner];
              if (beats(x.data[plane * h * w + r * w + s], best)) winner = r * w + s;
            }
          }
          out.data[item++] = winner;
        }
      }
    }
  },
  kernel({ inputs: [x], output, attrs, adapter }) {
    const [, , h, w] = x;
    const [, , oh, ow] = output;
    const isByColumns = isPooledByColumns(attrs, adapter);
    const items = { rows: sizeOf(output) / ow, width: ow, lanes: isByColumns ? LANES : 1 };
    const { prelude, params, workgroups } = windowParams([h, w], [oh, ow], attrs, items, adapter);
    const shader = isByColumns ? 'pool_columns' : 'max_pool_indices';
    const functions = isByColumns ? winnersWgsl(attrs) : beatsWgsl(1);
    const operands = [{ input: 0 }, 'output'] as const;
    return { steps: [{ shader, prelude: prelude + functions, params, operands, workgroups }] };
  },
  vjp: [null], // a place does not move with the values, except in jumps
  examples: [
    { inputs: [[2, 3, 4, 6]], attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] } },
    { inputs: [[1, 2, 5, 7]], attrs: { kernel: [3, 3], stride: [2, 2], padding: [1, 1] } },
    { inputs: [[1, 1, 5, 4]], attrs: { kernel: [2, 3], stride: [1, 2], padding: [1, 0] } },
  ],
});

/** Windows [3, 3] at distance 2 on planes [5, 3], and a pixel of each: the examples below share them. */
const overlapping: FixedWindow = { kernel: [3, 3], stride: [2, 2], padding: [1, 1] };
const picked = [4, 4, 7, 4, 13, 11, 0, 2, 9, 7, 12, 10];

export const poolGatherOp = defineOp<FixedWindow>({
  name: 'poolGather',
  shape([x, indices], window) {
    checkPlanes('poolGather', x);
    const [n, c, h, w] = x;
    const wanted = [n, c, ...windowCounts('poolGather', [h, w], window)];
    if (!isSameShape(indices, wanted)) {
      throw new ShapeError(
        `poolGather: x is ${formatShape(x)} and the indices ${formatShape(indices)}; they must be ${formatShape(wanted)}, expand them over the batch`,
      );
    }
    return indices;
  },
  reference([x, indices], _, out) {
    const size = x.shape[2] * x.shape[3];
    pickReference(x.data, indices.data, { size, count: out.shape[2] * out.shape[3], inner: 1 }, out.data);
  },
  kernel({ inputs: [x], output, adapter }) {
    const line = { size: x[2] * x[3], count: output[2] * output[3], inner: 1 };
    return { steps: [gatherDispatch(line, sizeOf(output), adapter)] };
  },
  vjp: [
    (g, [x, indices], _, window) => poolScatter(g, indices, window, [x.shape[2], x.shape[3]]),
    null, // an index is a whole number: nothing between two of them
  ],
  examples: [
    {
      inputs: [
        [1, 2, 5, 3],
        [1, 2, 3, 2],
      ],
      attrs: overlapping,
      fixed: { 1: picked },
    },
    {
      inputs: [
        [1, 1, 4, 4],
        [1, 1, 2, 2],
      ],
      attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0] },
      fixed: { 1: [1, 6, 12, 15] },
    },
  ],
});

/** Picks x at `indices` [N, C, OH, OW], flat in each plane [H, W]; 0 where an index is outside the plane. */
export const poolGather = (x: Tensor, indices: Tensor, window: FixedWindow): Tensor =>
  apply(poolGatherOp, [x, indices], window);

interface ScatterAttrs extends FixedWindow {
  /** Sizes [H, W] of the planes that come out. */
  readonly size: Pair;
}

export const poolScatterOp = defineOp<ScatterAttrs>({
  name: 'poolScatter',
  shape([g, indices], { size, ...window }) {
    const counts = windowCounts('poolScatter', size, window);
    if (!isSameShape(g, indices) || g.length !== 4 || g[2] !== counts[0] || g[3] !== counts[1]) {
      throw new ShapeError(
        `poolScatter: g is ${formatShape(g)} and the indices ${formatShape(indices)}; both must be [N, C, ${counts.join(', ')}], expand the indices over the batch of g`,
      );
    }
    const out: Shape = [g[0], g[1], ...size];
    checkPlanes('poolScatter', out);
    return out;
  },
  reference([g, indices], { size }, out) {
    const plane = size[0] * size[1];
    const count = g.shape[2] * g.shape[3];
    out.data.fill(0);
    for (let i = 0; i < g.data.length; i++) {
      const index = indices.data[i];
      if (index >= 0 && index < plane) out.data[Math.floor(i / count) * plane + index] += g.data[i];
    }
  },
  kernel({ inputs: [g], output, attrs, adapter }) {
    const [, , oh, ow] = g;
    const [h, w] = attrs.size;
    const items = { rows: sizeOf(output) / w, width: w, lanes: lanesFor(adapter) };
    const { prelude, params, workgroups } = windowParams([h, w], [oh, ow], attrs, items, adapter);
    const operands = [{ input: 0 }, { input: 1 }, 'output'] as const;
    return { steps: [{ shader: 'pool_scatter', prelude, params, operands, workgroups }] };
  },
  vjp: [
    (g, [, indices], _, { kernel, stride, padding }) => poolGather(g, indices, { kernel, stride, padding }),
    null, // as in poolGather
  ],
  examples: [
    {
      inputs: [
        [1, 2, 3, 2],
        [1, 2, 3, 2],
      ],
      attrs: { ...overlapping, size: [5, 3] },
      fixed: { 1: picked },
    },
    {
      inputs: [
        [2, 1, 2, 1],
        [2, 1, 2, 1],
      ],
      attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0], size: [5, 3] },
      fixed: { 1: [0, 10, 4, 9] },
    },
  ],
});

/**
 * Adjoint of `poolGather`: zeros [N, C, H, W] with each g [N, C, OH, OW] added at its index. Every index must lie in its
 * window. `size` is [H, W]; the batch is that of g, and the indices must have it too.
 */
export const poolScatter = (g: Tensor, indices: Tensor, window: FixedWindow, size: Pair): Tensor =>
  apply(poolScatterOp, [g, indices], { ...window, size });

/**
 * Maxima of windows of x [N, C, H, W] and where they are: both [N, C, OH, OW], an index is r W + s. The first maximum
 * wins, NaN counts as the largest number, padding never wins. Slopes go to the winner. Throws ShapeError.
 */
export function maxPool2dWithIndices(x: Tensor, options: PoolOptions): { values: Tensor; indices: Tensor } {
  const window = fixedWindow(options);
  const indices = apply(maxPoolIndicesOp, [x], window);
  return { values: poolGather(x, indices, window), indices };
}

/** Maxima [N, C, OH, OW] of windows of x [N, C, H, W]; see `maxPool2dWithIndices`. */
export const maxPool2d = (x: Tensor, options: PoolOptions): Tensor => maxPool2dWithIndices(x, options).values;
