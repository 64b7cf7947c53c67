// Elementwise function of one tensor, four elements at a time: out[i] = apply(x[i]). The last four
// may reach past the tensor, but not past its buffer, whose size is a multiple of 256 bytes.
// Consts: GROUP (threads per workgroup).   Functions: apply(x: Vec) -> Vec with Vec = vec4<Real>.
struct Params { count: u32, per_thread: u32, groups_x: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Vec>;          // [count]
@group(0) @binding(2) var<storage, read_write> out: array<Vec>;  // [count]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    out[i] = apply(x[i]);
  }
}
