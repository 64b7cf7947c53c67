// What reduce.wgsl and reduce_rows.wgsl sum: products of two tensors that broadcast.
// Types: Item, Out.
@group(0) @binding(1) var<storage, read> a: array<Item>;          // broadcasts to the box
@group(0) @binding(2) var<storage, read> b: array<Item>;          // broadcasts to the box
@group(0) @binding(3) var<storage, read_write> out: array<Out>;  // [sums, parts] or [parts, sums]

fn term(i: vec2u) -> Item { return a[i.x] * b[i.y]; }
