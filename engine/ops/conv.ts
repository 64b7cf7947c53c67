// The convolution triple: forward, input gradient and weight gradient are one form, linear in each of three tensors
//   T(x, w, y) = sum x[n, c, i] w[o, c, k] y[n, o, p]   over all (i, k, p) with i = p stride + k dilation - padding,
// with one of the three left out each time. So each one's slopes are the other two, to every order.
import { apply, defineOp } from '../op.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import {
  type ConvAttrs,
  eachTerm,
  geometryOf,
  inputGeometry,
  type SizedConvAttrs,
  weightGeometry,
} from './conv-geometry.ts';
import { planConv2d } from './conv-plan.ts';
import { type Pair, pairOf } from './pair.ts';

export type { ConvAttrs };

const spatial = (shape: Shape): Pair => [shape[2], shape[3]];

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

/** Complete attributes; stride and dilation 1, padding 0, one group where nothing is said. */
export function convAttrs({ stride = 1, padding = 0, dilation = 1, groups = 1 }: ConvOptions): ConvAttrs {
  return { stride: pairOf(stride), padding: pairOf(padding), dilation: pairOf(dilation), groups };
}

/**
 * Cross-correlation of x [N, C, H, W] with w [O, C/groups, KH, KW], as PyTorch's conv2d. Returns [N, O, OH, OW]. Throws
 * ShapeError.
 */
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
