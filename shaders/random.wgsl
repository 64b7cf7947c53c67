// Random numbers by position: thread t makes items t, t + GROUP, ... of its run.
// out[i] = draw(threefry2x32(key, (i, 0))).
// Consts: GROUP (threads per workgroup).   Functions: draw(words: vec2u) -> Real,
// and threefry2x32 of threefry.wgsl.
struct Params { count: u32, per_thread: u32, groups_x: u32, threshold: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> key: array<Real>;        // [2], whole numbers
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [count]

// sqrt(-2 log(1 - a / 2^24)) cos(2 pi b / 2^24). By series and not by log() and cos(), which WGSL
// allows to be off by 5e-4 and which SwiftShader has off by 1e-4: reduced in whole numbers, both
// are good to the last bits of f32.
fn box_muller(a: u32, b: u32) -> Real {
  // 1 - u = m 2^-shift with m in [3/4, 3/2), so that nothing cancels near 1.
  let rest = 0x1000000u - a;
  var e = firstLeadingBit(rest);
  e += select(0u, 1u, rest >= (3u << e) / 2u);
  let m = Real(rest) / Real(1u << e);
  let q = (m - Real(1)) / (m + Real(1));
  let q2 = q * q;
  // log m = 2 atanh q
  let log_m = Real(2) * q * (Real(1) + q2 * (Real(0.3333333333) + q2 * (Real(0.2)
    + q2 * (Real(0.1428571429) + q2 * Real(0.1111111111)))));
  let radius = sqrt(Real(2) * (Real(24u - e) * Real(0.6931471806) - log_m));
  // cos(2 pi b) = sin y with y = pi/2 - 2 pi min(b, 1 - b) in [-pi/2, pi/2]
  let y = Real(i32(0x400000u) - i32(min(b, 0x1000000u - b))) * Real(3.745070282923929e-7);
  let y2 = y * y;
  let cosine = y * (Real(1) - y2 * (Real(0.1666666667) - y2 * (Real(0.008333333333)
    - y2 * (Real(0.0001984126984) - y2 * (Real(0.000002755731922)
    - y2 * Real(0.00000002505210839))))));
  return radius * cosine;
}

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
