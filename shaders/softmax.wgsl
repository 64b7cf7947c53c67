// Softmax along the middle axis, or its logarithm: thread t makes lines t, t + GROUP, ... of its
// run.
// out[o, r, i] = finish(x[o, r, i] - max_r x, sum_r e^(x[o, r, i] - max_r x)); with the maximum
// gone nothing overflows.
// Items are four numbers where the plan says so: four neighbours of one line, which are folded into
// one maximum and one sum, or of four lines side by side.
// Consts: GROUP (threads per workgroup).   Types: Vec.
// Functions: is_nan(x: Vec), finish(shifted: Vec, total: Vec) -> Vec,
// fold_max(x: Vec) -> Vec, fold_sum(x: Vec) -> Vec.
struct Params { count: u32, per_thread: u32, groups_x: u32, size: u32, inner: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Vec>;          // [outer, size, inner]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>;  // [outer, size, inner]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var line = first + thread.x; line < end; line += GROUP) {
    let o = line / params.inner;
    let i_first = o * params.size * params.inner + line - o * params.inner;
    let i_end = i_first + params.size * params.inner;
    var top = x[i_first];
    for (var i = i_first; i < i_end; i += params.inner) {
      // Not max(): it may pass over NaN, and one NaN has to spoil its line. So has exp() of a NaN.
      let value = x[i];
      top = select(top, value, (value > top) | is_nan(value));
    }
    top = fold_max(top);
    var total = Vec(0);
    for (var i = i_first; i < i_end; i += params.inner) {
      let shifted = x[i] - top;
      total += select(exp(shifted), shifted, is_nan(shifted));
    }
    total = fold_sum(total);
    for (var i = i_first; i < i_end; i += params.inner) {
      out[i] = finish(x[i] - top, total);
    }
  }
}
