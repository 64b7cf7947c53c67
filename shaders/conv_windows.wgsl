// Convolution at stride and dilation 1 in which a thread keeps all that it sees of a channel.
//   out[n, f, oy, ox] = sum over (c, ky, kx) of w(f, c, ky, kx) x[n, group's channel c, y, x]
//   with y = oy + ky - py and x = ox + kx - px;   w(f, c, tap) lies at
//   w_start + group w_group_stride + f w_filter_stride + c w_channel_stride + tap w_tap_stride,
//   so that the same kernel computes input gradients: filters turned round, their axes swapped.
// An item is a patch of output pixels: four in a row, in ROWS rows. A thread computes it for
// FILTERS filters: a value of x is loaded once for all of them and for all taps. A workgroup has
// one block of filters, so that its threads share the weights, and a run of items: thread t makes
// items t, t + GROUP, ... of the run.
// Consts: GROUP (threads per workgroup), FILTERS, ROWS, COLUMNS (of x that a patch sees).
// Functions: prepare_weights(thread, filters_left), called once, and add_channel(i_x, i_w), which
// adds the products of a channel to `sums`. TypeScript writes them out: see conv-windows.ts.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, runs: u32, blocks: u32, row_items: u32,
  plane_rows: u32,
  channels: u32, height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  group_channels: u32, group_filters: u32, padding_y: u32, padding_x: u32,
  w_start: u32, w_group_stride: u32, w_filter_stride: u32, w_channel_stride: u32,
  w_tap_stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;          // [N, C, H, W]
@group(0) @binding(2) var<storage, read> w: array<Real>;          // see above
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [N, O, OH, OW]

/** Of each filter, its rows. */
var<private> sums: array<vec4<Real>, FILTERS * ROWS>;
/** The first line of x that the patch sees, and which columns lie in the image. Lines above it wrap
 *  round to huge numbers. */
var<private> first_y: u32;
var<private> is_column: array<bool, COLUMNS>;

fn load_x(i: u32, is_inside: bool) -> Real {
  return select(Real(0), x[select(0u, i, is_inside)], is_inside);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let i_group = group.x + group.y * params.groups_x;
  let block = i_group / params.runs;
  if (block >= params.blocks) {
    return;
  }
  let group_blocks = (params.group_filters + FILTERS - 1u) / FILTERS;
  let conv = block / group_blocks;
  let group_filter = (block - conv * group_blocks) * FILTERS;
  let filters_left = params.group_filters - group_filter;
  let i_filter = params.w_start + conv * params.w_group_stride
    + group_filter * params.w_filter_stride;
  prepare_weights(thread, filters_left);

  let plane_size = params.height * params.width;
  let out_size = params.out_height * params.out_width;
  let run = GROUP * params.per_thread;
  let first = (i_group - block * params.runs) * run;
  let end = min(params.count, first + run);
  for (var i_first = first; i_first < end; i_first += GROUP) {
    // All threads hand out weights: those behind the last item repeat it.
    let i = min(i_first + thread, params.count - 1u);
    let i_row = i / params.row_items;
    let ox = 4u * (i - i_row * params.row_items);
    let image = i_row / params.plane_rows;
    let oy = ROWS * (i_row - image * params.plane_rows);
    first_y = oy - params.padding_y;
    let first_x = ox - params.padding_x;
    for (var column = 0u; column < COLUMNS; column++) {
      is_column[column] = first_x + column < params.width;
    }
    for (var row = 0u; row < FILTERS * ROWS; row++) {
      sums[row] = vec4<Real>();
    }
    var i_x = (image * params.channels + conv * params.group_channels) * plane_size
      + first_y * params.width + first_x;
    var i_w = i_filter;
    for (var c = 0u; c < params.group_channels; c++) {
      add_channel(i_x, i_w);
      i_x += plane_size;
      i_w += params.w_channel_stride;
    }
    let first_filter = conv * params.group_filters + group_filter;
    let i_patch = (image * params.out_channels + first_filter) * out_size
      + oy * params.out_width + ox;
    let left = params.out_width - ox;
    // Not one `continue` for all: threads would part, and could not hand out weights again.
    let is_item = i_first + thread < end;
    for (var row = 0u; row < FILTERS * ROWS; row++) {
      let f = row / ROWS;
      let r = row % ROWS;
      if (is_item && f < filters_left && oy + r < params.out_height) {
        let i_out = i_patch + f * out_size + r * params.out_width;
        let sum = sums[row];
        out[i_out] = sum.x;
        if (left > 1u) { out[i_out + 1u] = sum.y; }
        if (left > 2u) { out[i_out + 2u] = sum.z; }
        if (left > 3u) { out[i_out + 3u] = sum.w; }
      }
    }
  }
}
