// The parts of gemm_panel that are not always the same: its inner product, written out line by line, and its loads.
import { isSwiftShader } from '../dispatch.ts';

const MAX_BLOCK_TERMS = 64;
/** Where a program of 8 lanes or more can stop: lavapipe would have to compile one program per length. */
const STOPS = [12, 32, MAX_BLOCK_TERMS] as const;

/**
 * Length of the blocks into which `terms` are cut: at most 64, wasting little at the last one. SwiftShader
 * compiles quickly: there each multiple of 4 is a program of its own.
 */
export function panelTerms(terms: number, lanes: number): number {
  const length = equalBlocks(terms, MAX_BLOCK_TERMS);
  return isSwiftShader(lanes) ? length : (STOPS.find((stop) => stop >= length) ?? MAX_BLOCK_TERMS);
}

/** Length of equal blocks of whole vec4s, at most `longest`, that take `terms`: as few as possible, then as short. */
export const equalBlocks = (terms: number, longest: number): number =>
  Math.ceil(terms / Math.ceil(terms / longest) / 4) * 4;

/** WGSL for term k of A's row: its load, where k is the first of the terms that the lanes load together, and its value for all lanes. */
export function termOfA(
  k: number,
  lanes: number,
  row: string,
): { readonly loads: string[]; readonly value: string } {
  const load = Math.floor(k / (4 * lanes));
  const place = k % (4 * lanes);
  return {
    loads: place === 0 ? [`let a_${load} = load_a(${row}, ${load}u);`] : [],
    value: `subgroupBroadcast(a_${load}.${'xyzw'[k % 4]}, ${Math.floor(place / 4)}u)`,
  };
}

/** Consts LANES and MOST_TERMS and the function `multiply_block`, for shaders/gemm_panel.wgsl. A block stops where its terms end. */
export function multiplyBlock(lanes: number, blockTerms: number): string {
  const stops = isSwiftShader(lanes) ? [blockTerms] : STOPS;
  const lines: string[] = [];
  let k = 0;
  for (const stop of stops) {
    // Not as a loop of one turn, which is slower on lavapipe.
    if (k > 0) lines.push(`if (block_terms > ${k}u) {`);
    for (; k < stop; k++) {
      const { loads, value } = termOfA(k, lanes, 'i_row');
      lines.push(...loads, `sum += ${value} * vec4<Real>(b_x[${k}], b_y[${k}], b_z[${k}], b_w[${k}]);`);
    }
  }
  lines.push('}'.repeat(stops.length - 1));
  return `const LANES = ${lanes}u;
const MOST_TERMS = ${k}u;
fn multiply_block(i_row: u32, block_terms: u32, start: vec4<Real>) -> vec4<Real> {
  var sum = start;
  ${lines.join('\n  ')}
  return sum;
}
`;
}

const A_BY_FOUR = `alias Places = u32;
alias Inside = bool;
fn are_terms(k: u32, end: u32) -> Inside { return k < end; }
fn places_of_terms(k: u32) -> Places { return a_term(k); }
fn load_terms(i_row: u32, terms: Places) -> vec4<Real> {
  return vec4<Real>(a[(i_row + terms) / 4u]);
}
`;

const A_BY_ONE = `alias Places = vec4u;
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
`;

const OUT_BY_FOUR = `alias Unit = vec4<Real>;
alias OutPlaces = u32;
fn places_of_columns(n: u32) -> OutPlaces { return out_column(n); }
fn load_sums(i_row: u32, columns: OutPlaces) -> vec4<Real> { return out[(i_row + columns) / 4u]; }
fn store_sums(i_row: u32, columns: OutPlaces, n: u32, sums: vec4<Real>) {
  out[(i_row + columns) / 4u] = sums;
}
`;

const OUT_BY_ONE = `alias Unit = Real;
alias OutPlaces = vec4u;
fn places_of_columns(n: u32) -> OutPlaces {
  let inside = min(vec4u(n) + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
  return vec4u(out_column(inside.x), out_column(inside.y),
               out_column(inside.z), out_column(inside.w));
}
fn load_sums(i_row: u32, columns: OutPlaces) -> vec4<Real> {
  let i = vec4u(i_row) + columns;
  return vec4<Real>(out[i.x], out[i.y], out[i.z], out[i.w]);
}
fn store_sums(i_row: u32, columns: OutPlaces, n: u32, sums: vec4<Real>) {
  let i = vec4u(i_row) + columns;
  out[i.x] = sums.x;
  if (n + 1u < params.columns) { out[i.y] = sums.y; }
  if (n + 2u < params.columns) { out[i.z] = sums.z; }
  if (n + 3u < params.columns) { out[i.w] = sums.w; }
}
`;

/** WGSL: how gemm_panel reads four terms of A and writes four columns of the output, as vec4s or one by one. */
export const panelAccess = (isAByFour: boolean, isOutByFour: boolean): string =>
  (isAByFour ? A_BY_FOUR : A_BY_ONE) + (isOutByFour ? OUT_BY_FOUR : OUT_BY_ONE);
