// The folder of a comparison: one command at a time works in it, and what it is to train on must be here before it begins.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { type FindOptions, findSource, sourceNamed } from '../benchmarks/files/find.ts';
import type { DataSourceName } from '../benchmarks/files/sources.ts';
import { benchmarkNamed } from '../benchmarks/index.ts';
import { folderError } from '../run-folder.ts';
import { lockRunFolder, type RunLock } from '../run-lock.ts';

const words = { where: 'compare', option: '--output' } as const;

/**
 * Makes the folder if need be and takes it for this process: two would train the same cells twice. `log` is told of a dead lock
 * that is taken over. Throws RunFolderError if it cannot be written, or if another process is at work there.
 */
export async function openComparisonFolder(folder: string, log?: (line: string) => void): Promise<RunLock> {
  try {
    await mkdir(join(folder, 'cells'), { recursive: true });
  } catch (cause) {
    throw folderError(folder, cause, words);
  }
  return lockRunFolder({ path: folder }, log, words);
}

/** Throws DataError, which names all that is missing and what fetches it, unless the files of all these benchmarks are here. */
export function requireSourcesOf(benchmarks: readonly string[], options: FindOptions = {}): void {
  const isMissing = (source: DataSourceName): boolean => findSource(source, options) === null;
  const missingOf = (name: string): DataSourceName[] => benchmarkNamed(name).sources.filter(isMissing);
  const lacking = [...new Set(benchmarks)].filter((name) => missingOf(name).length > 0);
  if (lacking.length === 0) return;
  const titles = [...new Set(lacking.flatMap(missingOf))].map(
    (source) => `${sourceNamed(source, options).title} (${source})`,
  );
  throw new DataError(
    `compare: not on this machine: ${titles.join('; ')}; run 'isnet data fetch ${lacking.join(' ')}'`,
  );
}
