// Adds the partial sums that a split product left behind, always in the same order.
// Thread i computes out[i] = sum_s partial[s, i].   Consts: GROUP (threads per workgroup).
struct Params { out_size: u32, splits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<Real>;    // [splits, out_size]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [out_size]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_index) thread: u32) {
  let i = (group.x + group.y * groups.x) * GROUP + thread;
  if (i >= params.out_size) {
    return;
  }
  var sum = Real(0);
  for (var split = 0u; split < params.splits; split++) {
    sum += partial[split * params.out_size + i];
  }
  out[i] = sum;
}
