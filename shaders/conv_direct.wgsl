// conv2d without a product of matrices, for groups of so few filters that rows would be few.
//   out[n, o, oy, ox] = sum over (c, ky, kx) of w[o, c, ky, kx] x[n, group's channel c, y, x]
//   with y = oy sy - py + ky dy and x = ox sx - px + kx; along x the dilation is 1.
// An item is four neighbouring output pixels. Taps sx apart see the same inputs, moved on by one
// output pixel: so they are taken in that order, and each loads one input for four products.
// Thread t makes items t, t + GROUP, ... of its run.   Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, row_items: u32,
  channels: u32, height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  group_channels: u32, group_filters: u32,
  kernel_h: u32, kernel_w: u32, stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32,
  dilation_y: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;          // [N, C, H, W]
@group(0) @binding(2) var<storage, read> w: array<Real>;          // [O, C/groups, KH, KW]
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [N, O, OH, OW]

/** The input at a place of a line, 0 outside. Places left of it wrap round to huge numbers. */
fn load_x(i_line: u32, place: u32) -> Real {
  let is_inside = place < params.width;
  return select(Real(0), x[select(0u, i_line + place, is_inside)], is_inside);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    let i_row = i / params.row_items;
    let ox = 4u * (i - i_row * params.row_items);
    let plane = i_row / params.out_height;
    let oy = i_row - plane * params.out_height;
    let image = plane / params.out_channels;
    let out_channel = plane - image * params.out_channels;
    let first_channel = out_channel / params.group_filters * params.group_channels;
    let first_y = oy * params.stride_y - params.padding_y;
    let first_x = ox * params.stride_x - params.padding_x;
    var i_plane = (image * params.channels + first_channel) * params.height * params.width;
    var i_w = out_channel * params.group_channels * params.kernel_h * params.kernel_w;
    var sum = vec4<Real>();
    for (var c = 0u; c < params.group_channels; c++) {
      var y = first_y;
      for (var ky = 0u; ky < params.kernel_h; ky++) {
        if (y < params.height) {
          let i_line = i_plane + y * params.width;
          for (var first_kx = 0u; first_kx < params.stride_x; first_kx++) {
            var place = first_x + first_kx;
            var window = vec4<Real>(Real(0), load_x(i_line, place),
                                    load_x(i_line, place + params.stride_x),
                                    load_x(i_line, place + 2u * params.stride_x));
            place += 3u * params.stride_x;
            for (var kx = first_kx; kx < params.kernel_w; kx += params.stride_x) {
              window = vec4<Real>(window.yzw, load_x(i_line, place));
              sum += w[i_w + kx] * window;
              place += params.stride_x;
            }
          }
        }
        y += params.dilation_y;
        i_w += params.kernel_w;
      }
      i_plane += params.height * params.width;
    }
    let i_out = i_row * params.out_width + ox;
    let left = params.out_width - ox;
    out[i_out] = sum.x;
    if (left > 1u) { out[i_out + 1u] = sum.y; }
    if (left > 2u) { out[i_out + 2u] = sum.z; }
    if (left > 3u) { out[i_out + 3u] = sum.w; }
  }
}
