// Inverse permutations: thread t makes items t, t + GROUP, ... of its run.
// out[row, order[row, j]] = j.
// Each place is written once if `order` is a permutation; indices outside the row are skipped.
// Consts: GROUP (threads per workgroup).
struct Params { count: u32, per_thread: u32, groups_x: u32, n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> order: array<Real>;      // [rows, n]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [rows, n]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let row = item / params.n;
    let index = order[item];
    if (index >= Real(0) && index < Real(params.n)) {
      out[row * params.n + u32(index)] = Real(item - row * params.n);
    }
  }
}
