// Pooling by narrow windows on software adapters: thread t makes items t, t + GROUP, ... of its
// run, four neighbouring windows of a row each, which share the pixels that they see.
// out[n, c, o, p] = finish(all pixels of window (o, p), looked at row by row).
// All columns of x that an item sees are written out, because every turn of a loop has its price,
// and lie inside the plane by clamping, because every branch has one, too.
// Consts: GROUP (threads per workgroup), STRIDE_H, STRIDE_W.   Types: Item, Out, State.
// Functions: begin(pixel, left) -> State for a first pixel, left being the first column of an item,
// which may lie in the padding; look(state, i_plane, row, left) -> State, which has seen the row of
// pixels that begins with pixel `row` of its plane; finish(state, height, left) -> Item, height
// being the rows seen; all written by engine/ops/pool-columns.ts. store: see
// engine/ops/pool-window.ts.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, h: u32, w: u32, oh: u32, ow: u32,
  kernel_h: u32, kernel_w: u32, pad_h: u32, pad_w: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;         // [N, C, H, W]
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // [N, C, OH, OW]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let row_items = (params.ow + LANES - 1u) / LANES;
  let start = first + thread.x;
  let row = start / row_items;
  var plane = row / params.oh;
  var o = row - plane * params.oh;
  var p = (start - row * row_items) * LANES;
  for (var item = start; item < end; item += GROUP) {
    // The top in padded coordinates, so that nothing is negative.
    let top = o * STRIDE_H;
    let r0 = max(top, params.pad_h) - params.pad_h;
    let r1 = min(top + params.kernel_h, params.h + params.pad_h) - params.pad_h;
    let left = i32(p * STRIDE_W) - i32(params.pad_w);
    let i_plane = plane * params.h * params.w;
    var state = begin(r0 * params.w, left);
    for (var r = r0; r < r1; r++) {
      state = look(state, i_plane, r * params.w, left);
    }
    let i_out = (plane * params.oh + o) * params.ow + p;
    store(i_out, params.ow - p, finish(state, r1 - r0, left));
    if (item + GROUP >= end) { break; }
    p += GROUP * LANES;
    while (p >= params.ow) {
      p -= row_items * LANES;
      o++;
      if (o == params.oh) { o = 0u; plane++; }
    }
  }
}
