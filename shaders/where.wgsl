// Choice between two tensors: out[i] = a[i] where mask[i] != 0, else b[i]; four elements at a time.
// Consts: GROUP (threads per workgroup).
struct Params { count: u32, per_thread: u32, groups_x: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mask: array<vec4<Real>>;       // [count]
@group(0) @binding(2) var<storage, read> a: array<vec4<Real>>;          // [count]
@group(0) @binding(3) var<storage, read> b: array<vec4<Real>>;          // [count]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<Real>>;  // [count]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    // Not mask != 0, which is false for NaN in some compilers: a NaN in the mask is not 0.
    out[i] = select(a[i], b[i], mask[i] == vec4<Real>(0));
  }
}
