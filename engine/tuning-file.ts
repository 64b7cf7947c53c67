// Where tunings are kept between runs (Node only): one small JSON file per adapter in the user's cache folder.
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { writeFileAtomically } from './files.ts';
import type { GpuDevice } from './gpu-device.ts';
import { packageVersion } from './package-version.ts';
import { type Tuning, type TuningBasis, whyOutdated } from './tuning.ts';

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

/** What a tuning depends on, of a device or of one that is about to be opened. */
type TunedDevice = Pick<GpuDevice, 'description' | 'driver' | 'texts'>;

/** What a tuning of this device is measured with. */
export function tuningBasis({ description, driver, texts }: TunedDevice): TuningBasis {
  // A checksum and no hash: every start with a tuning pays for it, and nobody is to be deceived.
  const checksum = Object.values(texts).reduce((sum, text) => crc32(text, sum), 0);
  const kernels = `${packageVersion()} ${checksum.toString(16).padStart(8, '0')}`;
  return { adapter: description, driver, kernels };
}

/** A tuning that was found. */
export interface KnownTuning {
  readonly tuning: Tuning;
  /** What has changed since it was measured, so that it does not count any more; undefined while it does. */
  readonly outdated: string | undefined;
}

/** The tuning of a device, which may be outdated; undefined where there is none that can be read. */
export async function loadTuning(device: TunedDevice): Promise<KnownTuning | undefined> {
  const tuning = await readTuning(device.description);
  return tuning && { tuning, outdated: whyOutdated(tuning, tuningBasis(device)) };
}

async function readTuning(adapter: string): Promise<Tuning | undefined> {
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
