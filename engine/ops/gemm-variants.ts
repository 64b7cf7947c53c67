// How a product of matrices is launched: which kernel, how long its blocks are, into how many workgroups it falls.
import type { ShaderName } from '../../shaders/catalogue.ts';
import {
  type AdapterProfile,
  type Dispatch,
  foldWorkgroups,
  type GemmVariant,
  isSwiftShader,
  type KernelPlan,
  SOFTWARE_WORKGROUPS,
} from '../dispatch.ts';
import { finishDispatch, packDispatch, type Right, rightByFour } from './gemm-packing.ts';
import { multiplyBlock, panelAccess, panelTerms } from './gemm-panel.ts';
import { isWidePanel, multiplyWideBlock, panelColumns, widePanelTerms } from './gemm-panel-wide.ts';
import {
  A_ADDRESS,
  aParams,
  FOUR_COLUMNS,
  isVec4,
  OUT_ADDRESS,
  outParams,
  type Product,
  plainLines,
  tileText,
} from './gemm-product.ts';

/** What a variant decides: its program, how many workgroups run it, and the parts into which k is split. */
interface Launch {
  readonly shader: ShaderName;
  readonly consts: string;
  readonly workgroupCount: number;
  /** Of the panel: the rows per workgroup, and the length of its blocks of terms. */
  readonly blockRows?: number;
  readonly blockTerms?: number;
  readonly splits: number;
  readonly splitTerms: number;
  /** Whether B is read four columns at a time. */
  readonly isBByFour: boolean;
  /** Whether A is read by vec4, and the output written so; it is finished then if it does not lie so. */
  readonly isAByFour: boolean;
  readonly isOutByFour: boolean;
  /** The block of terms that A is packed in, if it must be. */
  readonly packedTerms?: number;
}

const THREADS = 64;
const TILE_COLUMNS = 64;
const TILE_TERMS = 16;
/** A tile has at least 16 rows. A GPU computes missing ones in passing, a CPU pays for each. */
const MIN_TILE_ROWS = { software: 16, gpu: 4 } as const;
/** Rows and columns of a wide tile, its threads and its bytes of workgroup memory. */
const WIDE = { side: 128, terms: 8, threads: 256, bytes: 4 * 8 * (132 + 128) } as const;
/** Fewer wide tiles would leave a GPU idle. A guess: no GPU was at hand. */
const WIDE_TILES_WANTED = 64;
/** Enough workgroups to share them evenly between the threads of a CPU, or to fill a GPU. */
const WORKGROUPS_WANTED = { software: SOFTWARE_WORKGROUPS, gpu: 256 } as const;
/** Shorter sums are not worth a second pass over the output. */
const MIN_SPLIT_TERMS = 256;

/** The variants that an adapter can run. */
export function possibleVariants(adapter: AdapterProfile): GemmVariant[] {
  const { maxInvocationsPerWorkgroup: threads, maxWorkgroupStorageSize: bytes, subgroupSize } = adapter;
  const isPossible: Record<GemmVariant, boolean> = {
    plain: true,
    tiled: possibleTileRows(adapter).length > 0,
    wide: threads >= WIDE.threads && bytes >= WIDE.bytes,
    panel: subgroupSize > 0,
  };
  return (Object.keys(isPossible) as GemmVariant[]).filter((variant) => isPossible[variant]);
}

/** The variant made for this adapter and shape; `adapter.chooseGemm` overrides it. */
function chooseVariant(product: Product, adapter: AdapterProfile): GemmVariant {
  const override = adapter.chooseGemm?.(product);
  if (override) return override;
  const { batches, rows, columns, terms } = product;
  if (adapter.family === 'software' && adapter.subgroupSize > 0) return 'panel';
  const isTiny = rows * columns * terms < 4096;
  const isFlat = rows < MIN_TILE_ROWS[adapter.family];
  if (isTiny || isFlat || tileRows(product, adapter) === 0) return 'plain';
  const fullWideTiles = batches * Math.floor(rows / WIDE.side) * Math.floor(columns / WIDE.side);
  const canBeWide = possibleVariants(adapter).includes('wide');
  return adapter.family === 'gpu' && canBeWide && fullWideTiles >= WIDE_TILES_WANTED ? 'wide' : 'tiled';
}

/**
 * Steps for one product: A is packed first and the output finished last, where the kernel works by vec4 and they do not
 * lie so; sums over parts of k are added in the same last step.
 */
export function planGemm(product: Product, adapter: AdapterProfile): KernelPlan {
  const { batches, rows, columns, terms } = product;
  if (batches * rows * columns === 0) return { steps: [] };
  if (terms === 0) return { steps: [{ clear: product.out }] };
  const launch = launchers[chooseVariant(product, adapter)](product, adapter);
  const { splits, packedTerms, isAByFour, isBByFour, isOutByFour } = launch;
  const steps: Dispatch[] = [];
  const temps: number[] = [];
  const newTemp = (size: number) => ({ temp: product.firstTemp + temps.push(size) - 1 });

  let { a, aLayout, out, outLayout } = product;
  let aUnit = `alias AUnit = ${isAByFour ? 'vec4<Real>' : 'Real'};\n`;
  if (packedTerms !== undefined) {
    const packing = packDispatch(product, packedTerms, newTemp, adapter);
    steps.push(packing.dispatch);
    a = packing.packed;
    aLayout = packing.layout;
    aUnit = packing.unit;
  }
  const paddedColumns = Math.ceil(columns / 4) * 4;
  const partialSize = batches * rows * paddedColumns;
  if (splits > 1 || (isOutByFour && !isOutVec4(product))) {
    out = newTemp(splits * partialSize);
    outLayout = plainLines(columns, { batch: rows * paddedColumns, line: paddedColumns, step: 1 });
  }
  const right: Right = isBByFour ? rightByFour(product, newTemp, adapter) : product;
  if (right.packing) steps.push(right.packing);
  const vec4Operands = isBByFour ? right.vec4OperandsShader : undefined;
  const fourColumns = isBByFour && !vec4Operands ? fourColumnsOf(product, adapter) : '';
  steps.push({
    shader: launch.shader,
    operandsShader: vec4Operands ?? product.operandsShader,
    prelude: `${launch.consts}${tileText(adapter)}${aUnit}${A_ADDRESS}${OUT_ADDRESS}${fourColumns}`,
    params: {
      rows,
      columns,
      terms,
      batches,
      splits,
      split_terms: launch.splitTerms,
      block_rows: launch.blockRows ?? 0,
      block_terms: launch.blockTerms ?? 0,
      out_size: partialSize,
      ...aParams(aLayout),
      ...outParams(outLayout),
      ...right.params,
    },
    operands: [a, right.b, out],
    workgroups: foldWorkgroups(launch.workgroupCount, adapter),
  });
  if (out !== product.out) steps.push(finishDispatch(product, out, splits, adapter));
  return { steps, temps };
}

/**
 * How columns are read that are no vec4s. Fewer loads pay on SwiftShader. lavapipe would have to compile one panel for rows
 * of whole vec4s and one for others.
 */
const fourColumnsOf = ({ fourColumns }: Product, { subgroupSize }: AdapterProfile): string =>
  (isSwiftShader(subgroupSize) ? fourColumns : undefined) ?? FOUR_COLUMNS;

/** Whether the output can be written by vec4, the last ones of its lines into room behind them if need be. */
function isOutVec4({ batches, rows, columns, outLayout }: Product): boolean {
  const padded = Math.ceil(columns / 4) * 4;
  const hasRoom = outLayout.run >= columns && outLayout.line >= padded;
  return isVec4(outLayout, batches, rows, hasRoom ? padded : columns);
}

/** Rows this many elements apart meet in the same lines of a CPU's cache: 2 KiB. */
const CACHE_PERIOD = 512;
/** Fewer columns do not repay the packing of A where it could be read as it lies. */
const MIN_PACKING_COLUMNS = 256;

/** Whether A is packed before it is multiplied: it must be where terms are no vec4s, and it pays where rows collide. */
function shouldPack(product: Product, { family }: AdapterProfile): boolean {
  const { batches, rows, columns, terms, aLayout } = product;
  const isColliding = family === 'software' && rows > 8 && aLayout.line % CACHE_PERIOD === 0;
  return (isColliding && columns >= MIN_PACKING_COLUMNS) || !isVec4(aLayout, batches, rows, terms);
}

/** What it is taken to cost a panel to read or write four numbers one by one, and to pack or finish them: in vec4s. */
const FOUR_BY_ONE = 1.6;
const COPYING = 2.6;

/** How a panel reads A and writes the output: by vec4 or one by one, and what is done for the vec4s. */
export interface PanelAccess {
  readonly isAByFour: boolean;
  readonly isPacked: boolean;
  readonly isOutByFour: boolean;
  readonly isFinished: boolean;
}

/**
 * Decides about vec4s. A single product always gets them: lavapipe would have to compile a program for another way. Of
 * batches, such as those of attention, many products are small, and how often they use each vec4 decides: A for each block of
 * columns, the output for each block of terms.
 */
export function panelAccessOf(product: Product, adapter: AdapterProfile): PanelAccess {
  const { batches, columns, terms, aLayout } = product;
  const { subgroupSize: lanes } = adapter;
  const columnBlocks = Math.ceil(columns / panelColumns(columns, lanes));
  const termBlocks = Math.ceil(terms / blockTermsOf(product, lanes));
  const isWorthwhile = (uses: number) => batches === 1 || uses * (FOUR_BY_ONE - 1) >= COPYING;
  const isAReady = !shouldPack(product, adapter);
  const isAByFour = isAReady || isWorthwhile(aLayout.batch === 0 ? batches * columnBlocks : columnBlocks);
  const isOutReady = isOutVec4(product) || panelSplit(product, adapter).splits > 1;
  const isOutByFour = isOutReady || isWorthwhile(2 * termBlocks - 1);
  const [isPacked, isFinished] = [isAByFour && !isAReady, isOutByFour && !isOutReady];
  return { isAByFour, isPacked, isOutByFour, isFinished };
}

/** Length of the blocks of terms in a panel. */
const blockTermsOf = (product: Product, lanes: number): number =>
  isWidePanel(product.columns, lanes) ? widePanelTerms(product) : panelTerms(product.terms, lanes);

/** How many rows a panel's workgroups take, and into how many parts its sums are split. */
function panelSplit(product: Product, adapter: AdapterProfile) {
  const lanes = adapter.subgroupSize;
  const columnBlocks = product.batches * Math.ceil(product.columns / panelColumns(product.columns, lanes));
  // Rows share the filling of a panel, so they are divided only where workgroups would be too few.
  const rowBlocksWanted = Math.ceil(WORKGROUPS_WANTED.software / columnBlocks);
  const blockRows = Math.min(product.rows, Math.max(16, Math.ceil(product.rows / rowBlocksWanted)));
  const blocks = columnBlocks * Math.ceil(product.rows / blockRows);
  const blockTerms = blockTermsOf(product, lanes);
  return { blockRows, blocks, blockTerms, ...splitProduct(product, blocks, blockTerms, adapter) };
}

const launchers: Record<GemmVariant, (product: Product, adapter: AdapterProfile) => Launch> = {
  plain(product, adapter) {
    const outputs = product.batches * product.rows * product.columns;
    const { splits, splitTerms } = splitProduct(product, Math.ceil(outputs / THREADS), 1, adapter);
    return {
      shader: 'gemm_plain',
      consts: `const GROUP = ${THREADS}u;\n`,
      workgroupCount: Math.ceil((outputs * splits) / THREADS),
      splits,
      splitTerms,
      isBByFour: false,
      isAByFour: false,
      isOutByFour: false,
    };
  },

  tiled(product, adapter) {
    const rowsPerTile = tileRows(product, adapter);
    const tiles =
      product.batches * Math.ceil(product.rows / rowsPerTile) * Math.ceil(product.columns / TILE_COLUMNS);
    const { splits, splitTerms } = splitProduct(product, tiles, TILE_TERMS, adapter);
    return {
      shader: 'gemm_tiled',
      consts: `const TILE_ROWS = ${rowsPerTile}u;\n`,
      workgroupCount: tiles * splits,
      splits,
      splitTerms,
      isBByFour: false,
      isAByFour: false,
      isOutByFour: false,
    };
  },

  wide(product, adapter) {
    const tiles =
      product.batches * Math.ceil(product.rows / WIDE.side) * Math.ceil(product.columns / WIDE.side);
    const { splits, splitTerms } = splitProduct(product, tiles, WIDE.terms, adapter);
    return {
      shader: 'gemm_wide',
      consts: '',
      workgroupCount: tiles * splits,
      splits,
      splitTerms,
      isBByFour: true,
      isAByFour: true,
      isOutByFour: true,
      packedTerms: shouldPack(product, adapter) ? WIDE.terms : undefined,
    };
  },

  panel(product, adapter) {
    const { blockRows, blocks, blockTerms, splits, splitTerms } = panelSplit(product, adapter);
    const { isAByFour, isPacked, isOutByFour } = panelAccessOf(product, adapter);
    const lanes = adapter.subgroupSize;
    const isWide = isWidePanel(product.columns, lanes);
    const multiply = isWide ? multiplyWideBlock(blockTerms) : multiplyBlock(lanes, blockTerms);
    return {
      shader: isWide ? 'gemm_panel_wide' : 'gemm_panel',
      consts: `enable subgroups;\n${multiply}${panelAccess(isAByFour, isOutByFour)}`,
      workgroupCount: blocks * splits,
      blockRows,
      blockTerms,
      splits,
      splitTerms,
      isBByFour: true,
      isAByFour,
      isOutByFour,
      packedTerms: isPacked ? blockTerms : undefined,
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
  const possible = possibleTileRows(adapter);
  return possible.find((rows) => rows >= product.rows) ?? possible.at(-1) ?? 0;
}

function possibleTileRows(adapter: AdapterProfile): number[] {
  return [16, 32, 64].filter(
    (rows) =>
      (rows * TILE_COLUMNS) / 16 <= adapter.maxInvocationsPerWorkgroup &&
      4 * TILE_TERMS * (rows + 4 + TILE_COLUMNS) <= adapter.maxWorkgroupStorageSize,
  );
}
