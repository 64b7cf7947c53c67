// Elementwise function of two tensors that broadcast, four elements of the innermost axis at a
// time. As binary_broadcast, with n3 and all strides counted in vec4. Along the innermost axis an
// operand either runs with the output (stride 1) or repeats one number (stride 0): then its other
// strides stay in elements.
// Consts: GROUP (threads per workgroup), RANK (1 to 4), A_REPEATS, B_REPEATS (bool).
// Functions: apply(a: Vec, b: Vec) -> Vec with Vec = vec4<Real>.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  n1: u32, n2: u32, n3: u32,
  a_outer: u32, a1: u32, a2: u32,
  b_outer: u32, b1: u32, b2: u32,
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
    var i3 = i;
    var row_a = 0u;
    var row_b = 0u;
    if (RANK > 1) { i3 = rest % params.n3; rest /= params.n3; }
    if (RANK > 2) {
      let i2 = rest % params.n2; rest /= params.n2;
      row_a = i2 * params.a2; row_b = i2 * params.b2;
    }
    if (RANK > 3) {
      let i1 = rest % params.n1; rest /= params.n1;
      row_a += i1 * params.a1; row_b += i1 * params.b1;
    }
    row_a += rest * params.a_outer;
    row_b += rest * params.b_outer;
    var value_a: Vec;
    var value_b: Vec;
    if (A_REPEATS) { value_a = Vec(a[row_a / 4u][row_a % 4u]); } else { value_a = a[row_a + i3]; }
    if (B_REPEATS) { value_b = Vec(b[row_b / 4u][row_b % 4u]); } else { value_b = b[row_b + i3]; }
    out[i] = apply(value_a, value_b);
  }
}
