// Random numbers by position: thread t makes items t, t + GROUP, ... of its run.
// out[i] = draw(threefry2x32(key, (i, 0))).
// Consts: GROUP (threads per workgroup).   Functions: threefry2x32 (threefry.wgsl), draw(words: vec2u) -> Real.
struct Params { count: u32, per_thread: u32, groups_x: u32, threshold: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> key: array<Real>;        // [2], whole numbers
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [count]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let words = vec2u(u32(key[0]), u32(key[1]));
  for (var i = first + thread.x; i < end; i += GROUP) {
    out[i] = draw(threefry2x32(words, vec2u(i, 0u)));
  }
}
