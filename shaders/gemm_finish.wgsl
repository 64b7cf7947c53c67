// Takes the results of a product to their places: adds the partial sums of its splits, always in
// the same order, and leaves out the columns that fill up the last vec4 of a row.
//   out(z, m, n) = sum_s partial[s, z, m, n],   partial [splits, batches, rows, 4 quads]
// A thread takes four neighbouring columns of some rows: group_quads threads stand side by side
// along the columns, the others take further rows.
// Consts: GROUP (threads per workgroup).   Functions: out_row, out_column, see OUT_ADDRESS in
// gemm-product.ts.
struct Params {
  rows: u32, columns: u32, batches: u32, splits: u32, quads: u32,
  group_quads: u32, block_rows: u32,
  out_batch_stride: u32, out_row_stride: u32, out_run: u32, out_run_stride: u32,
  out_column_stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4<Real>>;  // see above
@group(0) @binding(2) var<storage, read_write> out: array<Real>;      // see out_row, out_column

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let quad_blocks = (params.quads + params.group_quads - 1u) / params.group_quads;
  let row_blocks = (params.rows + params.block_rows - 1u) / params.block_rows;
  let i_block = group.x + group.y * groups.x;
  let z = i_block / quad_blocks / row_blocks;
  let quad = i_block % quad_blocks * params.group_quads + thread % params.group_quads;
  if (z >= params.batches || quad >= params.quads) {
    return;
  }
  let first_row = i_block / quad_blocks % row_blocks * params.block_rows;
  let end_row = min(first_row + params.block_rows, params.rows);

  let n = vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u);
  let is_column = n < vec4u(params.columns);
  let i_column = vec4u(out_column(n.x), out_column(n.y), out_column(n.z), out_column(n.w));
  let partial_quads = params.batches * params.rows * params.quads;
  let rows_apart = GROUP / params.group_quads;
  for (var m = first_row + thread / params.group_quads; m < end_row; m += rows_apart) {
    let i_partial = (z * params.rows + m) * params.quads + quad;
    var sum = vec4<Real>();
    for (var split = 0u; split < params.splits; split++) {
      sum += partial[split * partial_quads + i_partial];
    }
    let i = out_row(z, m) + i_column;
    if (is_column.x) { out[i.x] = sum.x; }
    if (is_column.y) { out[i.y] = sum.y; }
    if (is_column.z) { out[i.z] = sum.z; }
    if (is_column.w) { out[i.w] = sum.w; }
  }
}
