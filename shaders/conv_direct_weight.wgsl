// Weight gradient of a convolution without a product of matrices, for groups of few channels and
// filters: parts of the sums, for gemm_finish.
//   partial[part, (o, c, ky), kx] = sum over the part's lines (n, oy) and all ox of
//     dy[n, o, oy, ox] x[n, group's channel c, oy sy - py + ky dy, ox sx - px + kx]
//   partial [parts, O C/groups KH, 4 quads]; along x the dilation is 1.
// A thread sums four neighbouring taps of one line of a filter over one part. From one output
// pixel to the next the four see the same inputs, moved on by the stride.
// Consts: GROUP (threads per workgroup).
struct Params {
  groups_x: u32, parts: u32, part_lines: u32, lines: u32, rows: u32, quads: u32,
  channels: u32, height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  group_channels: u32, group_filters: u32,
  kernel_h: u32, stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32,
  dilation_y: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;                    // [N, C, H, W]
@group(0) @binding(2) var<storage, read> dy: array<Real>;                   // [N, O, OH, OW]
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<Real>>;  // see above

/** The input at a place of a line, 0 outside. Places left of it wrap round to huge numbers. */
fn load_x(i_line: u32, place: u32) -> Real {
  let is_inside = place < params.width;
  return select(Real(0), x[select(0u, i_line + place, is_inside)], is_inside);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let i = (group.x + group.y * params.groups_x) * GROUP + thread.x;
  let i_row = i / params.quads;
  let part = i_row / params.rows;
  if (part >= params.parts) {
    return;
  }
  let row = i_row - part * params.rows;
  let plane = row / params.kernel_h;
  let ky = row - plane * params.kernel_h;
  let out_channel = plane / params.group_channels;
  let channel = out_channel / params.group_filters * params.group_channels
    + plane - out_channel * params.group_channels;
  let first_x = 4u * (i - i_row * params.quads) - params.padding_x;
  let first_line = part * params.part_lines;
  let end_line = min(first_line + params.part_lines, params.lines);
  var image = first_line / params.out_height;
  var oy = first_line - image * params.out_height;
  var sum = vec4<Real>();
  for (var line = first_line; line < end_line; line++) {
    let y = oy * params.stride_y + ky * params.dilation_y - params.padding_y;
    if (y < params.height) {
      let i_x = ((image * params.channels + channel) * params.height + y) * params.width;
      let i_dy = ((image * params.out_channels + out_channel) * params.out_height + oy)
        * params.out_width;
      // The first output pixel shifts in what lies under it.
      var place = first_x + 4u - params.stride_x;
      var window = vec4<Real>(load_x(i_x, place - 4u), load_x(i_x, place - 3u),
                              load_x(i_x, place - 2u), load_x(i_x, place - 1u));
      for (var ox = 0u; ox < params.out_width; ox++) {
        for (var step = 0u; step < params.stride_x; step++) {
          window = vec4<Real>(window.yzw, load_x(i_x, place));
          place++;
        }
        sum += dy[i_dy + ox] * window;
      }
    }
    oy++;
    if (oy == params.out_height) {
      oy = 0u;
      image++;
    }
  }
  partial[i] = sum;
}
