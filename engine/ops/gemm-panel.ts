// The part of gemm_panel that must be written out line by line: its inner product over one block of k.

/** The longest block. Each length is a program of its own, so there are at most 16 of them for 4 lanes. */
const MAX_BLOCK_TERMS = 64;

/** Length of the blocks into which `terms` are cut: at most MAX_BLOCK_TERMS, wasting little at the last one. */
export function panelTerms(terms: number, lanes: number): number {
  const granule = Math.max(4, lanes);
  const blocks = Math.ceil(terms / MAX_BLOCK_TERMS);
  return Math.ceil(terms / blocks / granule) * granule;
}

/** Consts LANES and BLOCK_TERMS and the function `multiply_block`, for shaders/gemm_panel.wgsl. */
export function multiplyBlock(lanes: number, blockTerms: number): string {
  const lines: string[] = [];
  for (let k = 0; k < blockTerms; k += lanes) {
    lines.push(`let a_${k} = load_a(i_row, ${k / lanes}u);`);
    for (let lane = 0; lane < lanes; lane++) {
      lines.push(`sum += subgroupBroadcast(a_${k}, ${lane}u) * b_panel[${k + lane}];`);
    }
  }
  return `const LANES = ${lanes}u;
const BLOCK_TERMS = ${blockTerms}u;
fn multiply_block(i_row: u32, start: vec4<Real>) -> vec4<Real> {
  var sum = start;
  ${lines.join('\n  ')}
  return sum;
}
`;
}
