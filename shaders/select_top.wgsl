// The largest numbers of each row: thread t makes rows t, t + GROUP, ... of its run, one row each.
// out[row, ...] = (reversed key, place) of the `keep` largest x[row, ...], by rising place; of
// equal numbers the first are taken. Keys order like the numbers, see key_of; reversed, the largest
// is 0.
// The key of the smallest that is taken is found two bits at a time: each look at the row counts
// what lies at or above three bounds. No thread waits for another.
// Consts: GROUP (threads per workgroup).
// Types: Numbers (four f32, or one where rows are no multiple of four), Keys (as many u32).
// Functions: keys_of(x: Numbers) -> Keys, total(counts: Keys) -> u32,
// number_at(i: u32) -> f32 (x as plain numbers), key_of(x: f32) -> u32.
// params.bits is 32: a loop whose length the compiler knows is unrolled, rows and all.
struct Params {
  count: u32, per_thread: u32, groups_x: u32, n: u32, chunks: u32, keep: u32, bits: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Numbers>;        // [rows, chunks]
@group(0) @binding(2) var<storage, read_write> out: array<vec2u>;  // [rows, keep]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let run = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * run;
  let end = min(params.count, first + run);
  for (var row = first + thread.x; row < end; row += GROUP) {
    let i_first = row * params.chunks;
    let i_end = i_first + params.chunks;
    var bound = 0u;  // largest found so far that at least `keep` keys reach
    var above = 0u;  // how many keys reach the next bound after it
    for (var shift = params.bits; shift > 0u; ) {
      shift -= 2u;
      let unit = 1u << shift;
      var reach_1 = Keys(0u);
      var reach_2 = Keys(0u);
      var reach_3 = Keys(0u);
      for (var i = i_first; i < i_end; i++) {
        let keys = keys_of(x[i]);
        reach_1 += select(Keys(0u), Keys(1u), keys >= Keys(bound + unit));
        reach_2 += select(Keys(0u), Keys(1u), keys >= Keys(bound + 2u * unit));
        reach_3 += select(Keys(0u), Keys(1u), keys >= Keys(bound + 3u * unit));
      }
      let counts = vec3u(total(reach_1), total(reach_2), total(reach_3));
      let is_enough = counts >= vec3u(params.keep);
      above = select(above, counts.z, !is_enough.z);
      above = select(above, counts.y, !is_enough.y);
      above = select(above, counts.x, !is_enough.x);
      bound += unit * (u32(is_enough.x) + u32(is_enough.y) + u32(is_enough.z));
      if (any(counts == vec3u(params.keep))) {
        // Just the wanted keys reach this bound: none is equal to the one before it and taken.
        bound -= 1u;
        above = params.keep;
        break;
      }
    }
    var equal_left = params.keep - above;
    var i_out = row * params.keep;
    for (var place = 0u; place < params.n; place++) {
      let key = key_of(number_at(row * params.n + place));
      let is_equal = key == bound;
      if ((key > bound) | (is_equal & (equal_left > 0u))) {
        out[i_out] = vec2u(~key, place);
        i_out++;
        equal_left -= u32(is_equal);
      }
    }
  }
}
