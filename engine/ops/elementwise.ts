// The pattern behind every elementwise op: one formula in f64, one in WGSL, broadcasting for free.
import { planMap } from '../map-kernel.ts';
import { defineOp } from '../op.ts';
import { broadcastShapes, broadcastStrides, stridesOf } from '../shape.ts';
import type { Example, Op, Vjp } from '../tensor.ts';

type NoAttrs = Record<string, never>;

interface UnaryDefinition {
  readonly name: string;
  readonly reference: (x: number) => number;
  /** Body of `fn apply(x: Vec) -> Vec`; write literals as `Vec(1)`. NaN must pass, see nan.ts. */
  readonly wgsl: string;
  /** WGSL functions that the body calls. */
  readonly functions?: string;
  readonly vjp: Vjp<NoAttrs> | null;
  readonly range?: readonly [number, number];
}

/** Declares an elementwise op of one tensor. */
export function unaryOp({ name, reference, wgsl, functions = '', vjp, range }: UnaryDefinition): Op<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    shape: ([x]) => x,
    reference([x], _, out) {
      for (let i = 0; i < out.data.length; i++) out.data[i] = reference(x.data[i]);
    },
    kernel: ({ output, adapter }) =>
      planMap({ parameters: ['x'], body: wgsl, functions, strides: [stridesOf(output)] }, output, adapter),
    vjp: [vjp],
    examples: [
      { inputs: [[2, 3]], range },
      { inputs: [[7]], range },
    ],
  });
}

interface BinaryDefinition {
  readonly name: string;
  readonly reference: (a: number, b: number) => number;
  /** Body of `fn apply(a: Vec, b: Vec) -> Vec`; write literals as `Vec(1)`. NaN must pass, see nan.ts. */
  readonly wgsl: string;
  readonly vjp: readonly [Vjp<NoAttrs> | null, Vjp<NoAttrs> | null];
  readonly examples?: readonly Example<NoAttrs>[];
}

const BINARY_EXAMPLES: readonly Example<NoAttrs>[] = [
  {
    inputs: [
      [2, 3],
      [2, 3],
    ],
  },
  {
    inputs: [
      [2, 1, 3],
      [5, 1],
    ],
  },
  { inputs: [[2, 3, 4], []] },
  {
    inputs: [
      [2, 3, 8],
      [3, 1],
    ],
  },
];

/** Declares an elementwise op of two tensors that broadcast against each other. */
export function binaryOp({
  name,
  reference,
  wgsl,
  vjp,
  examples = BINARY_EXAMPLES,
}: BinaryDefinition): Op<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    shape: ([a, b]) => broadcastShapes(name, a, b),
    reference([a, b], _, out) {
      const aStrides = broadcastStrides(a.shape, out.shape);
      const bStrides = broadcastStrides(b.shape, out.shape);
      const index = new Array<number>(out.shape.length).fill(0);
      for (let i = 0; i < out.data.length; i++) {
        let iA = 0;
        let iB = 0;
        for (let axis = 0; axis < index.length; axis++) {
          iA += index[axis] * aStrides[axis];
          iB += index[axis] * bStrides[axis];
        }
        out.data[i] = reference(a.data[iA], b.data[iB]);
        for (let axis = index.length - 1; axis >= 0 && ++index[axis] === out.shape[axis]; axis--)
          index[axis] = 0;
      }
    },
    kernel({ inputs, output, adapter }) {
      const strides = inputs.map((shape) => broadcastStrides(shape, output));
      return planMap({ parameters: ['a', 'b'], body: wgsl, functions: '', strides }, output, adapter);
    },
    vjp,
    examples,
  });
}
