// Adjoint of picking one pixel per window: thread t makes items t, t + GROUP, ... of its run, up to
// LANES neighbouring pixels of a row each, and asks only the windows that can see one of them. No
// atomics: the order of additions is fixed.
// out[n, c, r, s] = sum of g[n, c, o, p] over the windows (o, p) with
// indices[n, c, o, p] = r W + s.
// Threads walk on from item to item by adding, because dividing is slow on software adapters; the
// stride is a const for the same reason.
// Consts: GROUP (threads per workgroup), STRIDE_H, STRIDE_W, LANES, STEPS (0 to LANES - 1).
// Types: Item, Out.   Functions: store(i, left, value: Item), see engine/ops/pool-window.ts.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, h: u32, w: u32, oh: u32, ow: u32,
  kernel_h: u32, kernel_w: u32, pad_h: u32, pad_w: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<Real>;         // [N, C, OH, OW]
@group(0) @binding(2) var<storage, read> indices: array<Real>;   // [N, C, OH, OW]
@group(0) @binding(3) var<storage, read_write> out: array<Out>;  // [N, C, H, W]

// First and end of the windows that see pixel i: those o with o stride <= i + pad < o stride +
// kernel.
fn windows(i: u32, kernel: u32, stride: u32, pad: u32, count: u32) -> vec2u {
  let first = (max(i + pad + stride, kernel) - kernel) / stride;
  return vec2u(first, min(count, (i + pad) / stride + 1u));
}

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
    let rows = windows(r, params.kernel_h, STRIDE_H, params.pad_h, params.oh);
    let p0 = windows(s, params.kernel_w, STRIDE_W, params.pad_w, params.ow).x;
    let p1 = windows(last, params.kernel_w, STRIDE_W, params.pad_w, params.ow).y;
    let own = Real(r * params.w + s) + STEPS;
    var total = Item(0);
    for (var o = rows.x; o < rows.y; o++) {
      let i_row = (plane * params.oh + o) * params.ow;
      for (var p = p0; p < p1; p++) {
        // No branch: nobody can foresee which pixel was picked, and CPUs try.
        let is_own = Item(indices[i_row + p]) == own;
        total += select(Item(0), Item(g[i_row + p]), is_own);
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
