// Second step of argmax, for lines cut into parts: thread t makes items t, t + GROUP, ... of its
// run, one line each.
// out[o, i] = the first of candidates[o, p, i] over p at which x[o, candidate, i] is largest; NaN
// is largest.
// Consts: GROUP (threads per workgroup).   Functions: beats(value: Real, best: Real) -> bool.
struct Params { count: u32, per_thread: u32, groups_x: u32, size: u32, inner: u32, parts: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;           // [outer, size, inner]
@group(0) @binding(2) var<storage, read> candidates: array<Real>;  // [outer, parts, inner]
@group(0) @binding(3) var<storage, read_write> out: array<Real>;   // [outer, inner]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let o = item / params.inner;
    let i = item - o * params.inner;
    var i_candidate = o * params.parts * params.inner + i;
    var winner = candidates[i_candidate];
    var best = x[(o * params.size + u32(winner)) * params.inner + i];
    for (var p = 1u; p < params.parts; p++) {
      i_candidate += params.inner;
      let candidate = candidates[i_candidate];
      let value = x[(o * params.size + u32(candidate)) * params.inner + i];
      if (beats(value, best)) {
        best = value;
        winner = candidate;
      }
    }
    out[item] = winner;
  }
}
