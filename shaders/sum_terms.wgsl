// What reduce.wgsl and reduce_rows.wgsl sum: the numbers of one tensor.   Types: Item, Out.
@group(0) @binding(1) var<storage, read> x: array<Item>;          // any shape
@group(0) @binding(2) var<storage, read_write> out: array<Out>;  // [sums, parts] or [parts, sums]

fn term(i: vec2u) -> Item { return x[i.x]; }
