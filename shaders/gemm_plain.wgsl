// The obvious product: one thread computes one output element.
//   out[z](m, n) = sum_k A(z, m, k) B(z, k, n)
// B: see the operands file before this text; A, out: a_row, a_term, out_row, out_column in the
// prelude. With several splits of k each thread sums one of them, for gemm_finish.
// Consts: GROUP (threads per workgroup).
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Real>;          // see a_row, a_term
@group(0) @binding(2) var<storage, read> b: array<Real>;          // see the operands file
@group(0) @binding(3) var<storage, read_write> out: array<Real>;  // [splits, out_size]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let i = (group.x + group.y * groups.x) * GROUP + thread;
  let n = i % params.columns;
  let m = i / params.columns % params.rows;
  let i_batch = i / (params.columns * params.rows);
  let z = i_batch % params.batches;
  let split = i_batch / params.batches;
  if (split >= params.splits) {
    return;
  }
  let first_term = split * params.split_terms;
  let end_term = min(first_term + params.split_terms, params.terms);
  let i_row = a_row(z, m);
  let column = column_at(z, n);
  var step = step_at(first_term);
  var sum = Real(0);
  for (var k = first_term; k < end_term; k++) {
    sum += a[i_row + a_term(k)] * load_b(column, step);
    step = next_step(step);
  }
  out[split * params.out_size + out_row(z, m) + out_column(n)] = sum;
}
