// B of out[z] = A[z] B[z] where four neighbouring columns are one vec4: columns lie side by
// side, and the length of their runs and the strides are multiples of 4.
//   B(z, k, n) = b[z b_batch + k b_term + floor(n / b_run) b_run_stride + n mod b_run]
// It answers for four columns at once what operands_matmul.wgsl answers for one.
struct Params {
  rows: u32, columns: u32, terms: u32, batches: u32, splits: u32, split_terms: u32, block_rows: u32,
  block_terms: u32,
  out_size: u32, out_batch_stride: u32, out_row_stride: u32, out_run: u32, out_run_stride: u32,
  out_column_stride: u32,
  a_start: u32, a_batch_stride: u32, a_row_stride: u32, a_run: u32, a_run_stride: u32,
  a_term_stride: u32,
  b_batch_stride: u32, b_term_stride: u32, b_run: u32, b_run_stride: u32
}

alias BUnit = vec4<Real>;

struct Columns { i_b: u32 }

struct Step { i_b: u32 }

fn columns_at(z: u32, n: u32) -> Columns {
  return Columns(z * params.b_batch_stride + n / params.b_run * params.b_run_stride
                 + n % params.b_run);
}

fn step_at(k: u32) -> Step {
  return Step(k * params.b_term_stride);
}

fn next_step(step: Step) -> Step {
  return Step(step.i_b + params.b_term_stride);
}

fn load_columns(columns: Columns, step: Step) -> vec4<Real> {
  return b[(columns.i_b + step.i_b) / 4u];
}
