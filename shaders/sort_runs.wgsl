// First step of a sort: thread t sorts runs t, t + GROUP, ... of its share, 8 neighbouring elements
// of a row each.
// An item is (key, place): keys order like the numbers, but as u32, so that NaN and both zeros have
// a definite place.
// Only neighbours are exchanged, so equal keys keep their order.
// out[row, place in order] = finish(item).
// Consts: GROUP (threads per workgroup), IS_DESCENDING.   Types: Out.
// Functions: finish(item: vec2u) -> Out.
struct Params { count: u32, per_thread: u32, groups_x: u32, n: u32, runs: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [rows, n]
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // [rows, n]

fn item_at(row: u32, place: u32) -> vec2u {
  // Behind every number: with equal keys the lower place, thus the number, comes first.
  if (place >= params.n) { return vec2u(0xffffffffu, place); }
  let bits = bitcast<u32>(x[row * params.n + place]);
  // The bits of -0 are 0x80000000, so that both zeros get this key; NaN comes with either sign.
  var key = select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
  key = select(key, 0xffffffffu, (bits & 0x7fffffffu) > 0x7f800000u);
  return vec2u(select(key, ~key, IS_DESCENDING), place);
}

fn order(a: ptr<function, vec2u>, b: ptr<function, vec2u>) {
  let first = *a;
  let second = *b;
  let is_wrong = first.x > second.x;
  *a = select(first, second, is_wrong);
  *b = select(second, first, is_wrong);
}

fn put(row: u32, place: u32, item: vec2u) {
  if (place < params.n) { out[row * params.n + place] = finish(item); }
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let share = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * share;
  let end = min(params.count, first + share);
  for (var run = first + thread.x; run < end; run += GROUP) {
    let row = run / params.runs;
    let start = (run - row * params.runs) * 8u;
    // Variables and not an array: an array that is indexed lies in memory.
    var e0 = item_at(row, start);
    var e1 = item_at(row, start + 1u);
    var e2 = item_at(row, start + 2u);
    var e3 = item_at(row, start + 3u);
    var e4 = item_at(row, start + 4u);
    var e5 = item_at(row, start + 5u);
    var e6 = item_at(row, start + 6u);
    var e7 = item_at(row, start + 7u);
    for (var round = 0u; round < 4u; round++) {
      order(&e0, &e1); order(&e2, &e3); order(&e4, &e5); order(&e6, &e7);
      order(&e1, &e2); order(&e3, &e4); order(&e5, &e6);
    }
    put(row, start, e0);
    put(row, start + 1u, e1);
    put(row, start + 2u, e2);
    put(row, start + 3u, e3);
    put(row, start + 4u, e4);
    put(row, start + 5u, e5);
    put(row, start + 6u, e6);
    put(row, start + 7u, e7);
  }
}
