// The pattern behind every elementwise op: one formula in f64, one in WGSL, broadcasting for free.
import type { KernelPlan, KernelRequest } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { defineOp } from '../op.ts';
import { broadcastShapes, broadcastStrides, formatShape, isSameShape, type Shape, sizeOf } from '../shape.ts';
import type { Example, Op, Vjp } from '../tensor.ts';
import { spanOf } from './span.ts';

type NoAttrs = Record<string, never>;

interface UnaryDefinition {
  readonly name: string;
  readonly reference: (x: number) => number;
  /** Body of `fn apply(x: Vec) -> Vec`; write literals as `Vec(1)`. */
  readonly wgsl: string;
  readonly vjp: Vjp<NoAttrs> | null;
  readonly range?: readonly [number, number];
}

/** Declares an elementwise op of one tensor. */
export function unaryOp({ name, reference, wgsl, vjp, range }: UnaryDefinition): Op<NoAttrs> {
  return defineOp<NoAttrs>({
    name,
    shape: ([x]) => x,
    reference([x], _, out) {
      for (let i = 0; i < out.data.length; i++) out.data[i] = reference(x.data[i]);
    },
    kernel({ output, adapter }) {
      const span = spanOf(Math.ceil(sizeOf(output) / 4), adapter);
      const apply = `alias Vec = vec4<Real>;\nfn apply(x: Vec) -> Vec { ${wgsl} }\n`;
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
  /** Body of `fn apply(a: Vec, b: Vec) -> Vec`; write literals as `Vec(1)`. */
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

/** Output box with the strides of both operands, neighbours merged where both walk on evenly. Innermost axis last. */
function collapse(name: string, a: Shape, b: Shape, output: Shape) {
  const box = { n: [] as number[], a: [] as number[], b: [] as number[] };
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
  while (box.n.length < BOX_RANK) {
    box.n.unshift(1);
    box.a.unshift(0);
    box.b.unshift(0);
  }
  return box;
}

function planBinary(
  name: string,
  wgsl: string,
  { inputs: [a, b], output, adapter }: KernelRequest<NoAttrs>,
): KernelPlan {
  const operands = [{ input: 0 }, { input: 1 }, 'output'] as const;
  const apply = (vec: string) => `alias Vec = ${vec};\nfn apply(a: Vec, b: Vec) -> Vec { ${wgsl} }\n`;
  const count = sizeOf(output);
  if (isSameShape(a, b)) {
    const { prelude, params, workgroups } = spanOf(Math.ceil(count / 4), adapter);
    return {
      steps: [{ shader: 'binary', prelude: prelude + apply('vec4<Real>'), params, operands, workgroups }],
    };
  }
  const box = collapse(name, a, b, output);
  const inner = BOX_RANK - 1;
  if (box.n[inner] % 4 !== 0 || box.a[inner] > 1 || box.b[inner] > 1) {
    const { prelude, params, workgroups } = spanOf(count, adapter);
    const fields: Record<string, number> = { ...params };
    for (let axis = 0; axis < BOX_RANK; axis++) {
      if (axis > 0) fields[`n${axis}`] = box.n[axis];
      fields[`a${axis}`] = box.a[axis];
      fields[`b${axis}`] = box.b[axis];
    }
    const program = prelude + apply('Real');
    return {
      steps: [{ shader: 'binary_broadcast', prelude: program, params: fields, operands, workgroups }],
    };
  }
  const { prelude, params, workgroups } = spanOf(count / 4, adapter);
  const aRepeats = box.a[inner] === 0;
  const bRepeats = box.b[inner] === 0;
  const fields: Record<string, number> = { ...params, n1: box.n[1], n2: box.n[2], n3: box.n[3] / 4 };
  for (let axis = 0; axis < inner; axis++) {
    fields[`a${axis}`] = aRepeats ? box.a[axis] : box.a[axis] / 4;
    fields[`b${axis}`] = bRepeats ? box.b[axis] : box.b[axis] / 4;
  }
  const consts = `const A_REPEATS = ${aRepeats};\nconst B_REPEATS = ${bRepeats};\n`;
  const program = prelude + consts + apply('vec4<Real>');
  return {
    steps: [{ shader: 'binary_broadcast_vec4', prelude: program, params: fields, operands, workgroups }],
  };
}
