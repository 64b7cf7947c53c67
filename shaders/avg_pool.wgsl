// Means over windows: thread t makes items t, t + GROUP, ... of its run, one window each.
// out[n, c, o, p] = sum of x[n, c, r, s] over the pixels (r, s) of window (o, p) / its divisor.
// Threads walk on from item to item by adding, because dividing is slow on software adapters; the
// stride is a const for the same reason.
// Consts: GROUP (threads per workgroup), STRIDE_H, STRIDE_W.
// Functions: window(o, size, windows, kernel, stride, pad) -> vec3u, the first pixel, the end and
// the divisor of window o along one axis.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, h: u32, w: u32, oh: u32, ow: u32,
  kernel_h: u32, kernel_w: u32, pad_h: u32, pad_w: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;          // [N, C, H, W]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [N, C, OH, OW]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let start = first + thread.x;
  let row = start / params.ow;
  var plane = row / params.oh;
  var o = row - plane * params.oh;
  var p = start - row * params.ow;
  for (var item = start; item < end; item += GROUP) {
    let rows = window(o, params.h, params.oh, params.kernel_h, STRIDE_H, params.pad_h);
    let columns = window(p, params.w, params.ow, params.kernel_w, STRIDE_W, params.pad_w);
    var total = Real(0);
    for (var r = rows.x; r < rows.y; r++) {
      let i_x = (plane * params.h + r) * params.w;
      for (var s = columns.x; s < columns.y; s++) {
        total += x[i_x + s];
      }
    }
    out[item] = total / Real(rows.z * columns.z);
    if (item + GROUP >= end) { break; }
    p += GROUP;
    while (p >= params.ow) {
      p -= params.ow;
      o++;
      if (o == params.oh) { o = 0u; plane++; }
    }
  }
}
