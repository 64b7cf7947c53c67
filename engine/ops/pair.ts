// Options with one value per image axis, as convolutions and pools take them.

/** One value per axis: [vertical, horizontal]. */
export type Pair = readonly [number, number];

/** Both axes of an option; one number stands for both. */
export function pairOf(value: number | Pair): Pair {
  return typeof value === 'number' ? [value, value] : value;
}
