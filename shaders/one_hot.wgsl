// Rows with a single 1: thread t makes items t, t + GROUP, ... of its run.
// out[i, d] = 1 if indices[i] = d, else 0.
// Consts: GROUP (threads per workgroup).
struct Params { count: u32, per_thread: u32, groups_x: u32, depth: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<Real>;    // [rows]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [rows, depth]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let row = item / params.depth;
    out[item] = select(Real(0), Real(1), indices[row] == Real(item - row * params.depth));
  }
}
