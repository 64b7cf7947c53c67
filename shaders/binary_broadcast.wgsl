// Elementwise function of two tensors that broadcast: out[i] = apply(a[i_a], b[i_b]), one element at a time.
// The output is seen as a box [n0, n1, n2, n3]; a and b step through it with their own strides, 0 where they repeat.
// Consts: GROUP (threads per workgroup).   Functions: apply(a: Vec, b: Vec) -> Vec with Vec = Real.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  n1: u32, n2: u32, n3: u32,
  a0: u32, a1: u32, a2: u32, a3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Vec>;
@group(0) @binding(2) var<storage, read> b: array<Vec>;
@group(0) @binding(3) var<storage, read_write> out: array<Vec>;  // [n0, n1, n2, n3]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    let i3 = i % params.n3;
    let r2 = i / params.n3;
    let i2 = r2 % params.n2;
    let r1 = r2 / params.n2;
    let i1 = r1 % params.n1;
    let i0 = r1 / params.n1;
    let i_a = i0 * params.a0 + i1 * params.a1 + i2 * params.a2 + i3 * params.a3;
    let i_b = i0 * params.b0 + i1 * params.b1 + i2 * params.b2 + i3 * params.b3;
    out[i] = apply(a[i_a], b[i_b]);
  }
}
