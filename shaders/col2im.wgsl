// Input gradient of a convolution, second half: each pixel gathers the taps that its output pixels
// sent to it.
// out[n, c, y, x] = sum over (ky, kx) of taps[n, c, ky, kx, oy, ox]
//   with oy stride + ky dilation - padding = y, x alike.
// Thread t makes pixels t, t + GROUP, ... of its run.   Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  height: u32, width: u32, out_height: u32, out_width: u32, kernel_h: u32, kernel_w: u32,
  stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32, dilation_y: u32, dilation_x: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> taps: array<Real>;       // [N, C, KH, KW, OH, OW]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [N, C, H, W]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    let x = i % params.width + params.padding_x;
    let row = i / params.width;
    let y = row % params.height + params.padding_y;
    let plane = row / params.height;
    var total = Real(0);
    for (var ky = 0u; ky < params.kernel_h; ky++) {
      // Differences below 0 wrap around to huge numbers, too large for the output size.
      let from_y = y - ky * params.dilation_y;
      let oy = from_y / params.stride_y;
      if (oy >= params.out_height || oy * params.stride_y != from_y) { continue; }
      let tap_row = (plane * params.kernel_h + ky) * params.kernel_w;
      for (var kx = 0u; kx < params.kernel_w; kx++) {
        let from_x = x - kx * params.dilation_x;
        let ox = from_x / params.stride_x;
        if (ox >= params.out_width || ox * params.stride_x != from_x) { continue; }
        total += taps[((tap_row + kx) * params.out_height + oy) * params.out_width + ox];
      }
    }
    out[i] = total;
  }
}
