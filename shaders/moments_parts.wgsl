// Second step of moments: thread t makes items t, t + GROUP, ... of its run, one channel each, and
// joins the moments of its parts as in moments.wgsl.
// out[0, c] = mean,  out[1, c] = variance, the mean squared deviation.
// All parts hold `part_size` numbers but the last, which holds what is left of `size`.
// Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, size: u32, parts: u32, part_size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> moments: array<vec2<Real>>;  // [channels, parts]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;      // [2, channels]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let share = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * share;
  let end = min(params.count, first + share);
  for (var c = first + thread.x; c < end; c += GROUP) {
    var total = moments[c * params.parts];
    var n = Real(min(params.size, params.part_size));
    for (var part = 1u; part < params.parts; part++) {
      let own = moments[c * params.parts + part];
      let n_b = Real(min(params.size - part * params.part_size, params.part_size));
      let d = own.x - total.x;
      let share_b = n_b / (n + n_b);
      total += vec2<Real>(d * share_b, own.y + d * d * (n * share_b));
      n += n_b;
    }
    out[c] = total.x;
    out[params.count + c] = total.y / Real(params.size);
  }
}
