// Mean and squared deviations per channel, in one look at x: thread t makes items t, t + GROUP, ...
// of its run, one part of a channel each.
// mean = sum x / n,  m2 = sum (x - mean)^2 over the part. Up to four items at a time are read, and
// their own mean and m2 joined to those so far (Chan, Golub and LeVeque 1979): no sum of squares
// loses its digits to a large mean.
//   d = mean_b - mean_a,  mean_ab = mean_a + d n_b / n_ab,
//   m2_ab = m2_a + m2_b + d^2 n_a n_b / n_ab
// An item is four neighbouring pixels where planes are a multiple of four, and each of the four has
// moments of its own until the end.
// A channel has `size` items, `inner` in each plane, cut into `parts` parts of `part_size`.
// Consts: GROUP (threads per workgroup).   Types: Item, Out.
// Functions: put(c: u32, part: u32, mean: Real, m2: Real),
// join_lanes(n: Real, mean: Item, m2: Item) -> vec2<Real>, the moments of all lanes together.
struct Params {
  count: u32, per_thread: u32, groups_x: u32,
  channels: u32, inner: u32, size: u32, parts: u32, part_size: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Item>;         // [N, channels, inner]
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // see put

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let share = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * share;
  let end = min(params.count, first + share);
  for (var item = first + thread.x; item < end; item += GROUP) {
    let c = item / params.parts;
    let part = item - c * params.parts;
    var r = part * params.part_size;
    let r_end = min(params.size, r + params.part_size);
    var n = Real(0);
    var mean = Item(0);
    var m2 = Item(0);
    while (r < r_end) {
      // One plane: its items are neighbours.
      let plane = r / params.inner;
      let run_end = min(r_end, (plane + 1u) * params.inner);
      var i = (plane * params.channels + c) * params.inner + r - plane * params.inner;
      for (; r < run_end; r += 4u) {
        let left = min(4u, run_end - r);
        let last = i + left - 1u;
        let x0 = x[i];
        let x1 = x[min(i + 1u, last)];
        let x2 = x[min(i + 2u, last)];
        let x3 = x[min(i + 3u, last)];
        i += 4u;
        // What is not there weighs nothing.
        let w1 = select(Real(0), Real(1), left > 1u);
        let w2 = select(Real(0), Real(1), left > 2u);
        let w3 = select(Real(0), Real(1), left > 3u);
        let n_b = Real(left);
        let mean_b = (x0 + w1 * x1 + w2 * x2 + w3 * x3) / n_b;
        let d0 = x0 - mean_b;
        let d1 = w1 * (x1 - mean_b);
        let d2 = w2 * (x2 - mean_b);
        let d3 = w3 * (x3 - mean_b);
        let d = mean_b - mean;
        let share_b = n_b / (n + n_b);
        m2 += d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d * d * (n * share_b);
        mean += d * share_b;
        n += n_b;
      }
      r = run_end;
    }
    let joined = join_lanes(n, mean, m2);
    put(c, part, joined.x, joined.y);
  }
}
