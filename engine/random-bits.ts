// Random numbers that are a pure function of (seed, name, index, position): no hidden state, equal bits on CPU and GPU.
//
// The generator is counter-based (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), so number n of
// a stream needs no numbers before it. shaders/threefry.wgsl is the same function for kernels: change both or none.
import { UsageError } from './errors.ts';

const WORD_COUNT = 2 ** 32;
/** From Skein: keeps the third key word from being 0 when the other two are. */
const KEY_PARITY = 0x1bd11bda;

/** One Threefry block, written to `out[0]` and `out[1]`: a returned pair would cost an allocation per call. */
function threefryInto(
  out: Uint32Array,
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): void {
  let a = key0 | 0;
  let b = key1 | 0;
  let c = KEY_PARITY ^ key0 ^ key1;
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  // Five groups of four rounds; two sets of rotations take turns, and the key words move up one place per group.
  for (let group = 1; group <= 5; group++) {
    const isOdd = (group & 1) === 1;
    x0 = (x0 + x1) | 0;
    x1 = rotateLeft(x1, isOdd ? 13 : 17) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = rotateLeft(x1, isOdd ? 15 : 29) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = rotateLeft(x1, isOdd ? 26 : 16) ^ x0;
    x0 = (x0 + x1) | 0;
    x1 = rotateLeft(x1, isOdd ? 6 : 24) ^ x0;
    const first = a;
    a = b;
    b = c;
    c = first;
    x0 = (x0 + a) | 0;
    x1 = (x1 + b + group) | 0;
  }
  out[0] = x0;
  out[1] = x1;
}

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** Threefry-2x32 with 20 rounds: two random words, each in [0, 2^32), for a key and a counter (Salmon et al. 2011). */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  const out = new Uint32Array(2);
  threefryInto(out, key0, key1, counter0, counter1);
  return [out[0], out[1]];
}

/** 32-bit FNV-1a hash of the UTF-8 bytes of a text: turns the name of a stream into a key word. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** A reading position in the random words of one (seed, name, index). Made by `randomStream`. */
export class RandomStream {
  readonly #block = new Uint32Array(2);
  readonly #seed: number;
  readonly #nameHash: number;
  readonly #index: number;
  #position = 0;

  constructor(seed: number, nameHash: number, index: number) {
    this.#seed = seed;
    this.#nameHash = nameHash;
    this.#index = index;
  }

  /** The next 32 random bits, in [0, 2^32). */
  word(): number {
    const half = this.#position & 1;
    // Counter (block, index): streams of neighbouring indices never share a block.
    if (half === 0)
      threefryInto(this.#block, this.#seed, this.#nameHash, Math.floor(this.#position / 2), this.#index);
    this.#position++;
    return this.#block[half];
  }

  /** Uniform in [0, 1), a multiple of 2^-24, so that it survives the trip to f32 unrounded (and never becomes 1). */
  uniform(): number {
    return (this.word() >>> 8) * 2 ** -24;
  }

  /** A whole number in [0, n), each equally likely. Throws UsageError unless n is a whole number in 1..2^32. */
  below(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > WORD_COUNT) {
      throw new UsageError(`below: ${n} is no upper end; pass a whole number from 1 to ${WORD_COUNT}`);
    }
    // Words past the last full multiple of n are drawn again: without that, small results come up too often.
    const end = WORD_COUNT - (WORD_COUNT % n);
    let word = this.word();
    while (word >= end) word = this.word();
    return word % n;
  }

  /**
   * Normal with mean 0 and variance 1, by Box and Muller; at most 5.77 from 0 because `uniform` has 24 bits.
   * Unlike the other draws its last bit may differ between JavaScript engines, which are free in `log` and `cos`.
   */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** The numbers 0..n-1 in random order, every order equally likely (Fisher-Yates). Throws UsageError for a bad n. */
  permutation(n: number): Uint32Array {
    if (!isWord(n)) {
      throw new UsageError(`permutation: ${n} is no length; pass a whole number from 0 to ${WORD_COUNT - 1}`);
    }
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const moved = order[i];
      order[i] = order[j];
      order[j] = moved;
    }
    return order;
  }
}

/**
 * The random numbers of a purpose: equal arguments give equal numbers, different ones unrelated numbers. `name` says
 * what they are for ('dropout.3'), `index` counts within it (sample, epoch). Throws UsageError unless seed and index
 * are whole numbers in [0, 2^32).
 */
export function randomStream(seed: number, name: string, index = 0): RandomStream {
  if (!isWord(seed) || !isWord(index)) {
    throw new UsageError(
      `randomStream: seed ${seed} or index ${index} of '${name}' is not 32 bits wide; ` +
        `pass whole numbers from 0 to ${WORD_COUNT - 1}`,
    );
  }
  return new RandomStream(seed, fnv1a(name), index);
}

function isWord(n: number): boolean {
  return Number.isInteger(n) && n >= 0 && n < WORD_COUNT;
}
