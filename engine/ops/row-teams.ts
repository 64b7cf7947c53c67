// How GPUs share rows out: neighbouring threads take a row together, so that they read neighbouring numbers.
import { type AdapterProfile, foldWorkgroups } from '../dispatch.ts';

/** Threads per workgroup where several share a row. */
const ROW_GROUP = 64;

/** As many threads as a row has items, up to a workgroup: a power of two, because teams fold by halves. */
export const teamFor = (size: number): number =>
  Math.min(ROW_GROUP, 2 ** Math.ceil(Math.log2(Math.max(1, size))));

/** Work for `count` rows, or parts of rows, with a team each. */
export function shareRows(count: number, team: number, adapter: AdapterProfile) {
  const workgroups = foldWorkgroups(Math.ceil((count * team) / ROW_GROUP), adapter);
  return { prelude: `const GROUP = ${ROW_GROUP}u;\n`, params: { groups_x: workgroups[0], team }, workgroups };
}
