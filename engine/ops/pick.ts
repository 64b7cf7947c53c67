// What maxima and everything indexed share: which of two values wins, and how one element per index is picked.
import type { AdapterProfile, Dispatch } from '../dispatch.ts';
import { nanWgsl } from './nan.ts';
import { spanOf } from './span.ts';

/** Whether `value` displaces `best` as the maximum: not on a tie, and NaN is the largest number. */
export const beats = (value: number, best: number): boolean =>
  value > best || (Number.isNaN(value) && !Number.isNaN(best));

/** The same for kernels, for numbers of `lanes` lanes. Bitwise operators, because || and && are branches. */
export const beatsWgsl = (lanes: 1 | 4): string => `
${nanWgsl(lanes)}
fn beats(value: Vec, best: Vec) -> ${lanes === 4 ? 'vec4<bool>' : 'bool'} {
  return (value > best) | (is_nan(value) & !is_nan(best));
}
`;

/** A stack of lines along the middle axis: [outer, size, inner], from each of which `count` elements are picked. */
export interface Lines {
  readonly size: number;
  readonly count: number;
  readonly inner: number;
}

/** out[o, j, i] = x[o, indices[o, j, i], i], or 0 where there is no such element. */
export function pickReference(
  x: Float64Array,
  indices: Float64Array,
  { size, count, inner }: Lines,
  out: Float64Array,
): void {
  for (let item = 0; item < out.length; item++) {
    const index = indices[item];
    const outer = Math.floor(item / (count * inner));
    out[item] = index >= 0 && index < size ? x[(outer * size + index) * inner + (item % inner)] : 0;
  }
}

const pickOne = `alias Item = Real;
fn pick_item(index: Item, i_line: u32) -> Item { return pick(index, i_line); }
`;
const pickFour = `alias Item = vec4<Real>;
fn pick_item(indices: Item, i_line: u32) -> Item {
  return Item(
    pick(indices.x, i_line), pick(indices.y, i_line), pick(indices.z, i_line), pick(indices.w, i_line));
}
`;

/** The dispatch of `pickReference`: input 0 is x, input 1 the indices, `items` the size of the output. */
export function gatherDispatch(
  { size, count, inner }: Lines,
  items: number,
  adapter: AdapterProfile,
): Dispatch {
  const isByFours = adapter.family === 'software' && inner === 1 && count % 4 === 0;
  const lanes = isByFours ? 4 : 1;
  const { prelude, params, workgroups } = spanOf(items / lanes, adapter);
  return {
    shader: 'gather',
    prelude: prelude + (isByFours ? pickFour : pickOne),
    params: { ...params, size, index_count: count / lanes, inner },
    operands: [{ input: 0 }, { input: 1 }, 'output'],
    workgroups,
  };
}
