// gemm_panel for subgroups of four lanes and products of many columns: a lane owns QUADS times four
// neighbouring columns, those of all lanes side by side each time.
//   out[z](m, n) = sum_k A(z, m, k) B(z, k, n);   B: see the operands file before this text
// What a value of A costs, a load and a broadcast, is more there than the products of four columns
// with it: so 16 share it. All else is told in gemm_panel.wgsl.
// Consts: LANES, QUADS, BLOCK_TERMS (a multiple of 4, params.block_terms).
// Functions: a_row, a_term, out_row, out_column, columns_at, load_columns, as there, and
// multiply_row(i_row, i_a, is_first, n), which adds A(row, k) B(k, n) for all k of the block:
// engine/ops/gemm-panel-wide.ts writes it out, so that every index into the panel is a constant.
// Types: AUnit and Unit, of A and `out`.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AUnit>;         // terms in runs, see a_term
@group(0) @binding(2) var<storage, read> b: array<BUnit>;         // see the operands file
@group(0) @binding(3) var<storage, read_write> out: array<Unit>;  // [splits, out_size]

const BLOCK_COLUMNS = 4u * LANES * QUADS;
/** Terms of A that LANES neighbours load together, and how often they do for a row. */
const LOAD_TERMS = 4u * LANES;
const A_LOADS = (BLOCK_TERMS + LOAD_TERMS - 1u) / LOAD_TERMS;

/**
 * B(k, n) of the block's terms k and this lane's columns n: the terms of four columns, then of the
 * next four.
 */
var<private> b_panel: array<vec4<Real>, QUADS * BLOCK_TERMS>;
/** Where each quad's columns lie in B and in `out`. */
var<private> columns: array<Columns, QUADS>;
var<private> places: array<OutPlaces, QUADS>;
/** A's summands for the terms that this lane loads. */
var<private> a_terms: array<Places, A_LOADS>;
var<private> is_term: array<Inside, A_LOADS>;

/** This lane's i-th four values of A's row, 0 past the last term. */
fn load_a(i_row: u32, i: u32) -> vec4<Real> {
  return select(vec4<Real>(), load_terms(i_row, a_terms[i]), is_term[i]);
}

/**
 * Puts the block's terms of B into the panel, 0 past the last one, and answers the step behind it.
 * A loop over the quads, since SwiftShader would compile every copy of its body.
 */
fn fill_panel(start: Step, block_terms: u32) -> Step {
  var step = start;
  for (var quad = 0u; quad < QUADS; quad++) {
    let four = columns[quad];
    step = start;
    for (var k = 0u; k < block_terms; k++) {
      b_panel[quad * BLOCK_TERMS + k] = load_columns(four, step);
      step = next_step(step);
    }
    for (var k = block_terms; k < BLOCK_TERMS; k++) {
      b_panel[quad * BLOCK_TERMS + k] = vec4<Real>();
    }
  }
  return step;
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
  // Lanes without columns of their own read those of the last lane that has some.
  let last_n = (params.columns - 1u) / 4u * 4u;
  for (var quad = 0u; quad < QUADS; quad++) {
    let quad_n = min(n + 4u * LANES * quad, last_n);
    columns[quad] = columns_at(z, quad_n);
    places[quad] = places_of_columns(quad_n);
  }
  let i_split = split * params.out_size;

  var step = step_at(first_term);
  for (var block_term = first_term; block_term < end_term; block_term += BLOCK_TERMS) {
    step = fill_panel(step, min(BLOCK_TERMS, end_term - block_term));
    for (var i = 0u; i < A_LOADS; i++) {
      let k = block_term + i * LOAD_TERMS + 4u * lane;
      is_term[i] = are_terms(k, end_term);
      a_terms[i] = places_of_terms(min(k, (end_term - 1u) / 4u * 4u));
    }
    for (var m = first_row; m < end_row; m++) {
      multiply_row(i_split + out_row(z, m), a_row(z, m), block_term == first_term, n);
    }
  }
}
