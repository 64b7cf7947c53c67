// Structural rules of maxima. The first winner takes all, as in the gradient, or equal maxima share.

import { literal } from '../../engine/create.ts';
import { add, div, mul, sub } from '../../engine/ops/arithmetic.ts';
import { expand, sum } from '../../engine/ops/broadcast.ts';
import { scatterAdd } from '../../engine/ops/indexing.ts';
import { poolGather, poolScatter } from '../../engine/ops/max-pool.ts';
import type { Pair } from '../../engine/ops/pair.ts';
import { notNegative, step } from '../../engine/ops/pointwise.ts';
import { type FixedWindow, pixelsOf } from '../../engine/ops/pool-window.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { mapCount, perMap, repeatPerMap } from '../maps.ts';
import { picked } from './layout.ts';
import { checkNotBroadcast, type OpCall, type OpRule, onMapAxis } from './op-call.ts';

/** Whether the indices were found by this op, perhaps under another shape; else they are an ordinary choice. */
function isFoundBy(indices: Tensor, opName: string): boolean {
  let { origin } = indices;
  while (origin?.op.name === 'reshape') origin = origin.inputs[0].origin;
  return origin?.op.name === opName;
}

/** Flat pixel [1, 1, OH, OW] that tap (r, s) of each window falls on, and 1 where it does not fall on padding. */
function tapOf(t: Tensor, window: FixedWindow, [h, w]: Pair, r: number, s: number) {
  const [, , oh, ow] = t.shape;
  const pixels: number[] = [];
  for (let o = 0; o < oh; o++) {
    const row = o * window.stride[0] - window.padding[0] + r;
    const [r0, r1] = pixelsOf(window, 0, h, o);
    for (let p = 0; p < ow; p++) {
      const column = p * window.stride[1] - window.padding[1] + s;
      const [s0, s1] = pixelsOf(window, 1, w, p);
      pixels.push(row >= r0 && row < r1 && column >= s0 && column < s1 ? row * w + column : -1);
    }
  }
  const whole = (values: number[]) => expand(literal(t.device, values, [1, 1, oh, ow]), t.shape);
  return { indices: whole(pixels), isInside: whole(pixels.map((pixel) => (pixel < 0 ? 0 : 1))) };
}

/** Equal maxima of a window share:   R_i = [x_i = y] R / (number of equal maxima)       lrp_toolbox's max-pooling */
function splitPool(R: Tensor, { t, origin }: OpCall): Tensor {
  const window = origin.attrs as FixedWindow;
  const [x] = origin.inputs;
  const size: Pair = [x.shape[2], x.shape[3]];
  const taps: { indices: Tensor; isMaximum: Tensor }[] = [];
  for (let r = 0; r < window.kernel[0]; r++) {
    for (let s = 0; s < window.kernel[1]; s++) {
      const { indices, isInside } = tapOf(t, window, size, r, s);
      // No value of a window is above its maximum, so "not below" is "equal".
      const isMaximum = mul(notNegative(sub(poolGather(x, indices, window), t)), isInside);
      taps.push({ indices, isMaximum });
    }
  }
  const count = mapCount(R.shape, t.shape);
  const share = perMap(
    div,
    R,
    taps.map(({ isMaximum }) => isMaximum).reduce((a, b) => add(a, b)),
  );
  return taps
    .map(({ indices, isMaximum }) =>
      poolScatter(perMap(mul, share, isMaximum), repeatPerMap(indices, count), window, size),
    )
    .reduce((a, b) => add(a, b));
}

/** Max-pooling: the winner of each window takes all, or equal maxima share. */
export const pooled: OpRule = (R, call) =>
  call.options.ties === 'split' && isFoundBy(call.origin.inputs[1], 'maxPoolIndices')
    ? splitPool(R, call)
    : picked(R, call);

/** Choice along an axis. Where the choice was the maximum: the first winner takes all, or equal maxima share. */
export const gathered: OpRule = (R, call) => {
  const { t, origin, options } = call;
  const [x, indices] = origin.inputs;
  const { axis } = origin.attrs as { axis: number };
  return onMapAxis(R, call, (own, lead) => {
    const shape = [...lead, ...x.shape];
    if (options.ties === 'split' && isFoundBy(indices, 'argmax')) {
      const isMaximum = notNegative(sub(x, t));
      return mul(expand(div(own, sum(isMaximum, [axis], { keepDims: true })), shape), isMaximum);
    }
    const places = expand(indices, [...lead, ...indices.shape]);
    return scatterAdd(own, places, axis + lead.length, x.shape[axis]);
  });
};

/** Larger of two: it takes all, also where it is a constant; on a tie the first does, or both share. */
export const larger: OpRule = (R, call) => {
  checkNotBroadcast(call);
  const [a, b] = call.origin.inputs;
  const [x, other] = call.index === 0 ? [a, b] : [b, a];
  const above = step(sub(x, other));
  const notBelow = notNegative(sub(x, other));
  const isSplit = call.options.ties === 'split';
  const mask = isSplit ? mul(add(above, notBelow), 0.5) : call.index === 0 ? notBelow : above;
  return perMap(mul, R, mask);
};
