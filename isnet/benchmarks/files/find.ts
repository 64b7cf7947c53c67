// Finds the files of a source on this machine, and makes sure that they are those the benchmarks were measured on.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DataError } from '../../../engine/errors.ts';
import { readFileBytes } from '../../../engine/files.ts';
import { cacheFolder } from '../../../engine/tuning-file.ts';
import { type DataSource, type DataSourceName, dataSources } from './sources.ts';

export interface FindOptions {
  /** Where fetched data are kept; `defaultDataFolder()` if left out. */
  readonly folder?: string;
  /** What the names stand for; `dataSources` if left out. */
  readonly sources?: Readonly<Record<DataSourceName, DataSource>>;
}

/** What a name stands for. */
export const sourceNamed = (name: DataSourceName, { sources = dataSources }: FindOptions = {}): DataSource =>
  sources[name];

/** Folder for data that were fetched or composed: what ISNET_DATA names, or else in the user's cache. */
export const defaultDataFolder = (): string =>
  process.env.ISNET_DATA || join(cacheFolder(), 'isnet-webgpu', 'data');

/** Where `fetchSource` puts the files of a source. */
export const fetchedFolder = (
  name: DataSourceName,
  { folder = defaultDataFolder() }: FindOptions = {},
): string => join(folder, name);

/** Folder with the files of a source: fetched, or installed by npm or Debian; null if they are nowhere. */
export function findSource(name: DataSourceName, options: FindOptions = {}): string | null {
  const { from, files } = sourceNamed(name, options);
  const candidates = [fetchedFolder(name, options)];
  if (from.kind === 'debian') candidates.push(join('/', from.folder));
  else {
    const installed = packageFolder(from.package);
    if (installed !== null) candidates.push(join(installed, from.folder));
  }
  return (
    candidates.find((folder) => Object.keys(files).every((file) => existsSync(join(folder, file)))) ?? null
  );
}

/** Where npm has installed a package, as seen from here; null if it has not. */
function packageFolder(name: string): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return null;
  }
}

/** The folder of a source. Throws DataError, with the command that fetches it, if it is nowhere. */
export function requireSource(name: DataSourceName, options: FindOptions = {}): string {
  const found = findSource(name, options);
  if (found !== null) return found;
  const { title } = sourceNamed(name, options);
  throw new DataError(`benchmark: ${title} (${name}) is not on this machine; ${adviceFor(name, options)}`);
}

/** What a user does about a source that is missing. */
export function adviceFor(name: DataSourceName, options: FindOptions = {}): string {
  const { from } = sourceNamed(name, options);
  const command = `run 'isnet data fetch ${name}'`;
  return from.kind === 'npm' ? command : `${command} on Debian or Ubuntu, or ${adviceByHand(name, options)}`;
}

/** What a user does about a source that cannot be fetched. */
export function adviceByHand(name: DataSourceName, options: FindOptions = {}): string {
  const names = Object.keys(sourceNamed(name, options).files);
  const list = names.length === 1 ? names[0] : `${names[0]}, ...`;
  return `put its files (${list}) into '${fetchedFolder(name, options)}'`;
}

/** Bytes of a file of a source. Throws DataError if it is missing, unreadable or not the one that is known. */
export async function readSourceFile(
  folder: string,
  name: DataSourceName,
  file: string,
  options: FindOptions = {},
): Promise<Uint8Array> {
  const path = join(folder, file);
  const bytes = await readFileBytes(path, { where: 'benchmark' });
  const difference = differenceOf(bytes, name, file, options);
  if (difference === null) return bytes;
  throw new DataError(`benchmark: '${path}' ${difference}; delete it, then ${adviceFor(name, options)}`);
}

/** What is to be said of bytes that are not those of a file of a source; null if they are. */
export function differenceOf(
  bytes: Uint8Array,
  name: DataSourceName,
  file: string,
  options: FindOptions = {},
): string | null {
  const { files, title } = sourceNamed(name, options);
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (hash === files[file]) return null;
  return `is not the file of ${title} that is known (its SHA-256 is ${hash}, expected ${files[file]})`;
}
