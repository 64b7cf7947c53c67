// The product for software adapters: a workgroup is one subgroup, without barriers.
//   out[z](m, n) = sum_k A(z, m, k) B(z, k, n);   A, B, out: see the operands file before this text
// A lane owns four columns and keeps a block of B, BLOCK_TERMS long, in private memory: the panel.
// Then, row by row, each lane loads a few values of A and hands them to all other lanes. So a load
// of A is shared by all columns of the block, a load of B by all rows. Longer sums grow in `out`,
// block by block; with several splits of k each workgroup sums one of them, for gemm_reduce_splits.
// Consts: LANES (threads per subgroup and workgroup), BLOCK_TERMS (a multiple of LANES).
// Function: multiply_block(i_row, sum) adds A(row, k) B(k, n) for all k of the block. TypeScript
// unrolls it, so that every index into the panel is a constant and a load has a fixed address.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real>;          // see the operands file
@group(0) @binding(2) var<storage, read> b: array<Real>;          // see the operands file
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [splits, out_size]

const BLOCK_COLUMNS = 4u * LANES;

/** B(k, n) of the block's terms k and this lane's columns n. */
var<private> b_panel: array<vec4<Real>, BLOCK_TERMS>;
/** A's summands for the terms that this lane loads: its own and every LANES-th after it. */
var<private> a_terms: array<u32, BLOCK_TERMS / LANES>;
var<private> is_term: array<bool, BLOCK_TERMS / LANES>;

/** This lane's i-th value of A's row, 0 past the last term. */
fn load_a(i_row: u32, i: u32) -> Real {
  return select(Real(0), a[i_row + a_terms[i]], is_term[i]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(subgroup_invocation_id) lane: u32) {
  let column_blocks = (params.columns + BLOCK_COLUMNS - 1u) / BLOCK_COLUMNS;
  let row_blocks = (params.rows + params.block_rows - 1u) / params.block_rows;
  let i_block = group.x + group.y * groups.x;
  let i_batch = i_block / column_blocks / row_blocks;
  let z = i_batch % params.batches;
  let split = i_batch / params.batches;
  if (split >= params.splits) {
    return;
  }
  let first_row = i_block / column_blocks % row_blocks * params.block_rows;
  let end_row = min(first_row + params.block_rows, params.rows);
  let first_term = split * params.split_terms;
  let end_term = min(first_term + params.split_terms, params.terms);

  // Columns LANES apart, so that neighbouring lanes read neighbouring elements.
  let first_column = i_block % column_blocks * BLOCK_COLUMNS + lane;
  let n = first_column + vec4u(0u, LANES, 2u * LANES, 3u * LANES);
  let is_column = n < vec4u(params.columns);
  let last_column = params.columns - 1u;
  let column_0 = column_at(z, min(n.x, last_column));
  let column_1 = column_at(z, min(n.y, last_column));
  let column_2 = column_at(z, min(n.z, last_column));
  let column_3 = column_at(z, min(n.w, last_column));

  var step = step_at(first_term);
  for (var block_term = first_term; block_term < end_term; block_term += BLOCK_TERMS) {
    let block_terms = min(BLOCK_TERMS, end_term - block_term);
    for (var k = 0u; k < block_terms; k++) {
      b_panel[k] = vec4<Real>(load_b(column_0, step), load_b(column_1, step),
                              load_b(column_2, step), load_b(column_3, step));
      step = next_step(step);
    }
    for (var k = block_terms; k < BLOCK_TERMS; k++) {
      b_panel[k] = vec4<Real>();
    }
    for (var i = 0u; i < BLOCK_TERMS / LANES; i++) {
      let k = block_term + i * LANES + lane;
      is_term[i] = k < end_term;
      a_terms[i] = a_term(min(k, end_term - 1u));
    }

    for (var m = first_row; m < end_row; m++) {
      let i_out = split * params.out_size + out_row(z, m);
      let i = vec4u(column_0.i_out, column_1.i_out, column_2.i_out, column_3.i_out) + i_out;
      var sum = vec4<Real>();
      if (block_term > first_term) {
        sum = vec4<Real>(out[i.x], out[i.y], out[i.z], out[i.w]);
      }
      sum = multiply_block(a_row(z, m), sum);
      if (is_column.x) { out[i.x] = sum.x; }
      if (is_column.y) { out[i.y] = sum.y; }
      if (is_column.z) { out[i.z] = sum.z; }
      if (is_column.w) { out[i.w] = sum.w; }
    }
  }
}
