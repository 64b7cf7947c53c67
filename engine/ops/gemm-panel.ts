// The part of gemm_panel that must be written out line by line: its inner product over one block of k.

const BLOCK_TERMS = 64;
const SHORT_BLOCK_TERMS = 32;

/** Length of the blocks into which `terms` are cut. Each length is a program of its own, so there are but two. */
export function panelTerms(terms: number, lanes: number): number {
  const granule = 4 * lanes;
  const length = terms <= SHORT_BLOCK_TERMS ? SHORT_BLOCK_TERMS : BLOCK_TERMS;
  return Math.ceil(length / granule) * granule;
}

/** Consts LANES and BLOCK_TERMS and the function `multiply_block`, for shaders/gemm_panel.wgsl. */
export function multiplyBlock(lanes: number, blockTerms: number): string {
  const lines: string[] = [];
  const loads = blockTerms / (4 * lanes);
  for (let i = 0; i < loads; i++) lines.push(`let a_${i} = load_a(i_row, ${i}u);`);
  for (let k = 0; k < blockTerms; k++) {
    const load = Math.floor(k / (4 * lanes));
    const lane = Math.floor((k % (4 * lanes)) / 4);
    lines.push(`sum += subgroupBroadcast(a_${load}.${'xyzw'[k % 4]}, ${lane}u) * b_panel[${k}];`);
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
