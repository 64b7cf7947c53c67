// The list of kernel files and the one way to read them. Real files, so that editors, Vite and readers see WGSL.

/** Location of every kernel. `new URL(..., import.meta.url)` works under tsx, plain Node, vitest and bundlers. */
export const shaderUrls = {
  gemm_plain: new URL('./gemm_plain.wgsl', import.meta.url),
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
