// Sums over any axes: thread t makes items t, t + GROUP, ... of its run, one part of one sum each.
// out[item] = finish(sum of term(i) over the positions i of the part).
// Axes are kept (sizes k, strides kept) or summed (sizes q, strides summed), each at most three,
// neighbours merged; strides are those of both operands, (a, b). Along the innermost axis of all,
// items are four numbers where the plan says so: sizes and strides count such items.
// A sum of `size` terms is cut into `parts`. They come in bundles of `lanes`, which take turns, so
// that neighbouring threads read neighbours; each part has `part_size` terms.
// Consts: GROUP (threads per workgroup), KEPT, SUMMED (axes), IS_RUN (lanes is 1),
// PART_IS_INNER (out is [sums, parts] and not [parts, sums]).   Types: Item, Out.
// Functions: term(i: vec2u) -> Item, finish(total: Item) -> Out.   They come with the bindings, in
// sum_terms.wgsl or product_terms.wgsl.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  sums: u32, parts: u32, part_size: u32, lanes: u32, size: u32,
  k1: u32, k2: u32, q1: u32, q2: u32,
  a_kept0: u32, a_kept1: u32, a_kept2: u32, a_summed0: u32, a_summed1: u32, a_summed2: u32,
  b_kept0: u32, b_kept1: u32, b_kept2: u32, b_summed0: u32, b_summed1: u32, b_summed2: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

// Where sum `o` begins. The last axis is number 2; the first that there is takes what is left.
fn kept_at(o: u32) -> vec2u {
  var rest = o;
  var i = vec2u(0u);
  if (KEPT > 1) {
    i += (rest % params.k2) * vec2u(params.a_kept2, params.b_kept2);
    rest /= params.k2;
  }
  if (KEPT > 2) {
    i += (rest % params.k1) * vec2u(params.a_kept1, params.b_kept1);
    rest /= params.k1;
  }
  return i + rest * vec2u(params.a_kept0, params.b_kept0);
}

// Where term `r` of a sum lies, from its beginning.
fn summed_at(r: u32) -> vec2u {
  var rest = r;
  var i = vec2u(0u);
  if (SUMMED > 1) {
    i += (rest % params.q2) * vec2u(params.a_summed2, params.b_summed2);
    rest /= params.q2;
  }
  if (SUMMED > 2) {
    i += (rest % params.q1) * vec2u(params.a_summed1, params.b_summed1);
    rest /= params.q1;
  }
  return i + rest * vec2u(params.a_summed0, params.b_summed0);
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let share = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * share;
  let end = min(params.count, first + share);
  for (var item = first + thread.x; item < end; item += GROUP) {
    var o = item;
    var part = 0u;
    if (params.parts > 1u) {
      let inner = select(params.sums, params.parts, PART_IS_INNER);
      let quotient = item / inner;
      let remainder = item - quotient * inner;
      o = select(remainder, quotient, PART_IS_INNER);
      part = select(quotient, remainder, PART_IS_INNER);
    }
    let i_sum = kept_at(o);
    let bundle = part / params.lanes;
    let bundle_size = params.lanes * params.part_size;
    let r_end = min(params.size, (bundle + 1u) * bundle_size);
    var r = bundle * bundle_size + part - bundle * params.lanes;
    var total = Item(0);
    if (IS_RUN) {
      var step = vec2u(params.a_summed0, params.b_summed0);
      if (SUMMED > 1) { step = vec2u(params.a_summed2, params.b_summed2); }
      while (r < r_end) {
        // One run along the innermost summed axis: no division in it.
        var i = i_sum + summed_at(r);
        var run_end = r_end;
        if (SUMMED > 1) { run_end = min(r_end, (r / params.q2 + 1u) * params.q2); }
        for (; r < run_end; r++) {
          total += term(i);
          i += step;
        }
      }
    } else {
      for (; r < r_end; r += params.lanes) { total += term(i_sum + summed_at(r)); }
    }
    out[item] = finish(total);
  }
}
