// The pattern behind every elementwise op: one formula in f64, one in WGSL, broadcasting for free.
import type { KernelPlan, KernelRequest } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { defineOp } from '../op.ts';
import { broadcastShapes, broadcastStrides, formatShape, isSameShape, type Shape, sizeOf } from '../shape.ts';
import type { Example, Op, Vjp } from '../tensor.ts';
import { nanWgsl } from './nan.ts';
import { spanOf } from './span.ts';

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
    kernel({ output, adapter }) {
      const span = spanOf(Math.ceil(sizeOf(output) / 4), adapter);
      const apply = `${nanWgsl(4)}${functions}fn apply(x: Vec) -> Vec { ${wgsl} }\n`;
      const prelude = span.prelude + apply;
      const { params, workgroups } = span;
      return {
        steps: [{ shader: 'unary', prelude, params, operands: [{ input: 0 }, 'output'], workgroups }],
      };
    },
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
    kernel: (request) => planBinary(name, wgsl, request),
    vjp,
    examples,
  });
}

const BOX_RANK = 4;

interface BroadcastBox {
  readonly n: number[];
  readonly a: number[];
  readonly b: number[];
}

/** Output box with the strides of both operands, neighbours merged where both walk on evenly. Innermost axis last. */
function collapse(name: string, a: Shape, b: Shape, output: Shape): BroadcastBox {
  const box: BroadcastBox = { n: [], a: [], b: [] };
  const aStrides = broadcastStrides(a, output);
  const bStrides = broadcastStrides(b, output);
  output.forEach((n, axis) => {
    if (n === 1) return;
    const last = box.n.length - 1;
    if (last >= 0 && box.a[last] === aStrides[axis] * n && box.b[last] === bStrides[axis] * n) {
      box.n[last] *= n;
      box.a[last] = aStrides[axis];
      box.b[last] = bStrides[axis];
    } else {
      box.n.push(n);
      box.a.push(aStrides[axis]);
      box.b.push(bStrides[axis]);
    }
  });
  if (box.n.length > BOX_RANK) {
    throw new ShapeError(
      `${name}: ${formatShape(a)} with ${formatShape(b)} needs more than ${BOX_RANK} axes; expand one of them first`,
    );
  }
  return box;
}

/** Strides of an operand by the kernels' names. Axes are counted from the innermost, 3; the outermost stands apart. */
function strideFields(name: 'a' | 'b', strides: readonly number[]): Record<string, number> {
  const inner = strides.toReversed();
  const outermost = inner.length - 1;
  const at = (axis: number) => (3 - axis < outermost ? inner[3 - axis] : 0);
  return {
    [`${name}_outer`]: inner[outermost] ?? 0,
    [`${name}3`]: at(3),
    [`${name}2`]: at(2),
    [`${name}1`]: at(1),
  };
}

function planBinary(
  name: string,
  wgsl: string,
  { inputs: [a, b], output, adapter }: KernelRequest<NoAttrs>,
): KernelPlan {
  const operands = [{ input: 0 }, { input: 1 }, 'output'] as const;
  const apply = (lanes: 1 | 4) => `${nanWgsl(lanes)}fn apply(a: Vec, b: Vec) -> Vec { ${wgsl} }\n`;
  const count = sizeOf(output);
  if (isSameShape(a, b)) {
    const { prelude, params, workgroups } = spanOf(Math.ceil(count / 4), adapter);
    return { steps: [{ shader: 'binary', prelude: prelude + apply(4), params, operands, workgroups }] };
  }
  const box = collapse(name, a, b, output);
  const rank = Math.max(1, box.n.length);
  const last = rank - 1;
  const [n = 1, aInner = 0, bInner = 0] = [box.n[last], box.a[last], box.b[last]];
  const isVector = n % 4 === 0 && aInner <= 1 && bInner <= 1;
  const lanes = isVector ? 4 : 1;
  // In vec4 an operand that runs along the innermost axis counts its rows in vec4; one that repeats, in elements.
  const strides = (own: readonly number[], inner: number): number[] => {
    if (!isVector) return [...own];
    const rows = own.slice(0, last).map((stride) => (inner === 1 ? stride / 4 : stride));
    return rank === 1 ? [0] : [...rows, 0];
  };
  const { prelude, params, workgroups } = spanOf(count / lanes, adapter);
  const fields = {
    ...params,
    n1: box.n[rank - 3] ?? 1,
    n2: box.n[rank - 2] ?? 1,
    n3: n / lanes,
    ...strideFields('a', strides(box.a, aInner)),
    ...strideFields('b', strides(box.b, bInner)),
  };
  const repeats = `const A_REPEATS = ${aInner === 0};\nconst B_REPEATS = ${bInner === 0};\n`;
  const consts = `${prelude}const RANK = ${rank};\n${isVector ? repeats : ''}`;
  const shader = isVector ? 'binary_broadcast_vec4' : 'binary_broadcast';
  return { steps: [{ shader, prelude: consts + apply(lanes), params: fields, operands, workgroups }] };
}
