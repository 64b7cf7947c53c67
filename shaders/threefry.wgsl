// Threefry-2x32 with 20 rounds: two random words for a key and a counter (Salmon et al. 2011).
// No kernel but a function that TypeScript prepends to kernels which draw; it has no entry point,
// bindings or consts. engine/random-bits.ts is the same function on the CPU and must give the same
// bits: change both or none.
fn threefry_rotate(x: u32, bits: u32) -> u32 {
  return (x << bits) | (x >> (32u - bits));
}

fn threefry2x32(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
  // The third word keeps an all-zero key from doing nothing; the constant is Skein's.
  var k = vec3<u32>(key.x, key.y, 0x1bd11bdau ^ key.x ^ key.y);
  var x0 = counter.x + key.x;
  var x1 = counter.y + key.y;
  // Five groups of four rounds; two sets of rotations take turns, and the key words move up one
  // place per group.
  for (var group = 1u; group <= 5u; group++) {
    let is_odd = (group & 1u) == 1u;
    let bits = select(vec4<u32>(17u, 29u, 16u, 24u), vec4<u32>(13u, 15u, 26u, 6u), is_odd);
    x0 += x1;
    x1 = threefry_rotate(x1, bits.x) ^ x0;
    x0 += x1;
    x1 = threefry_rotate(x1, bits.y) ^ x0;
    x0 += x1;
    x1 = threefry_rotate(x1, bits.z) ^ x0;
    x0 += x1;
    x1 = threefry_rotate(x1, bits.w) ^ x0;
    k = k.yzx;
    x0 += k.x;
    x1 += k.y + group;
  }
  return vec2<u32>(x0, x1);
}
