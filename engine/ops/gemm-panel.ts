// The parts of gemm_panel that are not always the same: its inner product, written out line by line, and its loads.

const MAX_BLOCK_TERMS = 64;

/**
 * Length of the blocks into which `terms` are cut: at most 64, wasting little at the last one. Each length is a program
 * of its own: lavapipe (8 lanes), slow to compile where they are long, has 8, 16, 32 and 64 terms, SwiftShader (4 lanes)
 * 16 lengths.
 */
export function panelTerms(terms: number, lanes: number): number {
  const granule = lanes === 4 ? 4 : terms <= 16 ? 8 : Math.min(MAX_BLOCK_TERMS, 4 * lanes);
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

const BY_FOUR = `alias Unit = vec4<Real>;
alias Places = u32;
alias Inside = bool;
fn are_terms(k: u32, end: u32) -> Inside { return k < end; }
fn places_of_terms(k: u32) -> Places { return a_term(k); }
fn load_terms(i_row: u32, terms: Places) -> vec4<Real> { return a[(i_row + terms) / 4u]; }
fn places_of_columns(n: u32) -> Places { return out_column(n); }
fn load_sums(i_row: u32, columns: Places) -> vec4<Real> { return out[(i_row + columns) / 4u]; }
fn store_sums(i_row: u32, columns: Places, n: u32, sums: vec4<Real>) {
  out[(i_row + columns) / 4u] = sums;
}
`;

const BY_ONE = `alias Unit = Real;
alias Places = vec4u;
alias Inside = vec4<bool>;
fn are_terms(k: u32, end: u32) -> Inside {
  return vec4u(k) + vec4u(0u, 1u, 2u, 3u) < vec4u(end);
}
fn places_of_terms(k: u32) -> Places {
  let inside = min(vec4u(k) + vec4u(0u, 1u, 2u, 3u), vec4u(params.terms - 1u));
  return vec4u(a_term(inside.x), a_term(inside.y), a_term(inside.z), a_term(inside.w));
}
fn load_terms(i_row: u32, terms: Places) -> vec4<Real> {
  let i = vec4u(i_row) + terms;
  return vec4<Real>(a[i.x], a[i.y], a[i.z], a[i.w]);
}
fn places_of_columns(n: u32) -> Places {
  let inside = min(vec4u(n) + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
  return vec4u(out_column(inside.x), out_column(inside.y),
               out_column(inside.z), out_column(inside.w));
}
fn load_sums(i_row: u32, columns: Places) -> vec4<Real> {
  let i = vec4u(i_row) + columns;
  return vec4<Real>(out[i.x], out[i.y], out[i.z], out[i.w]);
}
fn store_sums(i_row: u32, columns: Places, n: u32, sums: vec4<Real>) {
  let i = vec4u(i_row) + columns;
  out[i.x] = sums.x;
  if (n + 1u < params.columns) { out[i.y] = sums.y; }
  if (n + 2u < params.columns) { out[i.z] = sums.z; }
  if (n + 3u < params.columns) { out[i.w] = sums.w; }
}
`;

/** WGSL: how gemm_panel reads four terms of A and writes four columns of the output, as vec4s or one by one. */
export const panelAccess = (isByFour: boolean): string => (isByFour ? BY_FOUR : BY_ONE);
