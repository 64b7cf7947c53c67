// Weight gradient of a convolution at stride and dilation 1, in which a thread keeps all that its
// pixels see: parts of the sums, for gemm_finish.
//   partial[part, (o, c), tap] = sum over the part's (n, oy, ox) of
//     dy[n, o, oy, ox] x[n, group's channel c, oy + ky - py, ox + kx - px],   tap = ky KW + kx
//   partial [parts, O C/groups, 4 QUADS]; each thread has a part of its own: no sum crosses threads
// Items, runs and blocks are those of conv_windows.wgsl, but a block has one channel: a value of x
// is loaded once for FILTERS filters and for all taps, and one of dy for all taps.
// Patches that would hang over the edge of dy are moved back, over pixels that others count: their
// dy is 0 here. Of pixels behind the edge it would be 0, too, but a NaN under one would reach taps
// that have nothing to do with it. So dy has at least ROWS lines of four pixels.
// Consts: GROUP (threads per workgroup), FILTERS, ROWS, COLUMNS (of x that a patch sees), QUADS
// (vec4s of taps).
// Function: add_patch(i_x), which adds the products of a patch to `sums`. TypeScript writes it out:
// see conv-windows.ts.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, runs: u32, blocks: u32, row_items: u32,
  plane_rows: u32,
  channels: u32, height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  group_channels: u32, group_filters: u32, padding_y: u32, padding_x: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;                    // [N, C, H, W]
@group(0) @binding(2) var<storage, read> dy: array<Real>;                   // [N, O, OH, OW]
@group(0) @binding(3) var<storage, read_write> partial: array<vec4<Real>>;  // see above

/** Of each filter, its taps. */
var<private> sums: array<vec4<Real>, FILTERS * QUADS>;
/** See conv_windows.wgsl. */
var<private> first_y: u32;
var<private> is_column: array<bool, COLUMNS>;
/** The patch's first element of dy for each filter; the columns that it counts, and the first
 *  line. */
var<private> i_dy: array<u32, FILTERS>;
var<private> is_counted: vec4<bool>;
var<private> first_counted: u32;

fn load_x(i: u32, is_inside: bool) -> Real {
  return select(Real(0), x[select(0u, i, is_inside)], is_inside);
}

/** Four neighbours of dy, 0 for those that another patch counts. */
fn load_dy(i: u32, is_own: vec4<bool>) -> vec4<Real> {
  return select(vec4<Real>(), vec4<Real>(dy[i], dy[i + 1u], dy[i + 2u], dy[i + 3u]), is_own);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i_group = group.x + group.y * params.groups_x;
  let block = i_group / params.runs;
  if (block >= params.blocks) {
    return;
  }
  let i_run = i_group - block * params.runs;
  let i_filters = block / params.group_channels;
  let channel = block - i_filters * params.group_channels;
  let group_blocks = (params.group_filters + FILTERS - 1u) / FILTERS;
  let conv = i_filters / group_blocks;
  let group_filter = (i_filters - conv * group_blocks) * FILTERS;
  let filters_left = params.group_filters - group_filter;
  let first_filter = conv * params.group_filters + group_filter;

  let plane_size = params.height * params.width;
  let out_size = params.out_height * params.out_width;
  let run = GROUP * params.per_thread;
  let end = min(params.count, (i_run + 1u) * run);
  for (var i = 0u; i < FILTERS * QUADS; i++) {
    sums[i] = vec4<Real>();
  }
  for (var i = i_run * run + thread; i < end; i += GROUP) {
    let i_row = i / params.row_items;
    let item_x = 4u * (i - i_row * params.row_items);
    let ox = min(item_x, params.out_width - 4u);
    let image = i_row / params.plane_rows;
    let item_y = ROWS * (i_row - image * params.plane_rows);
    let oy = min(item_y, params.out_height - ROWS);
    first_y = oy - params.padding_y;
    let first_x = ox - params.padding_x;
    for (var column = 0u; column < COLUMNS; column++) {
      is_column[column] = first_x + column < params.width;
    }
    is_counted = vec4u(ox) + vec4u(0u, 1u, 2u, 3u) >= vec4u(item_x);
    first_counted = item_y - oy;
    for (var f = 0u; f < FILTERS; f++) {
      // Filters that are not there repeat the last one.
      let plane = image * params.out_channels + first_filter + min(f, filters_left - 1u);
      i_dy[f] = plane * out_size + oy * params.out_width + ox;
    }
    add_patch((image * params.channels + conv * params.group_channels + channel) * plane_size
      + first_y * params.width + first_x);
  }

  let rows = params.out_channels * params.group_channels;
  let i_part = (i_run * GROUP + thread) * rows;
  for (var f = 0u; f < FILTERS; f++) {
    if (f < filters_left) {
      let row = (first_filter + f) * params.group_channels + channel;
      for (var quad = 0u; quad < QUADS; quad++) {
        partial[(i_part + row) * QUADS + quad] = sums[f * QUADS + quad];
      }
    }
  }
}
