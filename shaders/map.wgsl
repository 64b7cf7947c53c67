// Several elementwise ops in one kernel: item i is four neighbouring elements of every output.
// Nothing but the loop stands here. TypeScript writes the rest, see engine/map-kernel.ts.
// Consts: GROUP (threads per workgroup).   Types: Params with count, per_thread, groups_x.
// Functions: compute(i) reads the inputs' elements, applies the ops and writes the outputs'.
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    compute(i);
  }
}
