// The number generator of the golden files (see golden/README.md): parameters and probes are made from names.
import { crc32 } from 'node:zlib';

/** u32 number i of a seed. */
function word(seed: number, i: number): number {
  const a = (seed + Math.imul(i + 1, 0x6d2b79f5)) >>> 0;
  let t = Math.imul(a ^ (a >>> 15), a | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (t ^ (t >>> 14)) >>> 0;
}

/** `count` numbers in [low, high) that belong to a name. */
export function goldenUniform(
  low: number,
  high: number,
  name: string,
  seed: number,
  count: number,
): Float32Array {
  const key = (crc32(name) ^ seed) >>> 0;
  return Float32Array.from({ length: count }, (_, i) => low + ((high - low) * word(key, i)) / 2 ** 32);
}
