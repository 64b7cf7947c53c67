// The number generator of the golden files (see golden/README.md): parameters and probes are made from names.
import { crc32 } from 'node:zlib';
import { type Shape, sizeOf } from '../engine/shape.ts';
import type { Module } from '../nn/module.ts';
import type { TensorToSave } from '../nn/safetensors.ts';
import { loadStateDict, stateLayout } from '../nn/state-dict.ts';

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
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = low + ((high - low) * word(key, i)) / 2 ** 32;
  return values;
}

/** Bounds of a parameter or a statistic. */
function boundsOf(name: string, shape: Shape, gain: number): [number, number] {
  if (name.endsWith('running_mean')) return [-0.1, 0.1];
  if (name.endsWith('running_var')) return [1, 1.5];
  if (name.endsWith('bias')) return [-0.1, 0.1];
  if (shape.length === 1) return [0.8, 1.2];
  const bound = gain * Math.sqrt(6 / sizeOf(shape.slice(1)));
  return [-bound, bound];
}

interface FillOptions {
  readonly seed: number;
  readonly gain: number;
  /** Where the module stands in the network: 'features.'. */
  readonly prefix?: string;
}

/** Overwrites parameters and statistics with the numbers that belong to their names. */
export function fillByName(module: Module, { seed, gain, prefix = '' }: FillOptions): void {
  const state = [...stateLayout(module)].map(([name, shape]): [string, TensorToSave] => [
    name,
    {
      shape,
      // Made when it is asked for: all numbers of a VGG at once would be half a gigabyte.
      get data() {
        return goldenUniform(...boundsOf(name, shape, gain), `${prefix}${name}`, seed, sizeOf(shape));
      },
    },
  ]);
  loadStateDict(module, new Map(state));
}
