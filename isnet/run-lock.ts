// One process per run folder (Node only): two that train into one would overwrite each other's weights, epoch by epoch. Folders
// of comparisons, too: two would train the same cells.
//
// The libraries for this keep a lock alive by a timer, and a training process may be busy for longer than any sensible
// pause. A lock that names its process needs no timer: whether that lives can be asked.
import { readFileSync, unlinkSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type FolderWords, folderError, type RunFolder, RunFolderError } from './run-folder.ts';

/** A folder that is this process's alone. */
export interface RunLock {
  /** Gives it back. */
  release(): Promise<void>;
}

/** Whose a lock is. `start` tells two processes with one number apart; null where the system does not say. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly start: string | null;
  readonly since: string;
}

/**
 * Takes the folder for this process, until it is released or the process ends, also by Ctrl-C. The lock of a process that
 * is dead is taken over, which `log` is told, and what it had half written is deleted. Throws RunFolderError if another
 * process is at work there, or one on another machine, which cannot be asked; `words` are those of its message.
 */
export async function lockRunFolder(
  folder: Pick<RunFolder, 'path'>,
  log?: (line: string) => void,
  words?: FolderWords,
): Promise<RunLock> {
  const path = join(folder.path, '.lock');
  const own: Owner = {
    pid: process.pid,
    host: hostname(),
    start: startOf(process.pid),
    since: new Date().toISOString(),
  };
  const text = JSON.stringify(own);
  while (!(await create(folder.path, path, text, words))) {
    const found = await settledOwner(path);
    // It was released in between: try again.
    if (found === 'gone') continue;
    if (found !== 'damaged' && isAlive(found)) throw taken(folder.path, path, found, words);
    if (!(await removeDead(path))) continue;
    const whose = found === 'damaged' ? 'nobody' : `process ${found.pid}, which no longer runs,`;
    log?.(`${words?.where ?? 'run folder'}: the lock of ${whose} is taken over`);
  }
  await removeHalfWritten(folder);
  const releaseNow = (): void => {
    const owner = readOwner(path);
    if (typeof owner === 'object' && owner.since === own.since && owner.pid === own.pid) unlinkSync(path);
  };
  process.once('exit', releaseNow);
  return {
    async release() {
      process.off('exit', releaseNow);
      releaseNow();
    },
  };
}

/** False if there is a lock already. */
async function create(folder: string, path: string, text: string, words?: FolderWords): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw folderError(folder, cause, words);
  }
}

// A lock is made first and filled at once; whoever looks in between waits for as long as a busy machine may take.
const FILLING_MS = 1000;

/** What is in a lock once it has been filled. */
async function settledOwner(path: string): Promise<ReturnType<typeof readOwner>> {
  const endMs = performance.now() + FILLING_MS;
  for (;;) {
    const found = readOwner(path);
    if (found !== 'damaged' || performance.now() > endMs) return found;
    await pause();
  }
}

// Who removes a dead lock looks at it again and deletes it: moments, unless it is killed meanwhile.
const REMOVING_MS = 5000;

/**
 * Deletes the lock if it is still dead; false if another process is seeing to that. Only one at a time may: a second would
 * delete the lock that the first has just made for itself.
 */
async function removeDead(path: string): Promise<boolean> {
  const turn = `${path}-removal`;
  try {
    await mkdir(turn);
  } catch {
    const ageMs = await stat(turn).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (ageMs > REMOVING_MS) await rmdir(turn).catch(() => {});
    else await pause();
    return false;
  }
  try {
    const found = await settledOwner(path);
    if (found === 'gone' || (found !== 'damaged' && isAlive(found))) return false;
    await rm(path, { force: true });
    return true;
  } finally {
    await rmdir(turn);
  }
}

const pause = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 20);
  });

function readOwner(path: string): Owner | 'gone' | 'damaged' {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return 'gone';
  }
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null;
    return typeof owner?.pid === 'number' && typeof owner.host === 'string' ? (owner as Owner) : 'damaged';
  } catch {
    return 'damaged';
  }
}

/** Whether the owner may still be at work; of another machine's nobody here can tell. */
function isAlive({ pid, host, start }: Owner): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and is another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // Numbers of processes are used again, in containers at once.
  return start === null || startOf(pid) === start;
}

/** When a process began, as text that no other process of that number has; null except on Linux. */
function startOf(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; of the fields behind it the 20th is the start, in ticks since boot.
    return `${boot} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return null;
  }
}

function taken(
  folder: string,
  lock: string,
  { pid, host, since }: Owner,
  { where: place, option }: FolderWords = { where: 'run folder', option: '--name' },
): RunFolderError {
  const where = host === hostname() ? '' : ` on ${host}`;
  const unless = host === hostname() ? '' : `; if it is dead, delete '${lock}'`;
  return new RunFolderError(
    `${place}: process ${pid}${where} has been at work in '${folder}' since ${since}; wait for it, stop it, or pass another ${option}${unless}`,
  );
}

const HALF_WRITTEN = /^\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** What a killed process left of files that it had not finished. */
async function removeHalfWritten({ path }: Pick<RunFolder, 'path'>): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true });
  const folders = ['', ...entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)];
  for (const folder of folders) {
    for (const name of await readdir(join(path, folder))) {
      if (HALF_WRITTEN.test(name)) await rm(join(path, folder, name), { force: true });
    }
  }
}
