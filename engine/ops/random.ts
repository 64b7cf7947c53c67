// Random tensors as a pure function of a key: equal keys give equal numbers, on every device.
//
// The key is a tensor, so that a captured step draws new numbers when its counter is overwritten. Number i of a key
// comes from block i alone: nothing depends on how the work is shared out.
import type { KernelPlan, KernelRequest } from '../dispatch.ts';
import { ShapeError, UsageError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { threefry2x32 } from '../random-bits.ts';
import { checkShape, formatShape, type Shape, sizeOf } from '../shape.ts';
import type { Op, Tensor } from '../tensor.ts';
import { spanOf } from './span.ts';

interface RandomAttrs {
  readonly shape: Shape;
  /** Draws below this many 2^-24 are dropped; only `dropoutMask` looks at it. */
  readonly threshold: number;
}

/** Numbers that 24 random bits can be: f32 holds all of them exactly. */
const DRAWS = 2 ** 24;

interface RandomDefinition {
  readonly name: string;
  readonly reference: (first: number, second: number, threshold: number) => number;
  /** Body of `fn draw(words: vec2u) -> Real`. */
  readonly wgsl: string;
}

function planRandom(
  { output, attrs: { threshold }, adapter }: KernelRequest<RandomAttrs>,
  wgsl: string,
): KernelPlan {
  const { prelude, params, workgroups } = spanOf(sizeOf(output), adapter);
  const draw = `fn draw(words: vec2u) -> Real { ${wgsl} }\n`;
  return {
    steps: [
      {
        shader: 'random',
        operandsShader: 'threefry',
        prelude: prelude + draw,
        params: { ...params, threshold },
        operands: [{ input: 0 }, 'output'],
        workgroups,
      },
    ],
  };
}

/** Declares an op that makes item i of two random words of 32 bits. */
function randomOp({ name, reference, wgsl }: RandomDefinition): Op<RandomAttrs> {
  return defineOp<RandomAttrs>({
    name,
    shape([key], { shape }) {
      if (key.length !== 1 || key[0] !== 2) {
        throw new ShapeError(`${name}: the key is ${formatShape(key)}; it must be [2], a seed and a counter`);
      }
      checkShape(name, shape);
      return shape;
    },
    reference([{ data: key }], { threshold }, out) {
      for (let i = 0; i < out.data.length; i++) {
        const [first, second] = threefry2x32(key[0], key[1], i, 0);
        out.data[i] = reference(first, second, threshold);
      }
    },
    kernel: (request) => planRandom(request, wgsl),
    vjp: [null], // a key only names numbers
    examples: [
      { inputs: [[2]], attrs: { shape: [3, 5], threshold: DRAWS / 4 }, fixed: { 0: [7, 11] } },
      { inputs: [[2]], attrs: { shape: [257], threshold: DRAWS / 2 }, fixed: { 0: [0, 16777215] } },
    ],
  });
}

export const uniformOp = randomOp({
  name: 'uniform',
  reference: (first) => (first >>> 8) / DRAWS,
  wgsl: 'return Real(words.x >> 8u) * Real(0x1p-24);',
});

/**
 * Numbers [shape] evenly spread over [0, 1), multiples of 2^-24, with equal bits on every device. `key` is [2]: seed and
 * counter, whole numbers below 2^24. Throws ShapeError.
 */
export const uniform = (key: Tensor, shape: Shape): Tensor =>
  apply(uniformOp, [key], { shape, threshold: 0 });

export const normalOp = randomOp({
  name: 'normal',
  reference(first, second) {
    const radius = Math.sqrt(-2 * Math.log(1 - (first >>> 8) / DRAWS));
    return radius * Math.cos((2 * Math.PI * (second >>> 8)) / DRAWS);
  },
  wgsl: 'return box_muller(words.x >> 8u, words.y >> 8u);',
});

/**
 * Numbers [shape] from the normal distribution with mean 0 and variance 1, by Box and Muller; at most 5.77 from 0.
 * `key` as for `uniform`. Unlike there the last bits may differ between devices, which are free in how they round.
 */
export const normal = (key: Tensor, shape: Shape): Tensor => apply(normalOp, [key], { shape, threshold: 0 });

export const dropoutMaskOp = randomOp({
  name: 'dropoutMask',
  reference: (first, _, threshold) => (first >>> 8 < threshold ? 0 : DRAWS / (DRAWS - threshold)),
  wgsl: `
  let kept = Real(0x1p24) / Real(0x1000000u - params.threshold);
  return select(kept, Real(0), (words.x >> 8u) < params.threshold);`,
});

/**
 * A mask [shape] to multiply with: 0 with probability p, else 1 / (1 - p), so that the mean is 1. p is rounded to a
 * multiple of 2^-24. `key` as for `uniform`. Throws UsageError unless 0 <= p < 1.
 */
export function dropoutMask(key: Tensor, shape: Shape, p: number): Tensor {
  const threshold = Math.round(p * DRAWS);
  if (!(p >= 0 && threshold < DRAWS)) {
    throw new UsageError(
      `dropoutMask: ${p} is no probability of dropping; pass a number from 0 up to below 1`,
    );
  }
  return apply(dropoutMaskOp, [key], { shape, threshold });
}
