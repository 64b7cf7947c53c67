// Sums over any axes: thread t makes items t, t + GROUP, ... of its run, one part of one sum each.
// out[item] = finish(sum of term(i) over the positions i of the part).
// Axes are kept (sizes k, strides kept) or summed (sizes q, strides summed), each at most three,
// neighbours merged; strides are those of both operands, (a, b). Along the innermost axis of all,
// items are four numbers where the plan says so: sizes and strides count such items.
// A sum of `size` terms is cut into `parts`. They come in bundles of `lanes`, which take turns, so
// that neighbouring threads read neighbours; each part has `part_size` terms.
// Consts: GROUP (threads per workgroup).   Types: Item, Out.
// Functions: term(i: vec2u) -> Item, with the bindings in sum_terms.wgsl or product_terms.wgsl;
// finish(total: Item) -> Out; kept_at(o) and run_at(run), see PLACES in engine/ops/reduce-plan.ts.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  sums: u32, parts: u32, part_size: u32, lanes: u32, size: u32, is_part_inner: u32,
  k1: u32, k2: u32, q1: u32, q2: u32,
  a_kept0: u32, a_kept1: u32, a_kept2: u32, a_summed0: u32, a_summed1: u32, a_summed2: u32,
  b_kept0: u32, b_kept1: u32, b_kept2: u32, b_summed0: u32, b_summed1: u32, b_summed2: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let share = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * share;
  let end = min(params.count, first + share);
  let step = vec2u(params.a_summed2, params.b_summed2);
  for (var item = first + thread.x; item < end; item += GROUP) {
    var o = item;
    var part = 0u;
    if (params.parts > 1u) {
      let is_inner = params.is_part_inner > 0u;
      let inner = select(params.sums, params.parts, is_inner);
      let quotient = item / inner;
      let remainder = item - quotient * inner;
      o = select(remainder, quotient, is_inner);
      part = select(quotient, remainder, is_inner);
    }
    let i_sum = kept_at(o);
    let bundle = part / params.lanes;
    let bundle_size = params.lanes * params.part_size;
    let r_end = min(params.size, (bundle + 1u) * bundle_size);
    var r = bundle * bundle_size + part - bundle * params.lanes;
    var total = Item(0);
    while (r < r_end) {
      // One run at a time: no division in it.
      let run = r / params.q2;
      let run_first = run * params.q2;
      let run_end = min(r_end, run_first + params.q2);
      var i = i_sum + run_at(run) + (r - run_first) * step;
      for (; r < run_end; r += params.lanes) {
        total += term(i);
        i += params.lanes * step;
      }
    }
    out[item] = finish(total);
  }
}
