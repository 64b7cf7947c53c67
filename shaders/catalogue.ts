// The list of kernel files and the one way to read them. Real files, so that editors, Vite and readers see WGSL.

/** Location of every kernel. `new URL(..., import.meta.url)` works under tsx, plain Node, vitest and bundlers. */
export const shaderUrls = {
  gemm_plain: new URL('./gemm_plain.wgsl', import.meta.url),
  gemm_tiled: new URL('./gemm_tiled.wgsl', import.meta.url),
  gemm_panel: new URL('./gemm_panel.wgsl', import.meta.url),
  gemm_panel_wide: new URL('./gemm_panel_wide.wgsl', import.meta.url),
  gemm_wide: new URL('./gemm_wide.wgsl', import.meta.url),
  gemm_pack: new URL('./gemm_pack.wgsl', import.meta.url),
  gemm_finish: new URL('./gemm_finish.wgsl', import.meta.url),
  operands_matmul: new URL('./operands_matmul.wgsl', import.meta.url),
  operands_matmul_vec4: new URL('./operands_matmul_vec4.wgsl', import.meta.url),
  operands_conv2d: new URL('./operands_conv2d.wgsl', import.meta.url),
  operands_conv2d_input: new URL('./operands_conv2d_input.wgsl', import.meta.url),
  operands_conv2d_weight: new URL('./operands_conv2d_weight.wgsl', import.meta.url),
  threefry: new URL('./threefry.wgsl', import.meta.url),
  map: new URL('./map.wgsl', import.meta.url),
  copy_strided: new URL('./copy_strided.wgsl', import.meta.url),
  moments: new URL('./moments.wgsl', import.meta.url),
  moments_parts: new URL('./moments_parts.wgsl', import.meta.url),
  sum_terms: new URL('./sum_terms.wgsl', import.meta.url),
  product_terms: new URL('./product_terms.wgsl', import.meta.url),
  reduce: new URL('./reduce.wgsl', import.meta.url),
  reduce_rows: new URL('./reduce_rows.wgsl', import.meta.url),
  max_pool_indices: new URL('./max_pool_indices.wgsl', import.meta.url),
  pool_columns: new URL('./pool_columns.wgsl', import.meta.url),
  pool_scatter: new URL('./pool_scatter.wgsl', import.meta.url),
  avg_pool: new URL('./avg_pool.wgsl', import.meta.url),
  avg_pool_adjoint: new URL('./avg_pool_adjoint.wgsl', import.meta.url),
  gather: new URL('./gather.wgsl', import.meta.url),
  scatter_add: new URL('./scatter_add.wgsl', import.meta.url),
  argmax: new URL('./argmax.wgsl', import.meta.url),
  argmax_rows: new URL('./argmax_rows.wgsl', import.meta.url),
  argmax_parts: new URL('./argmax_parts.wgsl', import.meta.url),
  one_hot: new URL('./one_hot.wgsl', import.meta.url),
  sort_runs: new URL('./sort_runs.wgsl', import.meta.url),
  sort_merge: new URL('./sort_merge.wgsl', import.meta.url),
  select_top: new URL('./select_top.wgsl', import.meta.url),
  rank_weights: new URL('./rank_weights.wgsl', import.meta.url),
  invert_order: new URL('./invert_order.wgsl', import.meta.url),
  softmax: new URL('./softmax.wgsl', import.meta.url),
  softmax_rows: new URL('./softmax_rows.wgsl', import.meta.url),
  random: new URL('./random.wgsl', import.meta.url),
  col2im: new URL('./col2im.wgsl', import.meta.url),
  conv_direct: new URL('./conv_direct.wgsl', import.meta.url),
  conv_direct_input: new URL('./conv_direct_input.wgsl', import.meta.url),
  conv_direct_weight: new URL('./conv_direct_weight.wgsl', import.meta.url),
  conv_windows: new URL('./conv_windows.wgsl', import.meta.url),
  conv_windows_weight: new URL('./conv_windows_weight.wgsl', import.meta.url),
} as const;

export type ShaderName = keyof typeof shaderUrls;

/** WGSL text by kernel name. */
export type ShaderTexts = Readonly<Record<ShaderName, string>>;

/** Reads all kernels with `readText` (fetch in browsers, the file system in Node). Rejects if one is missing. */
export async function loadShaders(readText: (url: URL) => Promise<string>): Promise<ShaderTexts> {
  const names = Object.keys(shaderUrls) as ShaderName[];
  const texts = await Promise.all(names.map((name) => readText(shaderUrls[name])));
  return Object.fromEntries(names.map((name, i) => [name, texts[i]])) as ShaderTexts;
}
