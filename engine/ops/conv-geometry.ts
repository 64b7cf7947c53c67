// What fits together in a convolution and its two gradients: sizes, and which elements meet in which product.
import type { ConvGeometry } from '../dispatch.ts';
import { ShapeError } from '../errors.ts';
import { formatShape, isSameShape, type Shape } from '../shape.ts';
import type { Pair } from './pair.ts';

/** Options of a convolution, one value per axis [vertical, horizontal]. */
export interface ConvAttrs {
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
}

/** Spatial size of the side that the other two tensors do not determine. */
export interface SizedConvAttrs extends ConvAttrs {
  readonly size: Pair;
}

const outputSize = (n: number, kernel: number, stride: number, padding: number, dilation: number): number =>
  Math.floor((n + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

function checkAttrs(where: string, { stride, padding, dilation, groups }: ConvAttrs): void {
  const positive = [...stride, ...dilation, groups];
  if (
    [...positive, ...padding].every(Number.isInteger) &&
    Math.min(...positive, ...padding.map((n) => n + 1)) >= 1
  )
    return;
  throw new ShapeError(
    `${where}: stride ${formatShape(stride)}, padding ${formatShape(padding)}, dilation ${formatShape(dilation)} and groups ${groups} ` +
      'must be whole numbers, padding from 0 up and the others from 1 up',
  );
}

/** Sizes of a convolution x [N, C, H, W] * w [O, C/groups, KH, KW]. Throws ShapeError when they do not fit. */
export function geometryOf(where: string, x: Shape, w: Shape, attrs: ConvAttrs): ConvGeometry {
  const { stride, padding, dilation, groups } = attrs;
  const check = (isRight: boolean, rule: string) => {
    if (!isRight)
      throw new ShapeError(`${where}: x is ${formatShape(x)} and the weight ${formatShape(w)}; ${rule}`);
  };
  check(x.length === 4 && w.length === 4, 'they must be [N, C, H, W] and [O, C / groups, KH, KW]');
  checkAttrs(where, attrs);
  const [N, C, H, W] = x;
  const [O, perGroup, KH, KW] = w;
  check(
    C === perGroup * groups && O % groups === 0,
    `with ${groups} groups the weight must be [multiple of ${groups}, ${C / groups}, KH, KW]`,
  );
  check(
    [H, W, KH, KW].every((n) => Number.isInteger(n) && n >= 1),
    'image and kernel sizes must be whole numbers from 1 up',
  );
  const OH = outputSize(H, KH, stride[0], padding[0], dilation[0]);
  const OW = outputSize(W, KW, stride[1], padding[1], dilation[1]);
  check(OH >= 1 && OW >= 1, 'the kernel is larger than the padded image; pad more or use a smaller kernel');
  return { N, C, H, W, O, OH, OW, kernel: [KH, KW], stride, padding, dilation, groups };
}

/** Calls `visit` with the flat indices of every product of the trilinear form. */
export function eachTerm(geometry: ConvGeometry, visit: (iX: number, iW: number, iY: number) => void): void {
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

/** Sizes of the convolution whose output is y [N, O, OH, OW] and whose input is `size`. Throws ShapeError. */
export function inputGeometry(y: Shape, w: Shape, attrs: SizedConvAttrs): ConvGeometry {
  const where = 'conv2dInputGrad';
  const { groups, size } = attrs;
  const geometry = geometryOf(where, [y[0], w[1] * groups, ...size], w, attrs);
  checkOutput(where, y, geometry);
  return geometry;
}

/** Sizes of the convolution of x that gives y [N, O, OH, OW] with a kernel of `size`. Throws ShapeError. */
export function weightGeometry(x: Shape, y: Shape, attrs: SizedConvAttrs): ConvGeometry {
  const where = 'conv2dWeightGrad';
  const { groups, size } = attrs;
  const geometry = geometryOf(where, x, [y[1], x[1] / groups, ...size], attrs);
  checkOutput(where, y, geometry);
  return geometry;
}

/** Throws ShapeError unless the gradient has the shape of the output it belongs to. */
function checkOutput(where: string, y: Shape, { N, O, OH, OW }: ConvGeometry): void {
  if (isSameShape(y, [N, O, OH, OW])) return;
  throw new ShapeError(
    `${where}: the output's gradient is ${formatShape(y)}; it must be ${formatShape([N, O, OH, OW])}`,
  );
}
