// Softmax and its logarithm: ops of their own, because composed of exp and sum they would overflow or take six passes.
import type { KernelPlan, KernelRequest } from '../dispatch.ts';
import { apply, defineOp } from '../op.ts';
import { normalizeAxis, sizeOf } from '../shape.ts';
import type { NdArray, Tensor } from '../tensor.ts';
import { mul, sub, sumProduct } from './arithmetic.ts';
import { sum } from './broadcast.ts';
import { nanWgsl } from './nan.ts';
import { exp } from './pointwise.ts';
import { shareRows, teamFor } from './row-teams.ts';
import { spanOf } from './span.ts';

interface AxisAttrs {
  readonly axis: number;
}

/** Fills out with `finish(x - max, sum of e^(x - max))` along the axis. */
function softmaxReference(
  x: NdArray,
  axis: number,
  out: NdArray,
  finish: (shifted: number, total: number) => number,
): void {
  const size = x.shape[axis];
  const inner = sizeOf(x.shape.slice(axis + 1));
  for (let line = 0; line < x.data.length / size; line++) {
    const start = Math.floor(line / inner) * size * inner + (line % inner);
    let top = -Infinity;
    for (let r = 0; r < size; r++) top = Math.max(top, x.data[start + r * inner]);
    let total = 0;
    for (let r = 0; r < size; r++) total += Math.exp(x.data[start + r * inner] - top);
    for (let r = 0; r < size; r++) {
      const i = start + r * inner;
      out.data[i] = finish(x.data[i] - top, total);
    }
  }
}

const foldedWgsl = `fn fold_max(x: Vec) -> Vec {
  return select(Vec(max(max(x.x, x.y), max(x.z, x.w))), nan_like(x), vec4<bool>(any(is_nan(x))));
}
fn fold_sum(x: Vec) -> Vec { return Vec(dot(x, Vec(1))); }
`;
const sideBySideWgsl = `fn fold_max(x: Vec) -> Vec { return x; }
fn fold_sum(x: Vec) -> Vec { return x; }
`;

function planSoftmax(
  { inputs: [x], attrs: { axis }, adapter }: KernelRequest<AxisAttrs>,
  body: string,
): KernelPlan {
  const size = x[axis];
  const inner = sizeOf(x.slice(axis + 1));
  // Four numbers at a time: of one line where it runs along the innermost axis, else of four lines.
  const isFolded = inner === 1 && size % 4 === 0;
  const lanes = isFolded || inner % 4 === 0 ? 4 : 1;
  const finish = `fn finish(shifted: Vec, total: Vec) -> Vec { ${body} }\n`;
  const functions = nanWgsl(lanes) + (isFolded ? foldedWgsl : sideBySideWgsl) + finish;
  const operands = [{ input: 0 }, 'output'] as const;
  if (inner === 1 && adapter.family === 'gpu') {
    const rows = sizeOf(x) / size;
    const { prelude, params, workgroups } = shareRows(rows, teamFor(size / lanes), adapter);
    const fields = { ...params, rows, size: size / lanes };
    return {
      steps: [{ shader: 'softmax_rows', prelude: prelude + functions, params: fields, operands, workgroups }],
    };
  }
  const { prelude, params, workgroups } = spanOf(sizeOf(x) / size / (isFolded ? 1 : lanes), adapter);
  const fields = isFolded ? { ...params, size: size / 4, inner } : { ...params, size, inner: inner / lanes };
  return {
    steps: [{ shader: 'softmax', prelude: prelude + functions, params: fields, operands, workgroups }],
  };
}

const examples = [
  { inputs: [[3, 4]], attrs: { axis: 1 } },
  { inputs: [[2, 5, 3]], attrs: { axis: 1 } },
  { inputs: [[7]], attrs: { axis: 0 } },
  { inputs: [[3, 2, 4]], attrs: { axis: 1 } },
];

export const softmaxOp = defineOp<AxisAttrs>({
  name: 'softmax',
  shape: ([x]) => x,
  reference: ([x], { axis }, out) =>
    softmaxReference(x, axis, out, (shifted, total) => Math.exp(shifted) / total),
  kernel: (request) => planSoftmax(request, 'return exp(shifted) / total;'),
  // Through the output node y, so that the second derivative sees it.
  vjp: [(g, _, y, { axis }) => mul(y, sub(g, sumProduct(g, y, [axis], { keepDims: true })))],
  examples,
});

/** e^x / sum e^x along `axis` (the last by default), without overflow. A line with NaN becomes NaN. */
export const softmax = (x: Tensor, axis = -1): Tensor =>
  apply(softmaxOp, [x], { axis: normalizeAxis('softmax', axis, x.shape.length) });

export const logSoftmaxOp = defineOp<AxisAttrs>({
  name: 'logSoftmax',
  shape: ([x]) => x,
  reference: ([x], { axis }, out) =>
    softmaxReference(x, axis, out, (shifted, total) => shifted - Math.log(total)),
  kernel: (request) => planSoftmax(request, 'return shifted - select(log(total), total, is_nan(total));'),
  vjp: [(g, _, y, { axis }) => sub(g, mul(exp(y), sum(g, [axis], { keepDims: true })))],
  examples,
});

/** x - log sum e^x along `axis` (the last by default), without overflow. A line with NaN becomes NaN. */
export const logSoftmax = (x: Tensor, axis = -1): Tensor =>
  apply(logSoftmaxOp, [x], { axis: normalizeAxis('logSoftmax', axis, x.shape.length) });
