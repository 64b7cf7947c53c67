// Adjoint of avg_pool: thread t makes items t, t + GROUP, ... of its run, up to LANES neighbouring
// pixels of a row each, from the windows that see one of them.
// out[n, c, r, s] = sum of g[n, c, o, p] / divisor(o, p) over the windows
// (o, p) that see pixel (r, s).
// Threads walk on from item to item by adding, because dividing is slow on software adapters; the
// stride is a const for the same reason.
// Consts: GROUP (threads per workgroup), STRIDE_H, STRIDE_W, LANES, STEPS (0 to LANES - 1).
// Types: Item, Out.
// Functions: window as in avg_pool; covering(i, size, windows, kernel, stride, pad) -> vec2u, the
// first window that sees pixel i along one axis, and the end; store(i, left, value: Item), see
// engine/ops/pool-window.ts.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, h: u32, w: u32, oh: u32, ow: u32,
  kernel_h: u32, kernel_w: u32, pad_h: u32, pad_w: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<Real>;         // [N, C, OH, OW]
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // [N, C, H, W]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let row_items = (params.w + LANES - 1u) / LANES;
  let start = first + thread.x;
  let row = start / row_items;
  var plane = row / params.h;
  var r = row - plane * params.h;
  var s = (start - row * row_items) * LANES;
  for (var item = start; item < end; item += GROUP) {
    let last = min(s + LANES, params.w) - 1u;
    let rows = covering(r, params.h, params.oh, params.kernel_h, STRIDE_H, params.pad_h);
    let p0 = covering(s, params.w, params.ow, params.kernel_w, STRIDE_W, params.pad_w).x;
    let p1 = covering(last, params.w, params.ow, params.kernel_w, STRIDE_W, params.pad_w).y;
    let own = Real(s) + STEPS;
    var total = Item(0);
    for (var o = rows.x; o < rows.y; o++) {
      let height = window(o, params.h, params.oh, params.kernel_h, STRIDE_H, params.pad_h).z;
      let i_row = (plane * params.oh + o) * params.ow;
      for (var p = p0; p < p1; p++) {
        let columns = window(p, params.w, params.ow, params.kernel_w, STRIDE_W, params.pad_w);
        let share = g[i_row + p] / Real(height * columns.z);
        let is_seen = (own >= Item(Real(columns.x))) & (own < Item(Real(columns.y)));
        total += select(Item(0), Item(share), is_seen);
      }
    }
    store((plane * params.h + r) * params.w + s, params.w - s, total);
    if (item + GROUP >= end) { break; }
    s += GROUP * LANES;
    while (s >= params.w) {
      s -= row_items * LANES;
      r++;
      if (r == params.h) { r = 0u; plane++; }
    }
  }
}
