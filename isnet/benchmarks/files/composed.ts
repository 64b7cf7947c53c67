// Keeps what took long to compose: drawings that were rendered, photographs that were reduced.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../../engine/files.ts';
import { defaultDataFolder, type FindOptions } from './find.ts';

/**
 * The bytes that `make` makes, from the cache if they are there. `key` is everything that decides them, versions of libraries
 * included; a file of another length is made again.
 */
export async function composed(
  name: string,
  key: readonly (string | number)[],
  byteCount: number,
  make: () => Promise<Uint8Array>,
  { folder = defaultDataFolder() }: FindOptions = {},
): Promise<Uint8Array> {
  const hash = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16);
  const path = join(folder, 'composed', `${name}-${hash}.bin`);
  const kept = await readFile(path).catch(() => null);
  if (kept?.length === byteCount) return kept;
  const bytes = await make();
  await mkdir(join(folder, 'composed'), { recursive: true }).catch(() => {
    // The write finds no folder, and says so.
  });
  await writeFileAtomically(path, bytes, { where: 'benchmark' });
  return bytes;
}
