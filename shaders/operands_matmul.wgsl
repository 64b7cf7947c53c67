// Operands of out[z] = A[z] B[z], rows m, columns n, terms k, with any strides, so that transposing
// an operand costs nothing.
//   A(m, k) = a[z a_batch + m a_row + k a_term]     B(k, n) = b[z b_batch + k b_term + n b_column]
//
// Every operands file answers the same questions for the gemm kernels; the answers about a row, a
// column or a step are asked for once and kept, so that a load is left with sums and comparisons:
//   a_row(z, m), a_term(k)       two summands of A's flat index
//   column_at(z, n)              what B and the output need to know about column n
//   step_at(k), next_step(step)  what B needs to know about term k, and then about k + 1
//   load_b(column, step)         the value B(k, n)
//   out_row(z, m), column.i_out  two summands of the output's flat index
struct Params {
  rows: u32, columns: u32, terms: u32, batches: u32, splits: u32, split_terms: u32, block_rows: u32,
  out_size: u32,
  a_batch_stride: u32, a_row_stride: u32, a_term_stride: u32,
  b_batch_stride: u32, b_term_stride: u32, b_column_stride: u32,
  out_row_stride: u32, out_column_stride: u32
}

struct Column { i_b: u32, i_out: u32 }

struct Step { i_b: u32 }

fn a_row(z: u32, m: u32) -> u32 {
  return z * params.a_batch_stride + m * params.a_row_stride;
}

fn a_term(k: u32) -> u32 {
  return k * params.a_term_stride;
}

fn column_at(z: u32, n: u32) -> Column {
  let i_b = z * params.b_batch_stride + n * params.b_column_stride;
  return Column(i_b, n * params.out_column_stride);
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

fn out_row(z: u32, m: u32) -> u32 {
  return z * params.rows * params.columns + m * params.out_row_stride;
}
