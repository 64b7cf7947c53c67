// Where tunings are kept between runs (Node only): one small JSON file per adapter in the user's cache folder.
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeFileAtomically } from './files.ts';
import type { Tuning } from './tuning.ts';

/** Folder for what can be made again, by the custom of each system. */
export function cacheFolder(): string {
  const { env, platform } = process;
  if (platform === 'win32') return env.LOCALAPPDATA || join(homedir(), 'AppData/Local');
  if (platform === 'darwin') return join(homedir(), 'Library/Caches');
  return env.XDG_CACHE_HOME || join(homedir(), '.cache');
}

/** File of the tuning of an adapter, named by `device.description`. */
export function tuningPath(adapter: string): string {
  const name = adapter
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return join(cacheFolder(), 'isnet-webgpu', `tuning-${name}.json`);
}

/** The tuning of an adapter; undefined where there is none that can be read. */
export async function loadTuning(adapter: string): Promise<Tuning | undefined> {
  try {
    const tuning = JSON.parse(await readFile(tuningPath(adapter), 'utf8')) as Tuning;
    const { date, variants, ways = {} } = tuning;
    const isSound = tuning.adapter === adapter && typeof date === 'string';
    return isSound && variants instanceof Object && ways instanceof Object ? tuning : undefined;
  } catch {
    // A cache: what is not there or damaged is measured again, and the chooser has rules of its own.
    return undefined;
  }
}

/** Keeps a tuning; `openDevice` uses it from then on. Resolves to its path. Throws DataError if it cannot be written. */
export async function saveTuning(tuning: Tuning): Promise<string> {
  const path = tuningPath(tuning.adapter);
  await mkdir(dirname(path), { recursive: true }).catch(() => {
    // The write finds no folder, and says so.
  });
  await writeFileAtomically(path, `${JSON.stringify(tuning, null, 2)}\n`, { where: 'tune' });
  return path;
}
