// Input gradient of a convolution without a product of matrices, for groups of few channels.
//   out[n, c, y, x] = sum over (o, ky, kx) of w[o, c, ky, kx] dy[n, group's o, oy, ox]
//   with oy sy + ky dy - py = y and ox sx + kx - px = x; along x the dilation is 1, along y it is
//   or the stride is.
// Items, remainders and quotients are those of col2im.wgsl: 4 sx pixels of a row, four for each
// remainder. From one tap of a remainder to the next the four see the same dy, moved on by one:
// each tap loads one value for four products.
// Thread t makes items t, t + GROUP, ... of its run.   Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, row_items: u32, phase_rows: u32,
  channels: u32, height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  group_channels: u32, group_filters: u32,
  kernel_h: u32, kernel_w: u32, stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32,
  dilation_y: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Real>;         // [N, O, OH, OW]
@group(0) @binding(2) var<storage, read> w: array<Real>;          // [O, C/groups, KH, KW]
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [N, C, H, W]

/** dy at a place of a line, 0 outside. Places left of it wrap round to huge numbers. */
fn load_dy(i_line: u32, place: u32) -> Real {
  let is_inside = place < params.out_width;
  return select(Real(0), dy[select(0u, i_line + place, is_inside)], is_inside);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let first_quotient = params.padding_x / params.stride_x;
  let first_remainder = params.padding_x - first_quotient * params.stride_x;
  let taps = params.kernel_h * params.kernel_w;
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
    let channel = plane - image * params.channels;
    let group_of_channel = channel / params.group_channels;
    let first_filter = group_of_channel * params.group_filters;
    let i_filter = first_filter * params.group_channels
      + channel - group_of_channel * params.group_channels;
    let q_y = (y + params.padding_y) / params.stride_y;
    let first_ky = y + params.padding_y - q_y * params.stride_y;
    let i_image = (image * params.out_channels + first_filter)
      * params.out_height * params.out_width;
    let i_out = (plane * params.height + y) * params.width;

    var first_kx = first_remainder;
    var q_x = quad + first_quotient;
    for (var phase = 0u; phase < params.stride_x; phase++) {
      var sum = vec4<Real>();
      var i_plane = i_image;
      var i_w = i_filter * taps;
      for (var o = 0u; o < params.group_filters; o++) {
        var oy = q_y;
        for (var ky = first_ky; ky < params.kernel_h; ky += params.stride_y) {
          if (oy < params.out_height) {
            let i_line = i_plane + oy * params.out_width;
            var window = vec4<Real>(load_dy(i_line, q_x + 1u), load_dy(i_line, q_x + 2u),
                                    load_dy(i_line, q_x + 3u), Real(0));
            var ox = q_x;
            for (var kx = first_kx; kx < params.kernel_w; kx += params.stride_x) {
              window = vec4<Real>(load_dy(i_line, ox), window.xyz);
              sum += w[i_w + ky * params.kernel_w + kx] * window;
              ox--;
            }
          }
          oy -= params.dilation_y;
        }
        i_plane += params.out_height * params.out_width;
        i_w += params.group_channels * taps;
      }
      let x = vec4u(quad * params.stride_x + phase) + params.stride_x * vec4u(0u, 1u, 2u, 3u);
      if (x.x < params.width) { out[i_out + x.x] = sum.x; }
      if (x.y < params.width) { out[i_out + x.y] = sum.y; }
      if (x.z < params.width) { out[i_out + x.z] = sum.z; }
      if (x.w < params.width) { out[i_out + x.w] = sum.w; }
      first_kx++;
      if (first_kx == params.stride_x) {
        first_kx = 0u;
        q_x++;
      }
    }
  }
}
