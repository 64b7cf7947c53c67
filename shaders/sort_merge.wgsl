// One pass of a sort: merges neighbouring sorted runs a and b of `width` items into runs twice as
// long. Thread t makes chunks t, t + GROUP, ... of its share: `chunk` neighbouring places of the
// result. A binary search along the diagonal (i + j = places before the chunk) finds where in a and
// b the chunk begins; on equal keys a comes first.
// Item number `rank` of a row, in order, goes where `put` says.
// Consts: GROUP (threads per workgroup).   Types: Out.
// Functions: put(row: u32, rank: u32, item: vec2u).
struct Params {
  count: u32, per_thread: u32, groups_x: u32, n: u32, chunks: u32, chunk: u32, width: u32,
  out_n: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> items: array<vec2u>;    // [rows, n], (key, place)
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // [rows, out_n]

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let share = GROUP * params.per_thread;
  let first = (group.x + group.y * params.groups_x) * share;
  let end = min(params.count, first + share);
  for (var c = first + thread.x; c < end; c += GROUP) {
    let row = c / params.chunks;
    let start = (c - row * params.chunks) * params.chunk;
    // Both runs may be cut off by the end of the row, b entirely.
    let a_start = start / (2u * params.width) * (2u * params.width);
    let b_start = min(a_start + params.width, params.n);
    let b_end = min(b_start + params.width, params.n);
    let before = start - a_start;
    let i_row = row * params.n;
    let b_size = b_end - b_start;
    var low = max(before, b_size) - b_size;
    var high = min(before, b_start - a_start);
    while (low < high) {
      let middle = (low + high) / 2u;
      let from_a = items[i_row + a_start + middle];
      let from_b = items[i_row + b_start + before - middle - 1u];
      let is_in = from_a.x <= from_b.x;
      low = select(low, middle + 1u, is_in);
      high = select(middle, high, is_in);
    }
    let last = min(start + params.chunk, b_end);
    // Flat from here on. Places past the end of a run are read from inside the row, and not used.
    let i_last = i_row + params.n - 1u;
    let i_a_end = i_row + b_start;
    let i_b_end = i_row + b_end;
    var i = i_row + a_start + low;
    var j = i_row + b_start + before - low;
    var a = items[min(i, i_last)];
    var b = items[min(j, i_last)];
    for (var rank = start; rank < last; rank++) {
      let is_a = (j >= i_b_end) | ((i < i_a_end) & (a.x <= b.x));
      put(row, rank, select(b, a, is_a));
      let step = u32(is_a);
      i += step;
      j += 1u - step;
      let next = items[min(select(j, i, is_a), i_last)];
      a = select(a, next, is_a);
      b = select(next, b, is_a);
    }
  }
}
