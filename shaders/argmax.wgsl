// Where a line has its maximum: thread t makes items t, t + GROUP, ... of its run, one part of a
// line each.
// out[o, p, i] = first r of part p that maximizes x[o, r, i]; NaN is largest.
// A part holds `part_size` elements.
// Consts: GROUP (threads per workgroup).   Functions: beats(value: Real, best: Real) -> bool.
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
    let row = item / params.inner;
    let o = row / params.parts;
    let r0 = (row - o * params.parts) * params.part_size;
    let r1 = min(params.size, r0 + params.part_size);
    var i_x = (o * params.size + r0) * params.inner + item - row * params.inner;
    var winner = r0;
    var best = x[i_x];
    for (var r = r0 + 1u; r < r1; r++) {
      i_x += params.inner;
      let value = x[i_x];
      if (beats(value, best)) {
        best = value;
        winner = r;
      }
    }
    out[item] = Real(winner);
  }
}
