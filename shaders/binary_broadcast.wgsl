// Elementwise function of two tensors that broadcast, one element at a time:
// out[i] = apply(a[i_a], b[i_b]).
// The output is seen as a box of RANK axes, n3 the innermost; a and b step through it with strides
// of their own, 0 where they repeat. The outermost axis needs no size.
// Consts: GROUP (threads per workgroup), RANK (1 to 4).
// Functions: apply(a: Vec, b: Vec) -> Vec with Vec = Real.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  n1: u32, n2: u32, n3: u32,
  a_outer: u32, a1: u32, a2: u32, a3: u32,
  b_outer: u32, b1: u32, b2: u32, b3: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Vec>;          // broadcasts to out's shape
@group(0) @binding(2) var<storage, read> b: array<Vec>;          // broadcasts to out's shape
@group(0) @binding(3) var<storage, read_write> out: array<Vec>;  // [n0, n1, n2, n3]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    var rest = i;
    var i_a = 0u;
    var i_b = 0u;
    if (RANK > 1) {
      let i3 = rest % params.n3; rest /= params.n3;
      i_a = i3 * params.a3; i_b = i3 * params.b3;
    }
    if (RANK > 2) {
      let i2 = rest % params.n2; rest /= params.n2;
      i_a += i2 * params.a2; i_b += i2 * params.b2;
    }
    if (RANK > 3) {
      let i1 = rest % params.n1; rest /= params.n1;
      i_a += i1 * params.a1; i_b += i1 * params.b1;
    }
    i_a += rest * params.a_outer;
    i_b += rest * params.b_outer;
    out[i] = apply(a[i_a], b[i_b]);
  }
}
