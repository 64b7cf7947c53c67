// One process per run folder: who holds a lock, who may take it over, and that nothing stays behind.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { createRunFolder, RunFolderError } from '../isnet/run-folder.ts';
import { lockRunFolder } from '../isnet/run-lock.ts';
import { newFolder } from './command-line.ts';

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const folderOf = (name: string) => createRunFolder(join(runs, name));
const lockIn = (name: string) => join(runs, name, '.lock');
const owner = (changes: object) =>
  JSON.stringify({
    pid: process.pid,
    host: hostname(),
    start: null,
    since: '2026-01-01T00:00:00.000Z',
    ...changes,
  });

/** A process that takes a folder and then does as told; resolves when it has ended. */
async function holder(name: string, then: string): Promise<{ pid: number; code: number | null }> {
  const module = fileURLToPath(new URL('../isnet/run-lock.ts', import.meta.url));
  const script = `
    const { lockRunFolder } = await import(${JSON.stringify(module)});
    await lockRunFolder({ path: ${JSON.stringify(join(runs, name))} });
    ${then}`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  return { pid: child.pid as number, code };
}

describe('a lock', () => {
  test('keeps others out while it is held, and is gone after', async () => {
    const folder = await folderOf('held');
    const lock = await lockRunFolder(folder);
    const second = lockRunFolder(folder);
    await expect(second).rejects.toThrow(RunFolderError);
    await expect(second).rejects.toThrow(
      new RegExp(
        `^run folder: process ${process.pid} has been at work in '.*held' since \\d.*Z; wait for it, stop it`,
      ),
    );
    await lock.release();
    expect(readdirSync(folder.path)).toEqual([]);
    await (await lockRunFolder(folder)).release();
  });

  test('of a process on another machine is left alone, and its file named', async () => {
    const folder = await folderOf('elsewhere');
    writeFileSync(lockIn('elsewhere'), owner({ host: 'another', pid: 7 }));
    await expect(lockRunFolder(folder)).rejects.toThrow(
      /process 7 on another has been at work .*; if it is dead, delete '.*\.lock'$/,
    );
    expect(existsSync(lockIn('elsewhere'))).toBe(true);
  });

  test.each([
    [
      'of a process that was killed',
      'process.kill(process.pid, "SIGKILL"); await new Promise(() => {});',
      null,
      true,
    ],
    ['of a process that ended by itself', '', 0, false],
    ['of one that was told to exit', 'process.exit(130);', 130, false],
  ])('%s can be had', async (_, then, code, isLeft) => {
    const name = `left-${code}`;
    const folder = await folderOf(name);
    const ended = await holder(name, then);
    expect(ended.code).toBe(code);
    expect(existsSync(lockIn(name))).toBe(isLeft);
    const lines: string[] = [];
    const lock = await lockRunFolder(folder, (line) => lines.push(line));
    expect(lines).toEqual(
      isLeft ? [`run folder: the lock of process ${ended.pid}, which no longer runs, is taken over`] : [],
    );
    expect(JSON.parse(readFileSync(lockIn(name), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test.skipIf(process.platform !== 'linux')(
    'of a number that another process has by now can be had',
    async () => {
      const folder = await folderOf('reused');
      writeFileSync(lockIn('reused'), owner({ start: 'another boot 1' }));
      const lock = await lockRunFolder(folder);
      await lock.release();
      expect(readdirSync(folder.path)).toEqual([]);
    },
  );

  test('that is damaged is taken over, once nobody is filling it', async () => {
    const folder = await folderOf('damaged');
    writeFileSync(lockIn('damaged'), '{"pid":');
    const lines: string[] = [];
    await (await lockRunFolder(folder, (line) => lines.push(line))).release();
    expect(lines).toEqual(['run folder: the lock of nobody is taken over']);
  });

  test('clears away what was half written, and nothing else', async () => {
    const folder = await folderOf('half');
    mkdirSync(join(folder.path, 'weights'));
    const id = '0f8fad5b-d9cb-469f-a165-70867728950e';
    const kept = ['mine.tmp', `.${id}`.slice(0, 20), 'config.json'];
    for (const name of [...kept, `.${id}.tmp`]) writeFileSync(join(folder.path, name), '');
    writeFileSync(join(folder.path, 'weights', `.${id}.tmp`), '');
    await (await lockRunFolder(folder)).release();
    expect(readdirSync(folder.path).toSorted()).toEqual([...kept, 'weights'].toSorted());
    expect(readdirSync(join(folder.path, 'weights'))).toEqual([]);
  });

  test('goes to one of many who find it stale at once', async () => {
    const folder = await folderOf('race');
    writeFileSync(lockIn('race'), owner({ pid: 2 ** 22 + 1 }));
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => lockRunFolder(folder)));
    const won = all.filter((outcome) => outcome.status === 'fulfilled');
    expect(won).toHaveLength(1);
    await won[0].value.release();
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

test('a folder that holds only a lock may be used by a run', async () => {
  await folderOf('only');
  writeFileSync(lockIn('only'), owner({ pid: 2 ** 22 + 1 }));
  const folder = await folderOf('only');
  await (await lockRunFolder(folder)).release();
});
