// The product for GPUs when it is large: a workgroup computes 128 x 128 outputs, a thread 8 x 8.
//   out[z](m, n) = sum_k A(z, m, k) B(z, k, n);   B: see the operands file before this text
// TILE_TERMS terms at a time, each thread loads four values of A and four of B into workgroup
// memory, then reads 8 + 8 values per term for 64 products, twice as many per value read as
// gemm_tiled. A and `out` are read and written by vec4 alone: the plan packs what does not lie
// so. With several splits of k each workgroup sums one of them, for gemm_finish.
// Functions: a_row, a_term, out_row, out_column (summands of flat indices), columns_at and
// load_columns (four columns of B).   Types: AUnit (four terms of A), Tile, of the numbers in
// workgroup memory.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AUnit>;               // terms in runs, see a_term
@group(0) @binding(2) var<storage, read> b: array<BUnit>;               // see the operands file
@group(0) @binding(3) var<storage, read_write> out: array<vec4<Real>>;  // [splits, out_size]

const TILE_ROWS = 128u;
const TILE_COLUMNS = 128u;
const TILE_TERMS = 8u;
const TILE_QUADS = TILE_COLUMNS / 4u;
/** Four more than the rows, so that threads which load one row store to different memory banks. */
const A_STRIDE = TILE_ROWS + 4u;

var<workgroup> a_tile: array<Tile, TILE_TERMS * A_STRIDE>;
var<workgroup> b_tile: array<vec4<Tile>, TILE_TERMS * TILE_QUADS>;

@compute @workgroup_size(256)
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
  let last_quad = (params.columns - 1u) / 4u * 4u;

  // Loading: of A a thread takes four terms of one row, of B four columns of one term.
  let a_load_row = thread / 2u;
  let a_load_term = thread % 2u * 4u;
  let is_row = tile_row + a_load_row < params.rows;
  let i_load_row = a_row(z, min(tile_row + a_load_row, params.rows - 1u));
  let b_load_term = thread / TILE_QUADS;
  let load_column = tile_column + thread % TILE_QUADS * 4u;
  let is_column = load_column < params.columns;
  let load_from = columns_at(z, min(load_column, last_quad));

  // Computing: rows 4 y + i and 64 more, columns 4 x + j and 64 more.
  let x = thread % 16u;
  let y = thread / 16u;
  var left: array<vec4<Real>, 8>;
  var right: array<vec4<Real>, 8>;

  for (var k = first_term; k < end_term; k += TILE_TERMS) {
    let a_k = k + a_load_term;
    let i_a = i_load_row + a_term(min(a_k, (end_term - 1u) / 4u * 4u));
    let a_values = select(vec4<Tile>(), vec4<Tile>(a[i_a / 4u]), is_row && a_k < end_term);
    a_tile[a_load_term * A_STRIDE + a_load_row] = a_values.x;
    a_tile[(a_load_term + 1u) * A_STRIDE + a_load_row] = a_values.y;
    a_tile[(a_load_term + 2u) * A_STRIDE + a_load_row] = a_values.z;
    a_tile[(a_load_term + 3u) * A_STRIDE + a_load_row] = a_values.w;
    let b_k = k + b_load_term;
    let b_values = load_columns(load_from, step_at(min(b_k, end_term - 1u)));
    b_tile[thread] = select(vec4<Tile>(), vec4<Tile>(b_values), is_column && b_k < end_term);
    workgroupBarrier();
    for (var i = 0u; i < TILE_TERMS; i++) {
      let b_left = vec4<Real>(b_tile[i * TILE_QUADS + x]);
      let b_right = vec4<Real>(b_tile[i * TILE_QUADS + 16u + x]);
      let i_tile_a = i * A_STRIDE + 4u * y;
      let a_0 = vec4<Real>(Real(a_tile[i_tile_a]));
      let a_1 = vec4<Real>(Real(a_tile[i_tile_a + 1u]));
      let a_2 = vec4<Real>(Real(a_tile[i_tile_a + 2u]));
      let a_3 = vec4<Real>(Real(a_tile[i_tile_a + 3u]));
      let a_4 = vec4<Real>(Real(a_tile[i_tile_a + 64u]));
      let a_5 = vec4<Real>(Real(a_tile[i_tile_a + 65u]));
      let a_6 = vec4<Real>(Real(a_tile[i_tile_a + 66u]));
      let a_7 = vec4<Real>(Real(a_tile[i_tile_a + 67u]));
      left[0] = fma(a_0, b_left, left[0]);
      right[0] = fma(a_0, b_right, right[0]);
      left[1] = fma(a_1, b_left, left[1]);
      right[1] = fma(a_1, b_right, right[1]);
      left[2] = fma(a_2, b_left, left[2]);
      right[2] = fma(a_2, b_right, right[2]);
      left[3] = fma(a_3, b_left, left[3]);
      right[3] = fma(a_3, b_right, right[3]);
      left[4] = fma(a_4, b_left, left[4]);
      right[4] = fma(a_4, b_right, right[4]);
      left[5] = fma(a_5, b_left, left[5]);
      right[5] = fma(a_5, b_right, right[5]);
      left[6] = fma(a_6, b_left, left[6]);
      right[6] = fma(a_6, b_right, right[6]);
      left[7] = fma(a_7, b_left, left[7]);
      right[7] = fma(a_7, b_right, right[7]);
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < 8u; i++) {
    let m = tile_row + i / 4u * 64u + 4u * y + i % 4u;
    if (m < params.rows) {
      let i_row = split * params.out_size + out_row(z, m);
      let n = tile_column + 4u * x;
      if (n < params.columns) {
        out[(i_row + out_column(n)) / 4u] = left[i];
      }
      if (n + 64u < params.columns) {
        out[(i_row + out_column(n + 64u)) / 4u] = right[i];
      }
    }
  }
}
