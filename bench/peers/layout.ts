// Between our layout [N, C, H, W] and that of libraries that keep channels last. None of it is timed.

/** The numbers of an array [shape] with its axes in another order: axis i of the result is axis `order[i]` of x. */
export function permuted(
  x: ArrayLike<number>,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const sizes = order.map((axis) => shape[axis]);
  const steps = order.map((axis) => strides[axis]);
  const out = new Float32Array(x.length);
  const index = sizes.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = x[from];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < sizes[axis]) break;
      from -= steps[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/** [N, C, H, W] to [N, H, W, C], and back. */
export const TO_CHANNELS_LAST = [0, 2, 3, 1];
export const FROM_CHANNELS_LAST = [0, 3, 1, 2];
/** [O, C, H, W] to [H, W, C, O], and back. */
export const TO_FILTERS_LAST = [2, 3, 1, 0];
export const FROM_FILTERS_LAST = [3, 2, 0, 1];
