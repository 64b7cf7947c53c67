// The dispatches around a product whose kernel reads A and writes the output by vec4 where they do not lie so.
import {
  type AdapterProfile,
  type Dispatch,
  foldWorkgroups,
  isSwiftShader,
  type KernelPlan,
  MOST_TEMP_ELEMENTS,
  type Operand,
  SOFTWARE_WORKGROUPS,
  threadsPerWorkgroup,
} from '../dispatch.ts';
import {
  A_ADDRESS,
  aParams,
  OUT_ADDRESS,
  outParams,
  type Product,
  plainLines,
  type RunLayout,
  runsOfB,
  tileText,
} from './gemm-product.ts';

/**
 * Copies A into a temporary buffer [batches, blocks, rows, blockTerms], zeros behind its last term. A matrix that all
 * products share is packed once.
 */
export function packDispatch(
  { batches: products, rows, terms, a, aLayout }: Product,
  blockTerms: number,
  newTemp: (size: number) => Operand,
  adapter: AdapterProfile,
): { dispatch: Dispatch; packed: Operand; layout: RunLayout; unit: string } {
  const batches = aLayout.batch === 0 ? 1 : products;
  const blocks = Math.ceil(terms / blockTerms);
  const runStride = rows * blockTerms;
  const isHalf = adapter.precision === 'mixed';
  // In elements of 4 bytes.
  const packed = newTemp((batches * blocks * runStride) / (isHalf ? 2 : 1));
  const { group, params, workgroups } = shareQuads(batches, rows, (blocks * blockTerms) / 4, adapter);
  const dispatch: Dispatch = {
    shader: 'gemm_pack',
    prelude: `const GROUP = ${group}u;\n${tileText(adapter)}${A_ADDRESS}`,
    params: { ...params, rows, terms, batches, block_terms: blockTerms, ...aParams(aLayout) },
    operands: [a, packed],
    workgroups,
  };
  const batch = aLayout.batch === 0 ? 0 : blocks * runStride;
  const layout = { start: 0, batch, line: blockTerms, run: blockTerms, runStride, step: 1 };
  return { dispatch, packed, layout, unit: `alias AUnit = vec4<${isHalf ? 'f16' : 'Real'}>;\n` };
}

/** B, and the dispatch that packs it if there is one. */
export interface Right extends Pick<Product, 'b' | 'params' | 'vec4OperandsShader'> {
  readonly packing?: Dispatch;
}

/**
 * B as it is, or copied to where four columns are one vec4. The copy takes longer than reading it as it lies, but spares
 * lavapipe a program to compile. SwiftShader compiles quickly.
 */
export function rightByFour(
  product: Product,
  newTemp: (size: number) => Operand,
  adapter: AdapterProfile,
): Right {
  const { batches, terms, columns, b, bLayout, vec4OperandsShader } = product;
  const padded = Math.ceil(columns / 4) * 4;
  const isPacked = bLayout && !vec4OperandsShader && batches * terms * padded <= MOST_TEMP_ELEMENTS;
  if (!isPacked || adapter.family !== 'software' || isSwiftShader(adapter.subgroupSize)) return product;
  // Its terms are the rows of what is packed.
  const turned = { ...product, rows: terms, terms: columns, a: b, aLayout: bLayout };
  const { dispatch, packed, layout } = packDispatch(turned, padded, newTemp, {
    ...adapter,
    precision: 'f32',
  });
  return { ...runsOfB(layout, batches, terms, padded), b: packed, packing: dispatch };
}

/** Adds the partial sums [splits, batches, rows, columns filled up to vec4s] and puts them where the output has them. */
export function finishDispatch(
  {
    batches,
    rows,
    columns,
    out,
    outLayout,
  }: Pick<Product, 'batches' | 'rows' | 'columns' | 'out' | 'outLayout'>,
  partialSums: Operand,
  splits: number,
  adapter: AdapterProfile,
): Dispatch {
  const { group, params, workgroups } = shareQuads(batches, rows, Math.ceil(columns / 4), adapter);
  return {
    shader: 'gemm_finish',
    prelude: `const GROUP = ${group}u;\n${OUT_ADDRESS}`,
    params: { ...params, rows, columns, batches, splits, ...outParams(outLayout) },
    operands: [partialSums, out],
    workgroups,
  };
}

/**
 * A weight gradient [rows, columns] from a kernel that leaves partial sums [parts, rows, columns filled up to vec4s] in the first
 * temporary buffer.
 */
export function weightsOfParts(
  sums: Dispatch,
  { rows, columns, parts }: { readonly rows: number; readonly columns: number; readonly parts: number },
  adapter: AdapterProfile,
): KernelPlan {
  const outLayout = plainLines(columns, { batch: 0, line: columns, step: 1 });
  const weights = { batches: 1, rows, columns, out: 'output', outLayout } as const;
  return {
    steps: [sums, finishDispatch(weights, { temp: 0 }, parts, adapter)],
    temps: [4 * parts * rows * Math.ceil(columns / 4)],
  };
}

/** Shares out a batch of matrices, `quads` vec4s wide: a thread takes one vec4 of some rows. */
function shareQuads(batches: number, rows: number, quads: number, adapter: AdapterProfile) {
  const isSoftware = adapter.family === 'software';
  const group = threadsPerWorkgroup(adapter);
  let groupQuads = group;
  while (groupQuads / 2 >= quads) groupQuads /= 2;
  const rowsAtOnce = group / groupQuads;
  const quadBlocks = batches * Math.ceil(quads / groupQuads);
  const rowBlocksWanted = Math.ceil(SOFTWARE_WORKGROUPS / quadBlocks);
  const blockRows = isSoftware ? Math.max(rowsAtOnce, Math.ceil(rows / rowBlocksWanted)) : rowsAtOnce;
  const workgroupCount = quadBlocks * Math.ceil(rows / blockRows);
  return {
    group,
    params: { quads, group_quads: groupQuads, block_rows: blockRows },
    workgroups: foldWorkgroups(workgroupCount, adapter),
  };
}
