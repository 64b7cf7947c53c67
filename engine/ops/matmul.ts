// Matrix product with transpose flags and a batch axis; its slopes are matrix products again.
import { ShapeError } from '../errors.ts';
import { apply, defineOp } from '../op.ts';
import { formatShape, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { planMatmul } from './gemm-plan.ts';

interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

interface Sizes {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

function sizesOf(a: Shape, b: Shape, { transposeA, transposeB }: MatmulAttrs): Sizes {
  const [aRows, aColumns] = a.slice(-2);
  const [bRows, bColumns] = b.slice(-2);
  const isBatched = a.length === 3;
  if (a.length !== b.length || !(isBatched ? a[0] === b[0] : a.length === 2)) {
    throw new ShapeError(
      `matmul: a is ${formatShape(a)} and b is ${formatShape(b)}; both must be [rows, columns] or [batch, rows, columns] with one batch`,
    );
  }
  const [M, K] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [inner, N] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  if (K !== inner) {
    const flags = `${transposeA ? ', a transposed' : ''}${transposeB ? ', b transposed' : ''}`;
    throw new ShapeError(
      `matmul: inner sizes differ, a is ${formatShape(a)} and b is ${formatShape(b)}${flags}; transpose one or check the layer before it`,
    );
  }
  return { batch: isBatched ? a[0] : 1, M, N, K };
}

/** Strides of the logical [rows, columns] view of a stored matrix. */
function stridesOfView(stored: Shape, isTransposed: boolean): { row: number; column: number; batch: number } {
  const [rows, columns] = stored.slice(-2);
  const batch = rows * columns;
  return isTransposed ? { row: 1, column: columns, batch } : { row: columns, column: 1, batch };
}

export const matmulOp = defineOp<MatmulAttrs>({
  name: 'matmul',
  shape([a, b], attrs) {
    const { M, N } = sizesOf(a, b, attrs);
    return a.length === 3 ? [a[0], M, N] : [M, N];
  },
  reference([a, b], attrs, out) {
    const { batch, M, N, K } = sizesOf(a.shape, b.shape, attrs);
    const sa = stridesOfView(a.shape, attrs.transposeA);
    const sb = stridesOfView(b.shape, attrs.transposeB);
    for (let z = 0; z < batch; z++) {
      for (let m = 0; m < M; m++) {
        for (let n = 0; n < N; n++) {
          let total = 0;
          for (let k = 0; k < K; k++) {
            total +=
              a.data[z * sa.batch + m * sa.row + k * sa.column] *
              b.data[z * sb.batch + k * sb.row + n * sb.column];
          }
          out.data[(z * M + m) * N + n] = total;
        }
      }
    }
  },
  kernel({ inputs: [a, b], attrs, adapter }) {
    const sa = stridesOfView(a, attrs.transposeA);
    const sb = stridesOfView(b, attrs.transposeB);
    const problem = {
      ...sizesOf(a, b, attrs),
      aBatchStride: sa.batch,
      aRowStride: sa.row,
      aColStride: sa.column,
      bBatchStride: sb.batch,
      bRowStride: sb.row,
      bColStride: sb.column,
    };
    return planMatmul(problem, adapter);
  },
  vjp: [
    (g, [, b], _, { transposeA, transposeB }) =>
      transposeA ? product(b, g, transposeB, true) : product(g, b, false, !transposeB),
    (g, [a], _, { transposeA, transposeB }) =>
      transposeB ? product(g, a, true, transposeA) : product(a, g, !transposeA, false),
  ],
  examples: [
    {
      inputs: [
        [3, 4],
        [4, 2],
      ],
      attrs: { transposeA: false, transposeB: false },
    },
    {
      inputs: [
        [2, 3, 4],
        [2, 5, 4],
      ],
      attrs: { transposeA: false, transposeB: true },
    },
    {
      inputs: [
        [1, 4, 3],
        [1, 4, 5],
      ],
      attrs: { transposeA: true, transposeB: false },
    },
    {
      inputs: [
        [1, 7, 5],
        [1, 2, 7],
      ],
      attrs: { transposeA: true, transposeB: true },
    },
  ],
  isMemoized: true,
});

function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  return apply(matmulOp, [a, b], { transposeA, transposeB });
}

/**
 * a [M, K] times b [K, N], or both with a batch axis in front; the flags transpose the last two axes first. Throws
 * ShapeError.
 */
export function matmul(a: Tensor, b: Tensor, { transposeA = false, transposeB = false } = {}): Tensor {
  return product(a, b, transposeA, transposeB);
}
