// Where a row has its maximum, for GPUs: `team` neighbouring threads share a part of a row, so that
// they read neighbouring numbers.
// out[row, p] = first r of part p that maximizes x[row, r]; NaN is largest.
// Each thread finds the best of its elements, then the team the best of its threads, half of them
// at a time; of equals the one further left wins.
// Consts: GROUP (threads per workgroup, a multiple of the team, which is a power of two).
// Functions: beats(value: Real, best: Real) -> bool.
struct Params { count: u32, groups_x: u32, team: u32, size: u32, parts: u32, part_size: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;          // [rows, size]
@group(0) @binding(2) var<storage, read_write> out: array<Real>;  // [rows, parts]

var<workgroup> best_tile: array<Real, GROUP>;
var<workgroup> winner_tile: array<u32, GROUP>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let member = thread % params.team;
  let item = (group.x + group.y * params.groups_x) * (GROUP / params.team) + thread / params.team;
  // Threads without an item read the last one: all must reach the barriers.
  let inside = min(item, params.count - 1u);
  let row = inside / params.parts;
  let r0 = (inside - row * params.parts) * params.part_size;
  let r1 = min(params.size, r0 + params.part_size);
  let i_row = row * params.size;
  var winner = r0;
  var best = x[i_row + r0];
  for (var r = r0 + member; r < r1; r += params.team) {
    let value = x[i_row + r];
    if (beats(value, best)) {
      best = value;
      winner = r;
    }
  }
  best_tile[thread] = best;
  winner_tile[thread] = winner;
  for (var reach = params.team / 2u; reach > 0u; reach /= 2u) {
    workgroupBarrier();
    if (member < reach) {
      let value = best_tile[thread + reach];
      let place = winner_tile[thread + reach];
      let is_tie = !beats(value, best) & !beats(best, value);
      if (beats(value, best) | (is_tie & (place < winner))) {
        best = value;
        winner = place;
        best_tile[thread] = best;
        winner_tile[thread] = winner;
      }
    }
  }
  if (member == 0u && item < params.count) {
    out[item] = Real(winner);
  }
}
