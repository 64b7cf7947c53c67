// Which product of matrices a matmul is. The three directions of conv2d are in gemm-conv.ts; the kernels are the same.
import { type AdapterProfile, isSwiftShader, type KernelPlan } from '../dispatch.ts';
import { isWidePanel } from './gemm-panel-wide.ts';
import { type Product, plainLines, runsOfB } from './gemm-product.ts';
import { panelAccessOf, planGemm } from './gemm-variants.ts';

/** Sizes of a batched product C[z] = A[z] B[z] and the strides of A and B in elements. C [batch, M, N] is contiguous. */
interface MatmulGeometry {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly aBatchStride: number;
  readonly aRowStride: number;
  readonly aColStride: number;
  readonly bBatchStride: number;
  readonly bRowStride: number;
  readonly bColStride: number;
}

/** C[z] = A[z] B[z]; inputs: A, B. */
export function planMatmul(g: MatmulGeometry, adapter: AdapterProfile): KernelPlan {
  const a = { input: 0, batch: g.aBatchStride, outer: g.aRowStride, term: g.aColStride, size: g.M, out: g.N };
  const b = { input: 1, batch: g.bBatchStride, outer: g.bColStride, term: g.bRowStride, size: g.N, out: 1 };
  const [straight, swapped] = [productOf(g, a, b), productOf(g, b, a)];
  const isSwapped = costOf(swapped, adapter) < costOf(straight, adapter);
  return planGemm(isSwapped ? swapped : straight, adapter);
}

/** One factor: its buffer, its strides along the outer axis and along k, its outer size and that axis' stride in C. */
interface Factor {
  readonly input: number;
  readonly batch: number;
  readonly outer: number;
  readonly term: number;
  readonly size: number;
  readonly out: number;
}

/** The product whose rows are those of one factor and whose columns are those of the other. */
function productOf(g: MatmulGeometry, rows: Factor, columns: Factor): Product {
  const bLayout = plainLines(columns.size, { batch: columns.batch, line: columns.term, step: columns.outer });
  return {
    ...runsOfB(bLayout, g.batch, g.K, columns.size),
    a: { input: rows.input },
    b: { input: columns.input },
    out: 'output',
    batches: g.batch,
    rows: rows.size,
    columns: columns.size,
    terms: g.K,
    aLayout: plainLines(g.K, { batch: rows.batch, line: rows.outer, step: rows.term }),
    outLayout: plainLines(columns.size, { batch: g.M * g.N, line: rows.out, step: columns.out }),
    firstTemp: 0,
  };
}

/**
 * What a product costs, to choose between C = A B and C^T = B^T A^T. Kernels work on blocks of columns: of 10 columns
 * they compute 16, 32 or 64. On software adapters the unit is one row of one block; loading B costs as much as some rows,
 * and so do packing A and finishing the output where they are needed. The weights are rough ratios of instructions; that
 * of wide panels is in bench/README.md.
 */
function costOf(product: Product, adapter: AdapterProfile): number {
  const { family, subgroupSize } = adapter;
  const { rows, columns, terms } = product;
  if (family !== 'software' || subgroupSize === 0) return rows * Math.ceil(columns / 64);
  const blocks = Math.ceil(columns / (4 * subgroupSize));
  // SwiftShader (4 lanes) runs without bounds checks, which are the most of what a load costs, and packs no B.
  const [byFour, byOne] = isSwiftShader(subgroupSize) ? [2.5, 5] : [10, 30];
  const loading = product.vec4OperandsShader ? byFour : byOne;
  const { isAByFour, isPacked, isOutByFour, isFinished } = panelAccessOf(product, adapter);
  const wide = isWidePanel(columns, subgroupSize) ? 0.72 : 1;
  const turn = wide * (1 + (isAByFour ? 0 : 0.15) + (isOutByFour ? 0 : 0.15));
  const packing = isPacked ? rows : 0;
  const finishing = isFinished ? (32 * blocks * rows) / terms : 0;
  return blocks * (turn * rows + loading) + packing + finishing;
}
