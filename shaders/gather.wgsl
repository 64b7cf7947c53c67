// Picks one element per index along the middle axis: thread t makes items t, t + GROUP, ... of its
// run.
// out[o, j, i] = x[o, indices[o, j, i], i], or 0 where the index is outside 0..size-1.
// Items are four neighbouring indices of a line where the plan says so, else one; index_count and
// count are items.
// Consts: GROUP (threads per workgroup).   Types: Item.
// Functions: pick_item(indices: Item, i_line) -> Item, which calls pick for each.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, size: u32, index_count: u32, inner: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;          // [outer, size, inner]
@group(0) @binding(2) var<storage, read> indices: array<Item>;    // [outer, index_count, inner]
@group(0) @binding(3) var<storage, read_write> out: array<Item>;  // [outer, index_count, inner]

fn pick(index: Real, i_line: u32) -> Real {
  if (index >= Real(0) && index < Real(params.size)) {
    return x[i_line + u32(index) * params.inner];
  }
  return Real(0);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let row = item / params.inner;
    let o = row / params.index_count;
    let i_line = o * params.size * params.inner + item - row * params.inner;
    out[item] = pick_item(indices[item], i_line);
  }
}
