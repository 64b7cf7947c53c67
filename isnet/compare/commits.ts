// Which code made the cells: a comparison that goes on after a change of the code puts unlike things side by side.
import { join } from 'node:path';
import { readJson, writeJson } from '../run-folder.ts';
import type { CellResult } from './cell.ts';

/** What a cell says of its making. */
type Made = Pick<CellResult, 'commit' | 'date'>;

/** Adds the commit of the first cell to comparison.json, unless it is there or unknown. Returns what is there then. */
export async function keepFirstCommit(folder: string, cells: readonly Made[]): Promise<string | null> {
  const path = join(folder, 'comparison.json');
  const kept = (await readJson(path)) as { readonly commit?: string };
  if (kept.commit) return kept.commit;
  const [first] = cells
    .filter(({ commit }) => commit !== null)
    .toSorted((a, b) => Date.parse(a.date) - Date.parse(b.date));
  if (!first?.commit) return null;
  await writeJson(path, { ...kept, commit: first.commit });
  return first.commit;
}

/** What to say of cells that several commits have made; null where one has made all, as far as is known. */
export function commitWarning(cells: readonly Made[], first: string | null): string | null {
  const counts = new Map<string, number>(first === null ? [] : [[first, 0]]);
  for (const { commit } of cells) if (commit !== null) counts.set(commit, (counts.get(commit) ?? 0) + 1);
  if (counts.size < 2) return null;
  const parts = [...counts].map(([commit, count]) => `${commit.slice(0, 7)}: ${count}`).join(', ');
  return `warning: these cells were made by ${counts.size} commits (cells by commit: ${parts}); where the code between them matters, make all in a new --output`;
}
