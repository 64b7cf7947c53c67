// The part of gemm_panel that must be written out line by line: its inner product over one block of k.

const MAX_BLOCK_TERMS = 64;

/**
 * Length of the blocks into which `terms` are cut: at most 64, wasting little at the last one. Each length is a program
 * of its own: lavapipe (8 lanes), slow to compile, has two of them, of 32 and of 64 terms, SwiftShader (4 lanes) 16.
 */
export function panelTerms(terms: number, lanes: number): number {
  const granule = lanes === 4 ? 4 : Math.min(MAX_BLOCK_TERMS, 4 * lanes);
  const blocks = Math.ceil(terms / MAX_BLOCK_TERMS);
  return Math.ceil(terms / blocks / granule) * granule;
}

/** Consts LANES and BLOCK_TERMS and the function `multiply_block`, for shaders/gemm_panel.wgsl. */
export function multiplyBlock(lanes: number, blockTerms: number): string {
  const lines: string[] = [];
  const loads = Math.ceil(blockTerms / (4 * lanes));
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
