// Mean and variance of each channel, together in one pass over the numbers.
import type { Dispatch, KernelPlan, KernelRequest } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, div, mul, sub } from './arithmetic.ts';
import { reshape } from './broadcast.ts';
import { slice } from './layout.ts';
import { partsOf } from './reduce-plan.ts';
import { spanOf } from './span.ts';

type NoAttrs = Record<string, never>;

// The second step joins them one after the other.
const MOST_PARTS = 64;

function planMoments({ inputs: [x], adapter }: KernelRequest<NoAttrs>): KernelPlan {
  const [N, C] = x;
  const plane = sizeOf(x.slice(2));
  const lanes = plane % 4 === 0 ? 4 : 1;
  const inner = plane / lanes;
  const size = N * inner;
  const wanted = Math.min(MOST_PARTS, partsOf(size, C, adapter).parts);
  // In fours, as the kernel reads.
  const partSize = Math.ceil(size / wanted / 4) * 4;
  const parts = Math.ceil(size / partSize);
  const toOutput = `alias Out = Real;
fn put(c: u32, part: u32, mean: Real, m2: Real) {
  out[c] = mean;
  out[params.channels + c] = m2 / Real(${lanes}u * params.size);
}
`;
  const toParts = `alias Out = vec2<Real>;
fn put(c: u32, part: u32, mean: Real, m2: Real) { out[c * params.parts + part] = Out(mean, m2); }
`;
  const oneLane = `alias Item = Real;
fn join_lanes(n: Real, mean: Item, m2: Item) -> vec2<Real> { return vec2<Real>(mean, m2); }
`;
  const fourLanes = `alias Item = vec4<Real>;
fn join_lanes(n: Real, mean: Item, m2: Item) -> vec2<Real> {
  let all = dot(mean, Item(0.25));
  let d = mean - all;
  return vec2<Real>(all, dot(m2 + n * d * d, Item(1)));
}
`;
  const span = spanOf(C * parts, adapter);
  const first: Dispatch = {
    shader: 'moments',
    prelude: span.prelude + (lanes === 4 ? fourLanes : oneLane) + (parts === 1 ? toOutput : toParts),
    params: { ...span.params, channels: C, inner, size, parts, part_size: partSize },
    operands: [{ input: 0 }, parts === 1 ? 'output' : { temp: 0 }],
    workgroups: span.workgroups,
  };
  if (parts === 1) return { steps: [first] };
  const { prelude, params, workgroups } = spanOf(C, adapter);
  const fields = { ...params, size: size * lanes, parts, part_size: partSize * lanes };
  const second: Dispatch = {
    shader: 'moments_parts',
    prelude,
    params: fields,
    operands: [{ temp: 0 }, 'output'],
    workgroups,
  };
  return { steps: [first, second], temps: [2 * C * parts] };
}

/** One row of moments [2, C] in a shape that broadcasts with x [N, C, ...]. */
const rowBeside = (moments: Tensor, row: number, { shape }: Tensor): Tensor => {
  const C = shape[1];
  return reshape(slice(moments, [row, 0], [1, C]), [C, ...shape.slice(2).map(() => 1)]);
};

export const channelMomentsOp = defineOp<NoAttrs>({
  name: 'channelMoments',
  shape([x]): Shape {
    if (x.length < 2 || sizeOf(x) === 0) {
      throw new ShapeError(`channelMoments: ${formatShape(x)} must be [N, C, ...] with at least one number`);
    }
    return [2, x[1]];
  },
  reference([x], _, out) {
    const [N, C] = x.shape;
    const inner = sizeOf(x.shape.slice(2));
    for (let c = 0; c < C; c++) {
      const overChannel = (term: (value: number) => number): number => {
        let total = 0;
        for (let n = 0; n < N; n++)
          for (let i = 0; i < inner; i++) total += term(x.data[(n * C + c) * inner + i]);
        return total / (N * inner);
      };
      const mean = overChannel((value) => value);
      out.data[c] = mean;
      out.data[C + c] = overChannel((value) => (value - mean) ** 2);
    }
  },
  kernel: planMoments,
  vjp: [
    // d mean / dx = 1 / n,  d variance / dx = 2 (x - mean) / n
    (g, [x], moments) => {
      const n = sizeOf(x.shape) / x.shape[1];
      const centered = sub(x, rowBeside(moments, 0, x));
      const slopes = div(g, n);
      return add(mul(centered, mul(rowBeside(slopes, 1, x), 2)), rowBeside(slopes, 0, x));
    },
  ],
  examples: [
    { inputs: [[3, 2, 5]] },
    { inputs: [[2, 3, 2, 4]] },
    { inputs: [[7, 2]] },
    // Long enough to be cut into parts, the last one shorter.
    { inputs: [[9, 1, 31]] },
  ],
});

/** Mean and (biased) variance of each channel of x [N, C, ...] over all other axes: [2, C]. Throws ShapeError. */
export const channelMoments = (x: Tensor): Tensor => apply(channelMomentsOp, [x], {});
