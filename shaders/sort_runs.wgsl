// First step of a sort: thread t sorts runs t, t + GROUP, ... of its share, 8 neighbouring elements
// of a row each.
// An item is (key, place): keys order like the numbers, but as u32, so that NaN and both zeros have
// a definite place.
// Only neighbours are exchanged, so equal keys keep their order.
// Item number `rank` of a row, in order, goes where `put` says.
// Consts: GROUP (threads per workgroup).   Types: In, Out.
// Functions: item_of(value: In, place: u32) -> vec2u, put(row: u32, rank: u32, item: vec2u).
struct Params { count: u32, per_thread: u32, groups_x: u32, n: u32, runs: u32, out_n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<In>;           // [rows, n]
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // [rows, out_n]

fn item_at(row: u32, place: u32) -> vec2u {
  // Behind every number: with equal keys the lower place, thus the number, comes first.
  if (place >= params.n) { return vec2u(0xffffffffu, place); }
  return item_of(x[row * params.n + place], place);
}

fn order(a: ptr<function, vec2u>, b: ptr<function, vec2u>) {
  let first = *a;
  let second = *b;
  let is_wrong = first.x > second.x;
  *a = select(first, second, is_wrong);
  *b = select(second, first, is_wrong);
}

fn put_inside(row: u32, rank: u32, item: vec2u) {
  if (rank < params.n) { put(row, rank, item); }
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
    put_inside(row, start, e0);
    put_inside(row, start + 1u, e1);
    put_inside(row, start + 2u, e2);
    put_inside(row, start + 3u, e3);
    put_inside(row, start + 4u, e4);
    put_inside(row, start + 5u, e5);
    put_inside(row, start + 6u, e6);
    put_inside(row, start + 7u, e7);
  }
}
