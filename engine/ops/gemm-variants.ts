// How a product of matrices is launched: which kernel file, how long its blocks are, into how many workgroups it falls.
import type { ShaderName } from '../../shaders/catalogue.ts';
import {
  type AdapterProfile,
  type Dispatch,
  foldWorkgroups,
  type KernelPlan,
  type Operand,
} from '../dispatch.ts';
import { multiplyBlock, panelTerms } from './gemm-panel.ts';

type GemmVariant = 'plain' | 'tiled' | 'panel';

/** out[z](m, n) = sum_k A(z, m, k) B(z, k, n). Where the values lie is told by the operands file and its params. */
export interface Product {
  readonly operandsShader: ShaderName;
  /** Buffers of A and B. */
  readonly operands: readonly [Operand, Operand];
  readonly batches: number;
  readonly rows: number;
  readonly columns: number;
  readonly terms: number;
  readonly params: Readonly<Record<string, number>>;
  /** Temporary buffer that takes the result instead of the output; partial sums then use the next one. */
  readonly targetTemp?: number;
}

/** What a variant decides: its program, the block of outputs per workgroup, and the parts into which k is split. */
interface Launch {
  readonly shader: ShaderName;
  readonly consts: string;
  readonly workgroupCount: number;
  readonly blockRows: number;
  readonly splits: number;
  readonly splitTerms: number;
}

const THREADS = 64;
const TILE_COLUMNS = 64;
const TILE_TERMS = 16;
/** A tile has at least 16 rows. A GPU computes missing ones in passing, a CPU pays for each. */
const MIN_TILE_ROWS = { software: 16, gpu: 4 } as const;
/** Enough workgroups to share them evenly between the threads of a CPU, or to fill a GPU. */
const WORKGROUPS_WANTED = { software: 16, gpu: 256 } as const;
/** Shorter sums are not worth a second pass over the output. */
const MIN_SPLIT_TERMS = 256;

/** Steps for one product: a single dispatch, or partial sums over parts of k and one dispatch that adds them. */
export function planGemm(product: Product, adapter: AdapterProfile): KernelPlan {
  const outSize = product.batches * product.rows * product.columns;
  const { targetTemp } = product;
  const target: Operand = targetTemp === undefined ? 'output' : { temp: targetTemp };
  const partialSums: Operand = { temp: targetTemp === undefined ? 0 : targetTemp + 1 };
  if (outSize === 0) return { steps: [] };
  if (product.terms === 0) return { steps: [{ clear: target }] };
  const launch = launchers[chooseVariant(product, adapter)](product, adapter);
  const isSplit = launch.splits > 1;
  const multiply: Dispatch = {
    shader: launch.shader,
    operandsShader: product.operandsShader,
    prelude: launch.consts,
    params: {
      rows: product.rows,
      columns: product.columns,
      terms: product.terms,
      batches: product.batches,
      splits: launch.splits,
      split_terms: launch.splitTerms,
      block_rows: launch.blockRows,
      out_size: outSize,
      ...product.params,
    },
    operands: [...product.operands, isSplit ? partialSums : target],
    workgroups: foldWorkgroups(launch.workgroupCount, adapter),
  };
  if (!isSplit) return { steps: [multiply] };
  const reduce: Dispatch = {
    shader: 'gemm_reduce_splits',
    prelude: `const GROUP = ${THREADS}u;\n`,
    params: { out_size: outSize, splits: launch.splits },
    operands: [partialSums, target],
    workgroups: foldWorkgroups(Math.ceil(outSize / THREADS), adapter),
  };
  return { steps: [multiply, reduce], temps: [launch.splits * outSize] };
}

/** The variant made for this adapter, or `plain` where that one cannot run or most of it would idle. */
function chooseVariant(product: Product, adapter: AdapterProfile): GemmVariant {
  if (adapter.family === 'software' && adapter.subgroupSize > 0) return 'panel';
  const isTiny = product.rows * product.columns * product.terms < 4096;
  const isFlat = product.rows < MIN_TILE_ROWS[adapter.family];
  return isTiny || isFlat || tileRows(product, adapter) === 0 ? 'plain' : 'tiled';
}

const launchers: Record<GemmVariant, (product: Product, adapter: AdapterProfile) => Launch> = {
  plain(product, adapter) {
    const outputs = product.batches * product.rows * product.columns;
    const { splits, splitTerms } = splitProduct(product, Math.ceil(outputs / THREADS), 1, adapter);
    return {
      shader: 'gemm_plain',
      consts: `const GROUP = ${THREADS}u;\n`,
      workgroupCount: Math.ceil((outputs * splits) / THREADS),
      blockRows: 1,
      splits,
      splitTerms,
    };
  },

  tiled(product, adapter) {
    const blockRows = tileRows(product, adapter);
    const tiles =
      product.batches * Math.ceil(product.rows / blockRows) * Math.ceil(product.columns / TILE_COLUMNS);
    const { splits, splitTerms } = splitProduct(product, tiles, TILE_TERMS, adapter);
    return {
      shader: 'gemm_tiled',
      consts: `const TILE_ROWS = ${blockRows}u;\n`,
      workgroupCount: tiles * splits,
      blockRows,
      splits,
      splitTerms,
    };
  },

  panel(product, adapter) {
    const lanes = adapter.subgroupSize;
    const columnBlocks = product.batches * Math.ceil(product.columns / (4 * lanes));
    // Rows share the filling of a panel, so they are divided only where workgroups would be too few.
    const rowBlocksWanted = Math.ceil(WORKGROUPS_WANTED.software / columnBlocks);
    const blockRows = Math.min(product.rows, Math.max(16, Math.ceil(product.rows / rowBlocksWanted)));
    const blocks = columnBlocks * Math.ceil(product.rows / blockRows);
    const blockTerms = panelTerms(product.terms, lanes);
    const { splits, splitTerms } = splitProduct(product, blocks, blockTerms, adapter);
    return {
      shader: 'gemm_panel',
      consts: `enable subgroups;\n${multiplyBlock(lanes, blockTerms)}`,
      workgroupCount: blocks * splits,
      blockRows,
      splits,
      splitTerms,
    };
  },
};

/** Cuts k into equal parts, each a multiple of the block, where outputs alone would make too few workgroups. */
function splitProduct(product: Product, workgroups: number, blockTerms: number, adapter: AdapterProfile) {
  const wanted = Math.ceil(WORKGROUPS_WANTED[adapter.family] / workgroups);
  const worthwhile = Math.floor(product.terms / MIN_SPLIT_TERMS);
  const parts = Math.max(1, Math.min(wanted, worthwhile));
  const splitTerms = Math.ceil(product.terms / parts / blockTerms) * blockTerms;
  return { splits: Math.ceil(product.terms / splitTerms), splitTerms };
}

/** Rows of a tile: the fewest that hold all rows of the product, up to what the adapter can run; 0 if it cannot. */
function tileRows(product: Product, adapter: AdapterProfile): number {
  const isPossible = (rows: number) =>
    (rows * TILE_COLUMNS) / 16 <= adapter.maxInvocationsPerWorkgroup &&
    4 * TILE_TERMS * (rows + 4 + TILE_COLUMNS) <= adapter.maxWorkgroupStorageSize;
  const possible = [16, 32, 64].filter(isPossible);
  return possible.find((rows) => rows >= product.rows) ?? possible.at(-1) ?? 0;
}
