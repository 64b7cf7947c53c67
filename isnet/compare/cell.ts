// What a comparison is made of: one training of one method on one benchmark with one seed.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { exists, RunFolderError, readJson, writeJson } from '../run-folder.ts';

/** Which training a cell is. */
export interface CellName {
  readonly benchmark: string;
  readonly method: string;
  readonly seed: number;
}

const share = z.number().min(0).max(1);
const count = z.int().nonnegative();

const cellSchema = z.strictObject({
  benchmark: z.string(),
  method: z.string(),
  seed: count,
  /** Share of the images of each test set that are classified right. */
  accuracy: z.record(z.string(), share),
  /** Mean over biased test images of sum |R| outside the mask / sum |R|; null where relevance has no meaning. */
  backgroundShare: share.nullable(),
  /** The same of Grad-CAM, which is no relevance but a picture that many trust; null for networks without feature maps. */
  gradCamBackgroundShare: share.nullable(),
  /** Seconds per training image and epoch, all phases of the method together. */
  trainSecondsPerImage: z.number().nonnegative(),
  /** From one image on the device to its logits on the host: the median of some. */
  inferenceMs: z.number().nonnegative(),
  parameters: z.strictObject({ training: count, runTime: count }),
  adapter: z.string(),
  date: z.string(),
  version: z.string(),
  commit: z.string().nullable(),
  /** What repeats this cell alone. */
  command: z.string(),
});

/** What a cell found. */
export type CellResult = z.infer<typeof cellSchema>;

/** All cells of a comparison, one seed of all methods after the other: a table is soon complete, then gets sharper. */
export function cellNames(
  benchmarks: readonly string[],
  methods: readonly string[],
  seeds: readonly number[],
): CellName[] {
  return seeds.flatMap((seed) =>
    benchmarks.flatMap((benchmark) => methods.map((method) => ({ benchmark, method, seed }))),
  );
}

/** The file of a cell in the folder of a comparison. */
export const cellPath = (folder: string, { benchmark, method, seed }: CellName): string =>
  join(folder, 'cells', benchmark, method, `${seed}.json`);

/** Keeps the result of a cell, whole or not at all. */
export async function writeCell(folder: string, result: CellResult): Promise<void> {
  const path = cellPath(folder, result);
  await mkdir(dirname(path), { recursive: true });
  await writeJson(path, result);
}

/** The cell's result, or null if it has not been finished. Throws RunFolderError for a file that is no such result. */
export async function readCell(folder: string, name: CellName): Promise<CellResult | null> {
  const path = cellPath(folder, name);
  if (!(await exists(path))) return null;
  const { success, data } = cellSchema.safeParse(await readJson(path));
  if (success && data.benchmark === name.benchmark && data.method === name.method && data.seed === name.seed)
    return data;
  throw new RunFolderError(`compare: '${path}' is no result of that cell; delete it to have it made again`);
}
