// Strided copy of a box: thread t moves items t, t + GROUP, ... of its run.
// out[out_start + sum_d i_d out_d] = x[x_start + sum_d i_d x_d]
//   for every index i of the box [n0, n1, n2, n3, n4, n5].
// It serves permute, slice, pad and concat. An item is a number, or four neighbours where the plan
// says so: sizes, starts and strides count items.
// Consts: GROUP (threads per workgroup), RANK (axes of the box; divisions for missing ones are left
// out).   Types: Item.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  n1: u32, n2: u32, n3: u32, n4: u32, n5: u32,
  x_start: u32, x0: u32, x1: u32, x2: u32, x3: u32, x4: u32, x5: u32,
  out_start: u32, out0: u32, out1: u32, out2: u32, out3: u32, out4: u32, out5: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Item>;          // holds the box, see x_start
@group(0) @binding(2) var<storage, read_write> out: array<Item>;  // holds the box, see out_start

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var i = first + thread.x; i < end; i += GROUP) {
    var rest = i;
    var i_x = params.x_start;
    var i_out = params.out_start;
    if (RANK > 5) {
      let i5 = rest % params.n5; rest /= params.n5;
      i_x += i5 * params.x5; i_out += i5 * params.out5;
    }
    if (RANK > 4) {
      let i4 = rest % params.n4; rest /= params.n4;
      i_x += i4 * params.x4; i_out += i4 * params.out4;
    }
    if (RANK > 3) {
      let i3 = rest % params.n3; rest /= params.n3;
      i_x += i3 * params.x3; i_out += i3 * params.out3;
    }
    if (RANK > 2) {
      let i2 = rest % params.n2; rest /= params.n2;
      i_x += i2 * params.x2; i_out += i2 * params.out2;
    }
    if (RANK > 1) {
      let i1 = rest % params.n1; rest /= params.n1;
      i_x += i1 * params.x1; i_out += i1 * params.out1;
    }
    i_x += rest * params.x0;
    i_out += rest * params.out0;
    out[i_out] = x[i_x];
  }
}
