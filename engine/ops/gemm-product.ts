// What the gemm kernels multiply: a product of matrices as plain data, and where its values lie.
import type { ShaderName } from '../../shaders/catalogue.ts';
import type { AdapterProfile, Operand, ProductFacts } from '../dispatch.ts';

/**
 * Places of a batch of matrices, a line of each being cut into runs: element i of line l of matrix z lies at
 *   start + z batch + l line + floor(i / run) runStride + (i mod run) step
 */
export interface RunLayout {
  readonly start: number;
  readonly batch: number;
  readonly line: number;
  readonly run: number;
  readonly runStride: number;
  readonly step: number;
}

/** out[z](m, n) = sum_k A(z, m, k) B(z, k, n). */
export interface Product extends ProductFacts {
  /** The same for four columns at a time, where they lie as one vec4. */
  readonly vec4OperandsShader?: ShaderName;
  /** WGSL in place of FOUR_COLUMNS, where the operands file and the place of four columns allow to load less. */
  readonly fourColumns?: string;
  /** Where B lies, if it is a matrix: lines are terms, elements columns. */
  readonly bLayout?: RunLayout;
  readonly params: Readonly<Record<string, number>>;
  /** Buffers of A and B, and of the result. */
  readonly a: Operand;
  readonly b: Operand;
  readonly out: Operand;
  /** Lines are rows, elements terms. */
  readonly aLayout: RunLayout;
  /** Lines are rows, elements columns. */
  readonly outLayout: RunLayout;
  /** Temporary buffers with this number and above are free to use. */
  readonly firstTemp: number;
}

/** Lines of `length` elements that are cut nowhere. */
export const plainLines = (
  length: number,
  { batch, line, step }: Pick<RunLayout, 'batch' | 'line' | 'step'>,
): RunLayout => ({ start: 0, batch, line, run: length, runStride: 0, step });

/** Whether elements 4 i to 4 i + 3 of every line are one vec4 of the buffer. */
export function isVec4(layout: RunLayout, batches: number, lines: number, length: number): boolean {
  const { start, batch, line, run, runStride, step } = layout;
  const offsets = [start, length];
  if (batches > 1) offsets.push(batch);
  if (lines > 1) offsets.push(line);
  if (run < length) offsets.push(run, runStride);
  return step === 1 && offsets.every((n) => n % 4 === 0);
}

/** Fields of the kernels' Params that describe A. */
export const aParams = ({ start, batch, line, run, runStride, step }: RunLayout) => ({
  a_start: start,
  a_batch_stride: batch,
  a_row_stride: line,
  a_run: run,
  a_run_stride: runStride,
  a_term_stride: step,
});

/** Operands files and their parameters of a B that lies in runs; lines are terms, elements columns. */
export function runsOfB(
  layout: RunLayout,
  batches: number,
  terms: number,
  columns: number,
): Pick<Product, 'operandsShader' | 'vec4OperandsShader' | 'bLayout' | 'params'> {
  return {
    bLayout: layout,
    operandsShader: 'operands_matmul',
    vec4OperandsShader: isVec4(layout, batches, terms, columns) ? 'operands_matmul_vec4' : undefined,
    params: {
      b_batch_stride: layout.batch,
      b_term_stride: layout.line,
      b_run: layout.run,
      b_run_stride: layout.runStride,
      b_column_stride: layout.step,
    },
  };
}

/** Fields of the kernels' Params that describe the output. */
export const outParams = ({ batch, line, run, runStride, step }: RunLayout) => ({
  out_batch_stride: batch,
  out_row_stride: line,
  out_run: run,
  out_run_stride: runStride,
  out_column_stride: step,
});

/**
 * WGSL: the type of the numbers that kernels keep for reuse, `Tile`. With mixed precision these are halves; sums are f32
 * always.
 */
export const tileText = ({ precision }: AdapterProfile): string =>
  precision === 'mixed' ? 'enable f16;\nalias Tile = f16;\n' : 'alias Tile = Real;\n';

/** WGSL: A's flat index is a_row + a_term. Most matrices have a single run, and GPUs then skip the division. */
export const A_ADDRESS = `fn a_row(z: u32, m: u32) -> u32 {
  return params.a_start + z * params.a_batch_stride + m * params.a_row_stride;
}
fn a_term(k: u32) -> u32 {
  if (params.a_run >= params.terms) { return k * params.a_term_stride; }
  return k / params.a_run * params.a_run_stride + k % params.a_run * params.a_term_stride;
}
`;

/** WGSL: the output's flat index is out_row + out_column. */
export const OUT_ADDRESS = `fn out_row(z: u32, m: u32) -> u32 {
  return z * params.out_batch_stride + m * params.out_row_stride;
}
fn out_column(n: u32) -> u32 {
  return n / params.out_run * params.out_run_stride + n % params.out_run * params.out_column_stride;
}
`;

/** WGSL: four columns of B from operands files that know one at a time. Columns past the last repeat it. */
export const FOUR_COLUMNS = `alias BUnit = Real;
struct Columns { x: Column, y: Column, z: Column, w: Column }
fn column_after(column: Column, n: u32) -> Column {
  if (n + 1u < params.columns) { return next_column(column); }
  return column;
}
fn columns_at(z: u32, n: u32) -> Columns {
  let first = column_at(z, n);
  let second = column_after(first, n);
  let third = column_after(second, n + 1u);
  return Columns(first, second, third, column_after(third, n + 2u));
}
fn load_columns(columns: Columns, step: Step) -> vec4<Real> {
  return vec4<Real>(load_b(columns.x, step), load_b(columns.y, step),
                    load_b(columns.z, step), load_b(columns.w, step));
}
`;

/**
 * WGSL: the same for windows of a convolution whose four columns are neighbours in a row, at stride and dilation 1. From
 * one tap of a kernel's row to the next the four see the same pixels, moved on by one: one load in place of four.
 */
export const FOUR_NEIGHBOURS = `alias BUnit = Real;
alias Columns = Column;
var<private> window: vec4<Real>;
var<private> window_column: Column;
var<private> window_step = Step(0u, 0xfffffffeu, 0u, 0u);
fn columns_at(z: u32, n: u32) -> Columns { return column_at(z, n); }
fn load_columns(column: Columns, step: Step) -> vec4<Real> {
  let is_row = window_step.i_channel == step.i_channel && window_step.y == step.y;
  // All of a column: in the padding two rows may have the same i_b.
  let is_column = window_column.y == column.y && window_column.x == column.x && window_column.i_b == column.i_b;
  let is_next = is_row && window_step.x + 1u == step.x && is_column;
  for (var place = select(0u, 3u, is_next); place < 4u; place++) {
    let pixel = Column(column.y, column.x + place, column.i_b + place);
    window = vec4<Real>(window.yzw, load_b(pixel, step));
  }
  window_step = step;
  window_column = column;
  return window;
}
`;
