// Input gradient of a convolution, second half: each pixel gathers the taps that its output pixels
// sent to it.
// out[n, c, y, x] = sum over (ky, kx) of taps[c, ky, kx, (n, oy, ox)]
//   with oy stride + ky dilation - padding = y, x alike; per axis stride or dilation is 1.
// Pixels whose y + padding leave the same remainder r by the stride have the same taps ky: r,
// r + stride, ..., whose oy are q, q - dilation, ..., where q is the quotient.
// An item is 4 stride neighbouring pixels of a row: for each remainder four pixels, one vec4 of
// sums. Rows of one remainder follow one another, so that most threads of a subgroup agree on taps.
// Thread t makes items t, t + GROUP, ... of its run.   Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, channels: u32, taps_row: u32,
  row_items: u32, phase_rows: u32,
  height: u32, width: u32, out_height: u32, out_width: u32, kernel_h: u32, kernel_w: u32,
  stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32, dilation_y: u32, dilation_x: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> taps: array<Real>;       // [C, KH, KW, taps_row]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [N, C, H, W]

/** Four neighbouring values of a row of output pixels, 0 where there are none. */
fn load_taps(i_row: u32, ox: vec4u) -> vec4<Real> {
  let is_inside = ox < vec4u(params.out_width);
  let i = select(vec4u(), vec4u(i_row) + ox, is_inside);
  return select(vec4<Real>(), vec4<Real>(taps[i.x], taps[i.y], taps[i.z], taps[i.w]), is_inside);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let first_quotient = params.padding_x / params.stride_x;
  let first_remainder = params.padding_x - first_quotient * params.stride_x;
  for (var i = first + thread.x; i < end; i += GROUP) {
    let i_row = i / params.row_items;
    let quad = 4u * (i - i_row * params.row_items);
    let i_phase = i_row / params.phase_rows;
    let plane = i_phase / params.stride_y;
    let y = (i_row - i_phase * params.phase_rows) * params.stride_y
      + i_phase - plane * params.stride_y;
    if (y >= params.height) {
      continue;
    }
    let image = plane / params.channels;
    let q_y = (y + params.padding_y) / params.stride_y;
    let first_ky = y + params.padding_y - q_y * params.stride_y;
    let i_image = image * params.out_height * params.out_width;
    let first_tap = (plane - image * params.channels) * params.kernel_h * params.kernel_w;
    let i_out = (plane * params.height + y) * params.width;

    var first_kx = first_remainder;
    var q_x = vec4u(quad + first_quotient) + vec4u(0u, 1u, 2u, 3u);
    for (var phase = 0u; phase < params.stride_x; phase++) {
      var sum = vec4<Real>();
      // Indices below 0 wrap around to huge numbers, too large for the output size.
      var oy = q_y;
      for (var ky = first_ky; ky < params.kernel_h; ky += params.stride_y) {
        if (oy < params.out_height) {
          let i_line = i_image + oy * params.out_width;
          let i_tap = first_tap + ky * params.kernel_w;
          var ox = q_x;
          for (var kx = first_kx; kx < params.kernel_w; kx += params.stride_x) {
            sum += load_taps((i_tap + kx) * params.taps_row + i_line, ox);
            ox -= vec4u(params.dilation_x);
          }
        }
        oy -= params.dilation_y;
      }
      let x = vec4u(quad * params.stride_x + phase)
        + params.stride_x * vec4u(0u, 1u, 2u, 3u);
      if (x.x < params.width) { out[i_out + x.x] = sum.x; }
      if (x.y < params.width) { out[i_out + x.y] = sum.y; }
      if (x.z < params.width) { out[i_out + x.z] = sum.z; }
      if (x.w < params.width) { out[i_out + x.w] = sum.w; }
      first_kx++;
      if (first_kx == params.stride_x) {
        first_kx = 0u;
        q_x += vec4u(1u);
      }
    }
  }
}
