// Sums whose terms are neighbours, for GPUs: `team` neighbouring threads share a sum, or a part of
// one, so that they read neighbouring numbers.
// out[sum, part] = finish(sum of term(i) over the positions i of the part).
// Axes, strides and items are those of reduce.wgsl. Each thread adds its terms, then the team those
// of its threads, half of them at a time.
// Consts: GROUP (threads per workgroup, a multiple of the team, which is a power of two).
// Types: Item, Out.   Functions: as for reduce.wgsl.
struct Params {
  count: u32, groups_x: u32, team: u32, parts: u32, part_size: u32, size: u32,
  k1: u32, k2: u32, q1: u32, q2: u32,
  a_kept0: u32, a_kept1: u32, a_kept2: u32, a_summed0: u32, a_summed1: u32, a_summed2: u32,
  b_kept0: u32, b_kept1: u32, b_kept2: u32, b_summed0: u32, b_summed1: u32, b_summed2: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

var<workgroup> total_tile: array<Item, GROUP>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let member = thread % params.team;
  let item = (group.x + group.y * params.groups_x) * (GROUP / params.team) + thread / params.team;
  // Threads without an item read the last one: all must reach the barriers.
  let inside = min(item, params.count - 1u);
  let o = inside / params.parts;
  let r_first = (inside - o * params.parts) * params.part_size;
  let r_end = min(params.size, r_first + params.part_size);
  let i_sum = kept_at(o);
  let step = vec2u(params.a_summed2, params.b_summed2);
  var r = r_first + member;
  var total = Item(0);
  while (r < r_end) {
    // One run at a time: no division in it.
    let run = r / params.q2;
    let run_first = run * params.q2;
    let run_end = min(r_end, run_first + params.q2);
    var i = i_sum + run_at(run) + (r - run_first) * step;
    for (; r < run_end; r += params.team) {
      total += term(i);
      i += params.team * step;
    }
  }
  total_tile[thread] = total;
  for (var reach = params.team / 2u; reach > 0u; reach /= 2u) {
    workgroupBarrier();
    if (member < reach) {
      total += total_tile[thread + reach];
      total_tile[thread] = total;
    }
  }
  if (member == 0u && item < params.count) {
    out[item] = finish(total);
  }
}
