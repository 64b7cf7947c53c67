// Pooling by narrow windows on software adapters: the functions of pool_columns.wgsl, in which all columns are written out.
import type { AdapterProfile } from '../dispatch.ts';
import { countTo } from '../shape.ts';
import { beatsWgsl } from './pick.ts';
import { type FixedWindow, LANES } from './pool-window.ts';

/** More columns make programs that compile for long. */
const MOST_COLUMNS = 16;

/** How many columns four neighbouring windows see. */
const columnCount = ({ kernel, stride }: FixedWindow): number => (LANES - 1) * stride[1] + kernel[1];

/** Whether pool_columns.wgsl is for these windows. Not on GPUs, whose threads would read less side by side: none was at hand. */
export const isPooledByColumns = (window: FixedWindow, { family }: AdapterProfile): boolean =>
  family === 'software' && columnCount(window) <= MOST_COLUMNS;

/** WGSL of one item: `name_<column>` of the four windows at their tap `tap`. */
const atTap = (name: string, tap: number, { stride }: FixedWindow): string =>
  countTo(LANES)
    .map((lane) => `${name}_${lane * stride[1] + tap}`)
    .join(', ');

/** WGSL: the first column of each of the four windows. */
const firstColumns = ({ stride }: FixedWindow): string =>
  `vec4<i32>(${countTo(LANES)
    .map((lane) => `left + ${lane * stride[1]}`)
    .join(', ')})`;

/** WGSL lines: s_<column>, where in its row a column lies, or the nearest one that there is; and what lies there, x_<column>. */
const columnLines = (window: FixedWindow): string[] =>
  countTo(columnCount(window)).flatMap((column) => [
    `let s_${column} = clamp(left + ${column}, 0, i32(params.w) - 1);`,
    `let x_${column} = x[i_plane + row + u32(s_${column})];`,
  ]);

/** The first maximum of each window. A pixel that is looked at twice, because it stands for the padding, wins nothing. */
export function winnersWgsl(window: FixedWindow): string {
  const contests = countTo(window.kernel[1]).map((tap) => {
    const pixels = `Item(vec4<i32>(${atTap('s', tap, window)})) + Real(row)`;
    return `state = contest(state, Item(${atTap('x', tap, window)}), ${pixels});`;
  });
  return `${beatsWgsl(4)}
struct State { best: Item, winner: Item }
fn begin(pixel: u32, left: i32) -> State {
  // WGSL refuses an infinity that it can foresee.
  let lowest = bitcast<Real>(0xff800000u | (pixel & 0u));
  let first = max(${firstColumns(window)}, vec4<i32>(0));
  return State(Item(lowest), Item(first) + Real(pixel));
}
fn contest(state: State, value: Item, pixel: Item) -> State {
  let wins = beats(value, state.best);
  return State(select(state.best, value, wins), select(state.winner, pixel, wins));
}
fn look(before: State, i_plane: u32, row: u32, left: i32) -> State {
  var state = before;
  ${columnLines(window).join('\n  ')}
  ${contests.join('\n  ')}
  return state;
}
fn finish(state: State, height: u32, left: i32) -> Item { return state.winner; }
`;
}

/** The mean of each window. */
export function meansWgsl(window: FixedWindow, isPadCounted: boolean): string {
  const inside = countTo(columnCount(window)).map(
    (column) => `let seen_${column} = select(0, x_${column}, s_${column} == left + ${column});`,
  );
  const sums = countTo(window.kernel[1]).map((tap) => `Item(${atTap('seen', tap, window)})`);
  const uncounted = `let first = ${firstColumns(window)};
  let widths = min(first + i32(params.kernel_w), vec4<i32>(i32(params.w))) - max(first, vec4<i32>(0));
  return total / Item(i32(height) * widths);`;
  return `alias State = Item;
fn begin(pixel: u32, left: i32) -> State { return Item(0); }
fn look(total: State, i_plane: u32, row: u32, left: i32) -> State {
  ${[...columnLines(window), ...inside].join('\n  ')}
  return total + (${sums.join(' + ')});
}
fn finish(total: State, height: u32, left: i32) -> Item {
  ${isPadCounted ? 'return total / Real(params.kernel_h * params.kernel_w);' : uncounted}
}
`;
}
