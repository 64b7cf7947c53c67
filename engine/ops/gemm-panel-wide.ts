// The parts of gemm_panel_wide that TypeScript writes out, and for which products it is.
import { equalBlocks, termOfA } from './gemm-panel.ts';
import type { Product } from './gemm-product.ts';

/** Lanes of the subgroups that it is made for: SwiftShader's. */
const LANES = 4;
const QUADS = 4;
const WIDE_COLUMNS = 4 * LANES * QUADS;
/** Fewer columns would make few workgroups, and more that are not there cost more than is gained by sharing. */
const MIN_COLUMNS = 256;
const MOST_WASTE = 1.05;

/** Whether a product of so many columns is gemm_panel_wide's. */
export function isWidePanel(columns: number, lanes: number): boolean {
  const filled = Math.ceil(columns / WIDE_COLUMNS) * WIDE_COLUMNS;
  return lanes === LANES && columns >= MIN_COLUMNS && filled <= MOST_WASTE * columns;
}

/** Columns of a product's panels: 16 of each lane in wide ones, else 4. */
export const panelColumns = (columns: number, lanes: number): number =>
  isWidePanel(columns, lanes) ? WIDE_COLUMNS : 4 * lanes;

/**
 * The longest blocks. Eight channels under 3x3 windows are 72 terms: most such convolutions waste none in blocks of 72, read and
 * write their sums less often, and share a program.
 */
const LONGEST_BLOCKS = [72, 64] as const;
/** Small products of a few terms fill up the block of another length, rather than have a program of their own. */
const SMALL = { multiplications: 2 ** 21, terms: 12, length: 32 } as const;

/** Length of the blocks into which terms are cut: the one that wastes the least at the last block, then the longer one. */
export function widePanelTerms({ batches, rows, columns, terms }: Product): number {
  const isSmall = batches * rows * columns * terms <= SMALL.multiplications;
  if (isSmall && terms <= SMALL.terms) return SMALL.length;
  const lengths = LONGEST_BLOCKS.map((longest) => equalBlocks(terms, longest));
  const filled = lengths.map((length) => Math.ceil(terms / length) * length);
  return lengths[filled.indexOf(Math.min(...filled))];
}

/** Consts and the function `multiply_row`, for shaders/gemm_panel_wide.wgsl. */
export function multiplyWideBlock(blockTerms: number): string {
  const lines: string[] = [];
  for (let k = 0; k < blockTerms; k++) {
    const { loads, value } = termOfA(k, LANES, 'i_a');
    lines.push(...loads, `let value_${k} = vec4<Real>(${value});`);
    // SwiftShader fuses nothing: the same bits as by + and *, in fewer instructions.
    for (let q = 0; q < QUADS; q++) {
      lines.push(`sum_${q} = fma(value_${k}, b_panel[${q * blockTerms + k}], sum_${q});`);
    }
  }
  const each = (text: (q: number) => string): string =>
    Array.from({ length: QUADS }, (_, q) => text(q)).join('\n  ');
  return `const LANES = ${LANES}u;
const QUADS = ${QUADS}u;
const BLOCK_TERMS = ${blockTerms}u;
fn multiply_row(i_row: u32, i_a: u32, is_first: bool, n: u32) {
  ${each((q) => `var sum_${q} = vec4<Real>();`)}
  if (!is_first) {
    ${each((q) => `sum_${q} = load_sums(i_row, places[${q}]);`)}
  }
  ${lines.join('\n  ')}
  ${each((q) => `let n_${q} = n + ${4 * LANES * q}u;\n  if (n_${q} < params.columns) { store_sums(i_row, places[${q}], n_${q}, sum_${q}); }`)}
}
`;
}
