// What a comparison is made of: one training of one method on one benchmark with one seed.
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { z } from 'zod';
import { readFileBytes } from '../../engine/files.ts';
import { exists, RunFolderError, writeJson } from '../run-folder.ts';

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
  /**
   * The same of Grad-CAM, which is no relevance but a picture that many trust, over the maps that are not empty; null for
   * networks without feature maps, and if all are empty.
   */
  gradCamBackgroundShare: share.nullable(),
  /** Missing in cells of the time when an empty map counted as all background. */
  gradCamMaps: z.strictObject({ explained: count, empty: count }).optional(),
  /** Seconds per training image and epoch, all phases of the method together. */
  trainSecondsPerImage: z.number().nonnegative(),
  /** From one image on the device to its logits on the host: the median of some. */
  inferenceMs: z.number().nonnegative(),
  /** Trainings at a time when it was made, this one included: what its times are worth. Older cells do not say. */
  jobs: z.int().positive().optional(),
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
  const bytes = await readFileBytes(path, { where: 'compare', error: RunFolderError });
  const { success, data } = cellSchema.safeParse(jsonIn(new TextDecoder().decode(bytes)));
  if (success && data.benchmark === name.benchmark && data.method === name.method && data.seed === name.seed)
    return data;
  throw new RunFolderError(`compare: '${path}' is no result of that cell; delete it to have it made again`);
}

/** Undefined, which is no result, for a text that is no JSON. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** All results that the folder holds, in no order. Throws as `readCell` does. */
export async function readCells(folder: string): Promise<CellResult[]> {
  const root = join(folder, 'cells');
  const paths = (await exists(root)) ? await readdir(root, { recursive: true }) : [];
  const names = paths.flatMap((path) => {
    const [benchmark, method, file, ...deeper] = path.split(sep);
    const [, seed] = /^(\d+)\.json$/.exec(file ?? '') ?? [];
    return seed === undefined || deeper.length > 0 ? [] : [{ benchmark, method, seed: Number(seed) }];
  });
  return (await Promise.all(names.map((name) => readCell(folder, name)))).filter((cell) => cell !== null);
}
