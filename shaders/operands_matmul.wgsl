// B of out[z] = A[z] B[z] with any strides, so that transposing it costs nothing. Its columns may
// be cut into runs, which are the images of a 1x1 convolution.
//   B(z, k, n) = b[z b_batch + k b_term + floor(n / b_run) b_run_stride + (n mod b_run) b_column]
//
// Every operands file answers the same questions for the gemm kernels; the answers about a
// column or a step are asked for once and kept, so that a load is left with sums and
// comparisons:
//   column_at(z, n), next_column(column)  what B needs to know about column n, and then about n + 1
//   step_at(k), next_step(step)           what B needs to know about term k, and then about k + 1
//   load_b(column, step)                  the value B(z, k, n)
// Where A and the output lie is told by strides alone (RunLayout in engine/ops/gemm-product.ts).
struct Params {
  rows: u32, columns: u32, terms: u32, batches: u32, splits: u32, split_terms: u32, block_rows: u32,
  block_terms: u32,
  out_size: u32, out_batch_stride: u32, out_row_stride: u32, out_run: u32, out_run_stride: u32,
  out_column_stride: u32,
  a_start: u32, a_batch_stride: u32, a_row_stride: u32, a_run: u32, a_run_stride: u32,
  a_term_stride: u32,
  b_batch_stride: u32, b_term_stride: u32, b_run: u32, b_run_stride: u32, b_column_stride: u32
}

/** i_run: where the column's run begins; i: its place there. */
struct Column { i_b: u32, i_run: u32, i: u32 }

struct Step { i_b: u32 }

fn column_of(i_run: u32, i: u32) -> Column {
  return Column(i_run + i * params.b_column_stride, i_run, i);
}

fn column_at(z: u32, n: u32) -> Column {
  return column_of(z * params.b_batch_stride + n / params.b_run * params.b_run_stride,
                   n % params.b_run);
}

fn next_column(column: Column) -> Column {
  let is_run_end = column.i + 1u == params.b_run;
  return column_of(column.i_run + select(0u, params.b_run_stride, is_run_end),
                   select(column.i + 1u, 0u, is_run_end));
}

fn step_at(k: u32) -> Step {
  return Step(k * params.b_term_stride);
}

fn next_step(step: Step) -> Step {
  return Step(step.i_b + params.b_term_stride);
}

fn load_b(column: Column, step: Step) -> Real {
  return b[column.i_b + step.i_b];
}
