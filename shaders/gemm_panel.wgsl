// The product for software adapters: a workgroup is one subgroup, without barriers.
//   out[z](m, n) = sum_k A(z, m, k) B(z, k, n);   B: see the operands file before this text
// A lane owns four neighbouring columns and keeps a block of B, params.block_terms long, in private
// memory: the panel. Then, row by row, each lane loads four values of A at a time and hands them
// to all other lanes. So a load of A is shared by all columns of the block, a load of B by all
// rows. Longer sums grow in `out`, block by block; with several splits of k each workgroup sums
// one of them, for gemm_finish. A and `out` are read and written by vec4, and the plan packs what
// does not lie so; or element by element, in small products that are not worth packing.
// Consts: LANES (threads per subgroup and workgroup), MOST_TERMS (the longest block, a multiple of
// 4). The loops that fill the panel do not count to a const: Mesa unrolls a loop that it knows to
// have at most 32 rounds, and then compiles its loads for seconds. That goes for arrays of 32, too.
// Functions: a_row, a_term, out_row, out_column (summands of flat indices), columns_at and
// load_columns (four columns of B), and multiply_block(i_row, block_terms, start), which adds
// A(row, k) B(k, n) to start for all k of the block. TypeScript unrolls it, so that every index
// into the panel is a constant. Four terms of A and four columns of `out`: see panelAccess in
// gemm-panel.ts.
// Types: AUnit and Unit, of A and `out`. The panel holds Real in mixed precision too: a CPU would
// have to convert its halves anew for each row.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AUnit>;         // terms in runs, see a_term
@group(0) @binding(2) var<storage, read> b: array<BUnit>;         // see the operands file
@group(0) @binding(3) var<storage, read_write> out: array<Unit>;  // [splits, out_size]

const BLOCK_COLUMNS = 4u * LANES;
/** Loads of A per lane and row: LANES neighbours take the values of 4 LANES terms. */
const A_LOADS = (MOST_TERMS + BLOCK_COLUMNS - 1u) / BLOCK_COLUMNS;

/**
 * The panel: B(k, n) of the block's terms k, an array for each of this lane's columns n. LLVM
 * compares every use of an array with every other one: a single array of vec4s compiles for 1.6
 * times as long, bench/results/2026-11-23-cold-start-lavapipe.json.
 */
var<private> b_x: array<Real, max(MOST_TERMS, 33u)>;
var<private> b_y: array<Real, max(MOST_TERMS, 33u)>;
var<private> b_z: array<Real, max(MOST_TERMS, 33u)>;
var<private> b_w: array<Real, max(MOST_TERMS, 33u)>;
/** A's summands for the terms that this lane loads. */
var<private> a_terms: array<Places, A_LOADS>;
var<private> is_term: array<Inside, A_LOADS>;

fn fill(k: u32, column_values: vec4<Real>) {
  b_x[k] = column_values.x;
  b_y[k] = column_values.y;
  b_z[k] = column_values.z;
  b_w[k] = column_values.w;
}

/** This lane's i-th four values of A's row, 0 past the last term. */
fn load_a(i_row: u32, i: u32) -> vec4<Real> {
  return select(vec4<Real>(), load_terms(i_row, a_terms[i]), is_term[i]);
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

  let n = i_block % column_blocks * BLOCK_COLUMNS + 4u * lane;
  let is_column = n < params.columns;
  // Lanes without columns of their own read those of the last lane that has some.
  let inside_n = min(n, (params.columns - 1u) / 4u * 4u);
  let columns = columns_at(z, inside_n);
  let i_split = split * params.out_size;
  let i_columns = places_of_columns(inside_n);

  var step = step_at(first_term);
  for (var block_term = first_term; block_term < end_term; block_term += params.block_terms) {
    let block_terms = min(params.block_terms, end_term - block_term);
    for (var k = 0u; k < block_terms; k++) {
      fill(k, load_columns(columns, step));
      step = next_step(step);
    }
    for (var k = block_terms; k < params.block_terms; k++) {
      fill(k, vec4<Real>());
    }
    for (var i = 0u; i < A_LOADS; i++) {
      let k = block_term + i * BLOCK_COLUMNS + 4u * lane;
      is_term[i] = are_terms(k, end_term);
      a_terms[i] = places_of_terms(min(k, (end_term - 1u) / 4u * 4u));
    }

    for (var m = first_row; m < end_row; m++) {
      let i_row = i_split + out_row(z, m);
      var sum = vec4<Real>();
      if (block_term > first_term) {
        sum = load_sums(i_row, i_columns);
      }
      sum = multiply_block(a_row(z, m), block_terms, sum);
      if (is_column) {
        store_sums(i_row, i_columns, n, sum);
      }
    }
  }
}
