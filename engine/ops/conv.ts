// The convolution triple: forward, input gradient and weight gradient are one form, linear in each of three tensors
//   T(x, w, y) = sum x[n, c, i] w[o, c, k] y[n, o, p]   over all (i, k, p) with i = p stride + k dilation - padding,
// with one of the three left out each time. So each one's slopes are the other two, to every order.
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { type ConvGeometry, planConv2d } from './gemm-plan.ts';

type Pair = readonly [number, number];

/** Options of a convolution, one value per axis [vertical, horizontal]. */
export interface ConvAttrs {
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
}

/** Spatial size of the side that the other two tensors do not determine. */
interface SizedConvAttrs extends ConvAttrs {
  readonly size: Pair;
}

const outputSize = (n: number, kernel: number, stride: number, padding: number, dilation: number): number =>
  Math.floor((n + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

function fail(where: string, x: Shape, w: Shape, rule: string): never {
  throw new ShapeError(`${where}: x is ${formatShape(x)} and the weight ${formatShape(w)}; ${rule}`);
}

/** Sizes of a convolution x [N, C, H, W] * w [O, C/groups, KH, KW]. Throws ShapeError when they do not fit. */
function geometryOf(where: string, x: Shape, w: Shape, attrs: ConvAttrs): ConvGeometry {
  const { stride, padding, dilation, groups } = attrs;
  if (x.length !== 4 || w.length !== 4)
    fail(where, x, w, 'they must be [N, C, H, W] and [O, C / groups, KH, KW]');
  const [N, C, H, W] = x;
  const [O, perGroup, KH, KW] = w;
  if (C !== perGroup * groups || O % groups !== 0) {
    fail(
      where,
      x,
      w,
      `with ${groups} groups the weight must be [multiple of ${groups}, ${C / groups}, KH, KW]`,
    );
  }
  const OH = outputSize(H, KH, stride[0], padding[0], dilation[0]);
  const OW = outputSize(W, KW, stride[1], padding[1], dilation[1]);
  if (OH < 1 || OW < 1)
    fail(where, x, w, 'the kernel is larger than the padded image; pad more or use a smaller kernel');
  return { N, C, H, W, O, OH, OW, kernel: [KH, KW], stride, padding, dilation, groups };
}

/** Calls `visit` with the flat indices of every product of the trilinear form. */
function eachTerm(geometry: ConvGeometry, visit: (iX: number, iW: number, iY: number) => void): void {
  const { N, C, H, W, O, OH, OW, kernel, stride, padding, dilation, groups } = geometry;
  const [KH, KW] = kernel;
  const cPerGroup = C / groups;
  const oPerGroup = O / groups;
  for (let n = 0; n < N; n++) {
    for (let o = 0; o < O; o++) {
      const firstChannel = Math.floor(o / oPerGroup) * cPerGroup;
      for (let oy = 0; oy < OH; oy++) {
        for (let ox = 0; ox < OW; ox++) {
          const iY = ((n * O + o) * OH + oy) * OW + ox;
          for (let c = 0; c < cPerGroup; c++) {
            for (let ky = 0; ky < KH; ky++) {
              const y = oy * stride[0] + ky * dilation[0] - padding[0];
              if (y < 0 || y >= H) continue;
              for (let kx = 0; kx < KW; kx++) {
                const xx = ox * stride[1] + kx * dilation[1] - padding[1];
                if (xx < 0 || xx >= W) continue;
                const iX = ((n * C + firstChannel + c) * H + y) * W + xx;
                visit(iX, ((o * cPerGroup + c) * KH + ky) * KW + kx, iY);
              }
            }
          }
        }
      }
    }
  }
}

const spatial = (shape: Shape): Pair => [shape[2], shape[3]];

const inputShape = (y: Shape, w: Shape, { groups, size }: SizedConvAttrs): Shape => [
  y[0],
  w[1] * groups,
  ...size,
];

function inputGeometry(y: Shape, w: Shape, attrs: SizedConvAttrs): ConvGeometry {
  if (y.length !== 4 || w.length !== 4 || y[1] !== w[0]) {
    fail('conv2dInputGrad', y, w, 'they must be [N, O, OH, OW] and [O, C / groups, KH, KW] with one O');
  }
  const geometry = geometryOf('conv2dInputGrad', inputShape(y, w, attrs), w, attrs);
  if (geometry.OH !== y[2] || geometry.OW !== y[3]) {
    fail(
      'conv2dInputGrad',
      y,
      w,
      `an image of ${formatShape(attrs.size)} gives [${geometry.OH}, ${geometry.OW}]`,
    );
  }
  return geometry;
}

function weightGeometry(x: Shape, y: Shape, attrs: SizedConvAttrs): ConvGeometry {
  const geometry = geometryOf('conv2dWeightGrad', x, [y[1], x[1] / attrs.groups, ...attrs.size], attrs);
  if (geometry.N !== y[0] || geometry.OH !== y[2] || geometry.OW !== y[3]) {
    fail('conv2dWeightGrad', x, y, `the second must be [${geometry.N}, O, ${geometry.OH}, ${geometry.OW}]`);
  }
  return geometry;
}

export const conv2dOp = defineOp<ConvAttrs>({
  name: 'conv2d',
  shape([x, w], attrs) {
    const { N, O, OH, OW } = geometryOf('conv2d', x, w, attrs);
    return [N, O, OH, OW];
  },
  reference([x, w], attrs, out) {
    eachTerm(geometryOf('conv2d', x.shape, w.shape, attrs), (iX, iW, iY) => {
      out.data[iY] += x.data[iX] * w.data[iW];
    });
  },
  kernel: ({ inputs: [x, w], attrs, adapter }) =>
    planConv2d('forward', geometryOf('conv2d', x, w, attrs), adapter),
  vjp: [
    (g, [x, w], _, attrs) => conv2dInputGrad(g, w, spatial(x.shape), attrs),
    (g, [x, w], _, attrs) => conv2dWeightGrad(x, g, spatial(w.shape), attrs),
  ],
  examples: [
    {
      inputs: [
        [2, 3, 5, 4],
        [2, 3, 3, 3],
      ],
      attrs: convAttrs({ padding: 1 }),
    },
    {
      inputs: [
        [1, 4, 7, 6],
        [6, 2, 3, 2],
      ],
      attrs: convAttrs({ stride: 2, padding: [1, 0], groups: 2 }),
    },
    {
      inputs: [
        [1, 1, 7, 7],
        [2, 1, 2, 3],
      ],
      attrs: convAttrs({ dilation: 2, stride: [1, 2] }),
    },
  ],
  isMemoized: true,
});

export const conv2dInputGradOp = defineOp<SizedConvAttrs>({
  name: 'conv2dInputGrad',
  shape([y, w], attrs) {
    const { N, C, H, W } = inputGeometry(y, w, attrs);
    return [N, C, H, W];
  },
  reference([y, w], attrs, out) {
    eachTerm(inputGeometry(y.shape, w.shape, attrs), (iX, iW, iY) => {
      out.data[iX] += y.data[iY] * w.data[iW];
    });
  },
  kernel: ({ inputs: [y, w], attrs, adapter }) => planConv2d('input', inputGeometry(y, w, attrs), adapter),
  vjp: [
    (g, [, w], _, attrs) => conv2d(g, w, attrs),
    (g, [y, w], _, attrs) => conv2dWeightGrad(g, y, spatial(w.shape), attrs),
  ],
  examples: [
    {
      inputs: [
        [2, 2, 5, 4],
        [2, 3, 3, 3],
      ],
      attrs: { ...convAttrs({ padding: 1 }), size: [5, 4] },
    },
    {
      inputs: [
        [1, 4, 4, 3],
        [4, 1, 2, 3],
      ],
      attrs: { ...convAttrs({ stride: 2, groups: 2 }), size: [9, 7] },
    },
  ],
  isMemoized: true,
});

export const conv2dWeightGradOp = defineOp<SizedConvAttrs>({
  name: 'conv2dWeightGrad',
  shape([x, y], attrs) {
    const { O, C, kernel } = weightGeometry(x, y, attrs);
    return [O, C / attrs.groups, ...kernel];
  },
  reference([x, y], attrs, out) {
    eachTerm(weightGeometry(x.shape, y.shape, attrs), (iX, iW, iY) => {
      out.data[iW] += x.data[iX] * y.data[iY];
    });
  },
  kernel: ({ inputs: [x, y], attrs, adapter }) => planConv2d('weight', weightGeometry(x, y, attrs), adapter),
  vjp: [
    (g, [x, y], _, attrs) => conv2dInputGrad(y, g, spatial(x.shape), attrs),
    (g, [x], _, attrs) => conv2d(x, g, attrs),
  ],
  examples: [
    {
      inputs: [
        [2, 3, 5, 4],
        [2, 2, 5, 4],
      ],
      attrs: { ...convAttrs({ padding: 1 }), size: [3, 3] },
    },
    {
      inputs: [
        [3, 2, 7, 6],
        [3, 4, 3, 3],
      ],
      attrs: { ...convAttrs({ stride: 2, groups: 2 }), size: [3, 2] },
    },
  ],
  isMemoized: true,
});

/** Options as layers take them: one number stands for both axes. */
export interface ConvOptions {
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
  readonly dilation?: number | Pair;
  readonly groups?: number;
}

/** Both axes of an option. */
export function pairOf(value: number | Pair): Pair {
  return typeof value === 'number' ? [value, value] : value;
}

/** Complete attributes; stride and dilation 1, padding 0, one group where nothing is said. */
export function convAttrs({ stride = 1, padding = 0, dilation = 1, groups = 1 }: ConvOptions): ConvAttrs {
  return { stride: pairOf(stride), padding: pairOf(padding), dilation: pairOf(dilation), groups };
}

/** Cross-correlation of x [N, C, H, W] with w [O, C/groups, KH, KW], as PyTorch's conv2d. Returns [N, O, OH, OW]. */
export function conv2d(x: Tensor, w: Tensor, options: ConvOptions = {}): Tensor {
  return apply(conv2dOp, [x, w], convAttrs(options));
}

/** Gradient of conv2d with respect to x, for g [N, O, OH, OW]; `size` is [H, W]. N need not be the forward batch. */
export function conv2dInputGrad(g: Tensor, w: Tensor, size: Pair, options: ConvOptions): Tensor {
  return apply(conv2dInputGradOp, [g, w], { ...convAttrs(options), size });
}

/** Gradient of conv2d with respect to w, for x [N, C, H, W] and g [N, O, OH, OW]; `size` is [KH, KW]. */
export function conv2dWeightGrad(x: Tensor, g: Tensor, size: Pair, options: ConvOptions): Tensor {
  return apply(conv2dWeightGradOp, [x, g], { ...convAttrs(options), size });
}
