// Adjoint of gather: thread t makes items t, t + GROUP, ... of its run and reads all indices of
// their lines, in order.
// out[o, r, i] = sum of g[o, j, i] over the j with indices[o, j, i] = r.
// Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, size: u32, index_count: u32, inner: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<Real>;          // [outer, index_count, inner]
@group(0) @binding(2) var<storage, read> indices: array<Real>;    // [outer, index_count, inner]
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [outer, size, inner]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let row = item / params.inner;
    let o = row / params.size;
    let own = Real(row - o * params.size);
    var i_g = o * params.index_count * params.inner + item - row * params.inner;
    var total = Real(0);
    for (var j = 0u; j < params.index_count; j++) {
      if (indices[i_g] == own) {
        total += g[i_g];
      }
      i_g += params.inner;
    }
    out[item] = total;
  }
}
