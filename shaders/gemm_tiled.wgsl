// The product for GPUs: a workgroup computes TILE_ROWS x TILE_COLUMNS outputs, a thread 4 x 4.
//   out[z](m, n) = sum_k A(z, m, k) B(z, k, n);   B: see the operands file before this text
// TILE_TERMS terms at a time, all threads load a tile of A and one of B into workgroup memory, then
// each reads 4 + 4 values per term for 16 products. With several splits of k each workgroup sums
// one of them, for gemm_finish. a_row, a_term, out_row and out_column, in the prelude, give the
// summands of flat indices.
// Consts: TILE_ROWS (16, 32 or 64). The other tile sizes are tied to how threads share the loading.
// Types: Tile, of the numbers in workgroup memory.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real>;          // see a_row, a_term
@group(0) @binding(2) var<storage, read> b: array<Real>;          // see the operands file
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [splits, out_size]

const TILE_COLUMNS = 64u;
const TILE_TERMS = 16u;
const THREADS = TILE_ROWS * TILE_COLUMNS / 16u;
/** Terms that one thread loads of its column of B. */
const RUN = TILE_TERMS * TILE_COLUMNS / THREADS;
/** Rows that lie between the four that one thread loads of A. */
const ROW_SPACING = TILE_ROWS / 4u;
/** Four more than the rows, so that threads which load one row store to different memory banks. */
const A_STRIDE = TILE_ROWS + 4u;

var<workgroup> a_tile: array<Tile, TILE_TERMS * A_STRIDE>;
var<workgroup> b_tile: array<Tile, TILE_TERMS * TILE_COLUMNS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let column_tiles = (params.columns + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let row_tiles = (params.rows + TILE_ROWS - 1u) / TILE_ROWS;
  let i_tile = group.x + group.y * groups.x;
  let i_batch = i_tile / column_tiles / row_tiles;
  let z = i_batch % params.batches;
  let split = i_batch / params.batches;
  if (split >= params.splits) {
    return;
  }
  let tile_row = i_tile / column_tiles % row_tiles * TILE_ROWS;
  let tile_column = i_tile % column_tiles * TILE_COLUMNS;
  let first_term = split * params.split_terms;
  let end_term = min(first_term + params.split_terms, params.terms);

  // Loading: of A a thread takes one term of four rows, of B a run of terms of one column.
  let a_load_term = thread % TILE_TERMS;
  let a_load_row = thread / TILE_TERMS;
  let b_load_column = thread % TILE_COLUMNS;
  let b_load_term = thread / TILE_COLUMNS * RUN;
  let is_column = tile_column + b_load_column < params.columns;
  let load_column = column_at(z, min(tile_column + b_load_column, params.columns - 1u));

  // Computing: rows 4 y + i, columns x + 16 j. Threads that differ in x alone read the same of A.
  let x = thread % 16u;
  let y = thread / 16u;
  var sums: array<vec4<Real>, 4>;

  for (var k = first_term; k < end_term; k += TILE_TERMS) {
    let i_term = a_term(min(k + a_load_term, end_term - 1u));
    for (var i = 0u; i < 4u; i++) {
      let row = a_load_row + i * ROW_SPACING;
      let is_inside = tile_row + row < params.rows && k + a_load_term < end_term;
      let i_a = a_row(z, min(tile_row + row, params.rows - 1u)) + i_term;
      a_tile[a_load_term * A_STRIDE + row] = Tile(select(Real(0), a[i_a], is_inside));
    }
    var step = step_at(min(k + b_load_term, end_term - 1u));
    for (var i = 0u; i < RUN; i++) {
      var value = Real(0);
      if (is_column && k + b_load_term + i < end_term) {
        value = load_b(load_column, step);
      }
      b_tile[(b_load_term + i) * TILE_COLUMNS + b_load_column] = Tile(value);
      step = next_step(step);
    }
    workgroupBarrier();
    for (var i = 0u; i < TILE_TERMS; i++) {
      let i_b = i * TILE_COLUMNS + x;
      let b_values = vec4<Real>(vec4<Tile>(b_tile[i_b], b_tile[i_b + 16u],
                                           b_tile[i_b + 32u], b_tile[i_b + 48u]));
      let i_a = i * A_STRIDE + 4u * y;
      sums[0] = fma(vec4<Real>(Real(a_tile[i_a])), b_values, sums[0]);
      sums[1] = fma(vec4<Real>(Real(a_tile[i_a + 1u])), b_values, sums[1]);
      sums[2] = fma(vec4<Real>(Real(a_tile[i_a + 2u])), b_values, sums[2]);
      sums[3] = fma(vec4<Real>(Real(a_tile[i_a + 3u])), b_values, sums[3]);
    }
    workgroupBarrier();
  }

  for (var j = 0u; j < 4u; j++) {
    let n = tile_column + x + 16u * j;
    if (n < params.columns) {
      let i_column = split * params.out_size + out_column(n);
      for (var i = 0u; i < 4u; i++) {
        let m = tile_row + 4u * y + i;
        if (m < params.rows) {
          out[i_column + out_row(z, m)] = sums[i][j];
        }
      }
    }
  }
}
