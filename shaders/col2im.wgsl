// Input gradient of a convolution, second half: each pixel gathers the taps that its output pixels
// sent to it.
// out[n, c, y, x] = sum over (ky, kx) of taps[c, ky, kx, (n, oy, ox)]
//   with oy stride + ky dilation - padding = y, x alike.
// With y + padding = s q + r and ky dilation = s q' + r' such an oy exists just when r = r', and is
// q - q'. So a pixel divides by the stride once per axis, and a tap only compares remainders.
// Thread t makes pixels t, t + GROUP, ... of its run.   Consts: GROUP (threads per workgroup).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, channels: u32, taps_row: u32,
  height: u32, width: u32, out_height: u32, out_width: u32, kernel_h: u32, kernel_w: u32,
  stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32, dilation_y: u32, dilation_x: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> taps: array<Real>;       // [C, KH, KW, taps_row]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [N, C, H, W]

/** A number divided by the stride. */
struct Divided { quotient: u32, remainder: u32 }

fn divide(n: u32, divisor: u32) -> Divided {
  let quotient = n / divisor;
  return Divided(quotient, n - quotient * divisor);
}

fn add(a: Divided, b: Divided, divisor: u32) -> Divided {
  let remainder = a.remainder + b.remainder;
  let is_carried = remainder >= divisor;
  return Divided(a.quotient + b.quotient + u32(is_carried),
                 remainder - select(0u, divisor, is_carried));
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  let dilation_y = divide(params.dilation_y, params.stride_y);
  let dilation_x = divide(params.dilation_x, params.stride_x);
  for (var i = first + thread.x; i < end; i += GROUP) {
    let row = divide(i, params.width);
    let plane = divide(row.quotient, params.height);
    let image = divide(plane.quotient, params.channels);
    let y = divide(plane.remainder + params.padding_y, params.stride_y);
    let x = divide(row.remainder + params.padding_x, params.stride_x);
    let i_image = image.quotient * params.out_height * params.out_width;
    let first_tap = image.remainder * params.kernel_h * params.kernel_w;
    var total = Real(0);
    var tap_y = Divided(0u, 0u);
    for (var ky = 0u; ky < params.kernel_h; ky++) {
      // Differences below 0 wrap around to huge numbers, too large for the output size.
      let oy = y.quotient - tap_y.quotient;
      let is_row = tap_y.remainder == y.remainder && oy < params.out_height;
      let i_row = i_image + oy * params.out_width;
      var tap_x = Divided(0u, 0u);
      for (var kx = 0u; kx < params.kernel_w; kx++) {
        let ox = x.quotient - tap_x.quotient;
        if (is_row && tap_x.remainder == x.remainder && ox < params.out_width) {
          total += taps[(first_tap + ky * params.kernel_w + kx) * params.taps_row + i_row + ox];
        }
        tap_x = add(tap_x, dilation_x, params.stride_x);
      }
      tap_y = add(tap_y, dilation_y, params.stride_y);
    }
    out[i] = total;
  }
}
