// Weights by rank, for GPUs: workgroup r makes row r.
// out[row, place] = weight(rank) for the KEEP largest x[row, place]; the rest was cleared before.
// rank = how many numbers of the row are larger, or equal and before it.
// As in select_top, the key of the smallest that counts is found two bits at a time. What reaches
// it is collected in workgroup memory, and ranked there by comparing each with each.
// Consts: THREADS (per workgroup), KEEP.
// Functions: key_of(x: f32) -> u32, weight(rank: u32) -> Real.
struct Params { rows: u32, groups_x: u32, n: u32, bits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;           // [rows, n]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [rows, n]

var<workgroup> reach_tile: array<atomic<u32>, 3>;
var<workgroup> equal_tile: array<u32, THREADS>;
var<workgroup> taken_tile: atomic<u32>;
var<workgroup> item_tile: array<vec2u, KEEP>;  // (key, place)

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let row = group.x + group.y * params.groups_x;
  if (row >= params.rows) { return; }
  let i_row = row * params.n;
  var bound = 0u;  // largest found so far that at least KEEP keys reach
  var above = 0u;  // how many keys reach the next bound after it
  for (var shift = params.bits; shift > 0u; ) {
    shift -= 2u;
    let unit = 1u << shift;
    if (thread.x < 3u) { atomicStore(&reach_tile[thread.x], 0u); }
    workgroupBarrier();
    var reach = vec3u(0u);
    for (var place = thread.x; place < params.n; place += THREADS) {
      let key = key_of(x[i_row + place]);
      reach += select(vec3u(0u), vec3u(1u), vec3u(key) >= vec3u(bound) + unit * vec3u(1u, 2u, 3u));
    }
    atomicAdd(&reach_tile[0], reach.x);
    atomicAdd(&reach_tile[1], reach.y);
    atomicAdd(&reach_tile[2], reach.z);
    workgroupBarrier();
    let counts = vec3u(
      atomicLoad(&reach_tile[0]), atomicLoad(&reach_tile[1]), atomicLoad(&reach_tile[2]),
    );
    let is_enough = counts >= vec3u(KEEP);
    above = select(above, counts.z, !is_enough.z);
    above = select(above, counts.y, !is_enough.y);
    above = select(above, counts.x, !is_enough.x);
    bound += unit * (u32(is_enough.x) + u32(is_enough.y) + u32(is_enough.z));
    workgroupBarrier();
  }
  // Of those equal to the bound the first are taken: each thread counts its part of the row.
  let part = (params.n + THREADS - 1u) / THREADS;
  let place_first = min(params.n, thread.x * part);
  let place_end = min(params.n, place_first + part);
  var equal = 0u;
  for (var place = place_first; place < place_end; place++) {
    equal += u32(key_of(x[i_row + place]) == bound);
  }
  equal_tile[thread.x] = equal;
  if (thread.x == 0u) { atomicStore(&taken_tile, 0u); }
  workgroupBarrier();
  var slot = above;
  for (var t = 0u; t < thread.x; t++) { slot += equal_tile[t]; }
  for (var place = place_first; place < place_end; place++) {
    let key = key_of(x[i_row + place]);
    if (key > bound) {
      // In any order: the ranks below depend on keys and places only.
      item_tile[atomicAdd(&taken_tile, 1u)] = vec2u(key, place);
    }
    if (key == bound) {
      if (slot < KEEP) { item_tile[slot] = vec2u(key, place); }
      slot++;
    }
  }
  workgroupBarrier();
  for (var i = thread.x; i < KEEP; i += THREADS) {
    let item = item_tile[i];
    var rank = 0u;
    for (var j = 0u; j < KEEP; j++) {
      let other = item_tile[j];
      rank += u32((other.x > item.x) | ((other.x == item.x) & (other.y < item.y)));
    }
    out[i_row + item.y] = weight(rank);
  }
}
