// Brings A into the form that kernels read by vec4: blocks of terms, row after row, zeros at the
// end.
//   packed[z, block, m, i] = A(z, m, block block_terms + i), 0 from the last term on, and
//   packed [batches, blocks, rows, block_terms]
// A thread takes four neighbouring terms of some rows: group_quads threads stand side by side
// along the terms, the others take further rows.
// Consts: GROUP (threads per workgroup).   Functions: a_row, a_term, see A_ADDRESS in
// gemm-product.ts.   Types: Tile, of the packed numbers.
struct Params {
  rows: u32, terms: u32, batches: u32, block_terms: u32, quads: u32,
  group_quads: u32, block_rows: u32,
  a_start: u32, a_batch_stride: u32, a_row_stride: u32, a_run: u32, a_run_stride: u32,
  a_term_stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real>;                   // see a_row, a_term
@group(0) @binding(2) var<storage, read_write> packed: array<vec4<Tile>>;  // see above

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

  let k = vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u);
  let is_term = k < vec4u(params.terms);
  let inside_k = min(k, vec4u(params.terms - 1u));
  let i_term = vec4u(a_term(inside_k.x), a_term(inside_k.y),
                     a_term(inside_k.z), a_term(inside_k.w));
  let block_quads = params.block_terms / 4u;
  let i_block_start = (z * (params.quads / block_quads) + quad / block_quads) * params.rows;
  let rows_apart = GROUP / params.group_quads;
  for (var m = first_row + thread / params.group_quads; m < end_row; m += rows_apart) {
    let i = a_row(z, m) + i_term;
    let values = vec4<Real>(a[i.x], a[i.y], a[i.z], a[i.w]);
    packed[(i_block_start + m) * block_quads + quad % block_quads] =
      select(vec4<Tile>(), vec4<Tile>(values), is_term);
  }
}
