// Where each pooling window has its maximum: thread t makes items t, t + GROUP, ... of its run, one
// window each.
// out[n, c, o, p] = first r W + s that maximizes x[n, c, r, s] over the pixels (r, s) of
// window (o, p); NaN is largest.
// Threads walk on from item to item by adding, because dividing is slow on software adapters; the
// stride is a const for the same reason.
// Consts: GROUP (threads per workgroup), STRIDE_H, STRIDE_W.
// Functions: beats(value: Real, best: Real) -> bool.
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
    // Corners in padded coordinates, so that nothing is negative.
    let top = o * STRIDE_H;
    let left = p * STRIDE_W;
    let r0 = max(top, params.pad_h) - params.pad_h;
    let r1 = min(top + params.kernel_h, params.h + params.pad_h) - params.pad_h;
    let s0 = max(left, params.pad_w) - params.pad_w;
    let s1 = min(left + params.kernel_w, params.w + params.pad_w) - params.pad_w;
    let i_plane = plane * params.h * params.w;
    var winner = r0 * params.w + s0;
    var best = x[i_plane + winner];
    for (var r = r0; r < r1; r++) {
      for (var s = s0; s < s1; s++) {
        let pixel = r * params.w + s;
        let value = x[i_plane + pixel];
        if (beats(value, best)) {
          best = value;
          winner = pixel;
        }
      }
    }
    out[item] = Real(winner);
    if (item + GROUP >= end) { break; }
    p += GROUP;
    while (p >= params.ow) {
      p -= params.ow;
      o++;
      if (o == params.oh) { o = 0u; plane++; }
    }
  }
}
