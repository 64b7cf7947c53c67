// Reduction over the middle axis: thread t makes items t, t + GROUP, ... of its run.
// out[o, s, i] = combine of x[o, r, i] over the r of part s.
// A long axis is first cut into `parts` parts of `part_size`; a second dispatch reduces the parts.
// Consts: GROUP (threads per workgroup), START (Real).
// Functions: combine(a: Real, b: Real) -> Real.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, size: u32, inner: u32, parts: u32, part_size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;          // [outer, size, inner]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [outer, parts, inner]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let i = item % params.inner;
    let row = item / params.inner;
    let part = row % params.parts;
    let o = row / params.parts;
    let r0 = part * params.part_size;
    let r1 = min(params.size, r0 + params.part_size);
    var i_x = (o * params.size + r0) * params.inner + i;
    var total = START;
    for (var r = r0; r < r1; r++) {
      total = combine(total, x[i_x]);
      i_x += params.inner;
    }
    out[item] = total;
  }
}
