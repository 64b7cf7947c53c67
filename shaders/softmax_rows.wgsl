// Softmax along rows, or its logarithm, for GPUs: `team` neighbouring threads share a row, so that
// they read neighbouring numbers.
// out[row, r] = finish(x[row, r] - max_r x, sum_r e^(x[row, r] - max_r x)); with the maximum gone
// nothing overflows.
// Items are four neighbouring numbers where rows are multiples of four, else one. Each thread folds
// its items of the row into one, then the team folds those of its threads, half of them at a time.
// Consts: GROUP (threads per workgroup, a multiple of the team, which is a power of two).
// Types: Vec.   Functions: as for softmax.wgsl.
struct Params { rows: u32, groups_x: u32, size: u32, team: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Vec>;          // [rows, size]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>;  // [rows, size]

var<workgroup> item_tile: array<Vec, GROUP>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let member = thread % params.team;
  let row = (group.x + group.y * params.groups_x) * (GROUP / params.team) + thread / params.team;
  // Threads without a row read the last one: all must reach the barriers.
  let i_first = min(row, params.rows - 1u) * params.size;
  let i_end = i_first + params.size;
  var top = x[i_first];
  for (var i = i_first + member; i < i_end; i += params.team) {
    // Not max(): it may pass over NaN, and one NaN has to spoil its row. So has exp() of a NaN.
    let value = x[i];
    top = select(top, value, (value > top) | is_nan(value));
  }
  item_tile[thread] = top;
  for (var reach = params.team / 2u; reach > 0u; reach /= 2u) {
    workgroupBarrier();
    if (member < reach) {
      let other = item_tile[thread + reach];
      top = select(top, other, (other > top) | is_nan(other));
      item_tile[thread] = top;
    }
  }
  workgroupBarrier();
  top = fold_max(item_tile[thread - member]);
  workgroupBarrier();

  var total = Vec(0);
  for (var i = i_first + member; i < i_end; i += params.team) {
    let shifted = x[i] - top;
    total += select(exp(shifted), shifted, is_nan(shifted));
  }
  item_tile[thread] = total;
  for (var reach = params.team / 2u; reach > 0u; reach /= 2u) {
    workgroupBarrier();
    if (member < reach) {
      total += item_tile[thread + reach];
      item_tile[thread] = total;
    }
  }
  workgroupBarrier();
  total = fold_sum(item_tile[thread - member]);
  if (row < params.rows) {
    for (var i = i_first + member; i < i_end; i += params.team) {
      out[i] = finish(x[i] - top, total);
    }
  }
}
