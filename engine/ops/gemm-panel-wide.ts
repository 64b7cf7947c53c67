// The parts of gemm_panel_wide that TypeScript writes out, and for which products it is.

/** Lanes of the subgroups that it is made for: SwiftShader's. */
const LANES = 4;
const QUADS = 4;
/** Fewer columns would make few workgroups, and more that are not there cost more than is gained by sharing. */
const MIN_COLUMNS = 256;
const MOST_WASTE = 1.05;

/** Columns of a panel: 16 of each lane where there are four lanes and columns enough, else 4. */
export function panelColumns(columns: number, lanes: number): number {
  const wide = 4 * LANES * QUADS;
  const isFilled = Math.ceil(columns / wide) * wide <= MOST_WASTE * columns;
  return lanes === LANES && columns >= MIN_COLUMNS && isFilled ? wide : 4 * lanes;
}

/** Whether a panel of so many columns is gemm_panel_wide's. */
export const isWidePanel = (columns: number, lanes: number): boolean => columns > 4 * lanes;

/** Consts and functions for shaders/gemm_panel_wide.wgsl. */
export function multiplyWideBlock(blockTerms: number): string {
  const lines: string[] = [];
  for (let k = 0; k < blockTerms; k++) {
    const load = Math.floor(k / (4 * LANES));
    const place = k % (4 * LANES);
    if (place === 0) lines.push(`let a_${load} = load_a(i_a, ${load}u);`);
    const value = `subgroupBroadcast(a_${load}.${'xyzw'[k % 4]}, ${Math.floor(place / 4)}u)`;
    lines.push(`let value_${k} = vec4<Real>(${value});`);
    // SwiftShader fuses nothing: the same bits as by + and *, in fewer instructions.
    for (let q = 0; q < QUADS; q++) {
      lines.push(`sum_${q} = fma(value_${k}, b_panel[${q * blockTerms + k}], sum_${q});`);
    }
  }
  const each = (text: (q: number, n: string) => string): string =>
    Array.from({ length: QUADS }, (_, q) => text(q, `n + ${4 * LANES * q}u`)).join('\n  ');
  return `const LANES = ${LANES}u;
const QUADS = ${QUADS}u;
const BLOCK_TERMS = ${blockTerms}u;
var<private> columns: array<Columns, QUADS>;
${each((q) => `var<private> places_${q}: OutPlaces;`)}
fn begin_columns(z: u32, n: u32) {
  // Lanes without columns of their own read those of the last lane that has some.
  let last_n = (params.columns - 1u) / 4u * 4u;
  ${each((q, n) => `columns[${q}] = columns_at(z, min(${n}, last_n));`)}
  ${each((q, n) => `places_${q} = places_of_columns(min(${n}, last_n));`)}
}
fn fill_panel(start: Step, block_terms: u32) -> Step {
  var step = start;
  // One copy of the code for all: SwiftShader compiles each of them.
  for (var q = 0u; q < QUADS; q++) {
    step = fill_quad(q, columns[q], start, block_terms);
  }
  return step;
}
fn multiply_row(i_row: u32, i_a: u32, is_first: bool, n: u32) {
  ${each((q) => `var sum_${q} = vec4<Real>();`)}
  if (!is_first) {
    ${each((q) => `sum_${q} = load_sums(i_row, places_${q});`)}
  }
  ${lines.join('\n  ')}
  ${each((q, n) => `if (${n} < params.columns) { store_sums(i_row, places_${q}, ${n}, sum_${q}); }`)}
}
`;
}
