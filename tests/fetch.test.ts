// Fetching open data, with made-up packages from this disk in place of published ones: what arrives, and what a failure leaves.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DataError } from '../engine/errors.ts';
import { fetchSource } from '../isnet/benchmarks/files/fetch.ts';
import { findSource, readSourceFile } from '../isnet/benchmarks/files/find.ts';
import { type DataSource, dataSources } from '../isnet/benchmarks/files/sources.ts';
import { temporaryFolder, write } from './image-files.ts';

const root = temporaryFolder();
let number = 0;
// Where data are kept, and where clients work: both are looked into afterwards.
let folder: string;
let scratch: string;
beforeEach(() => {
  const own = join(root, String(number++));
  folder = join(own, 'data');
  scratch = join(own, 'scratch');
  mkdirSync(scratch, { recursive: true });
  vi.stubEnv('TMPDIR', scratch);
  vi.stubEnv('npm_config_offline', 'true');
  vi.stubEnv('npm_config_update_notifier', 'false');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const contents = { 'icons.json': '{"icons": {}}', 'more.bin': 'x'.repeat(5000) };
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hashes = Object.fromEntries(Object.entries(contents).map(([file, text]) => [file, sha256(text)]));

/** Options by which 'noto' is this package. */
const standingIn = (from: DataSource['from'], files: Readonly<Record<string, string>> = hashes) => ({
  folder,
  sources: { ...dataSources, noto: { title: 'Made-up things', licence: 'MIT', from, files } },
});

const refused = async (options: Parameters<typeof fetchSource>[1], message: string | RegExp) => {
  const fetching = fetchSource('noto', options);
  await expect(fetching).rejects.toThrow(DataError);
  await expect(fetching).rejects.toThrow(message);
};

/** Nothing in the cache, nothing where the client worked. */
const expectNothingLeft = (): void => {
  if (existsSync(folder)) expect(readdirSync(folder)).toEqual([]);
  expect(readdirSync(scratch)).toEqual([]);
};

describe('a package of npm', () => {
  /** Packs the contents as npm does; npm takes such a file in place of a version. */
  const packed = (bytes = (tarball: Buffer): Buffer => tarball): DataSource['from'] => {
    const own = join(root, `npm-${number}`);
    write(join(own, 'package/package.json'), '{"name": "isnet-made-up", "version": "1.2.3"}');
    for (const [file, text] of Object.entries(contents)) write(join(own, 'package/data', file), text);
    write(join(own, 'package/data/unknown.txt'), 'nobody has checked this');
    const path = join(own, 'made-up.tgz');
    execFileSync('tar', ['-czf', path, 'package'], { cwd: own });
    writeFileSync(path, bytes(readFileSync(path)));
    return { kind: 'npm', package: 'isnet-made-up', version: `file:${path}`, folder: 'data' };
  };

  test('is fetched, checked and kept; the second time no client is asked', async () => {
    const options = standingIn(packed());
    expect(findSource('noto', options)).toBeNull();
    const kept = join(folder, 'noto');
    expect(await fetchSource('noto', options)).toEqual({ folder: kept, isOld: false });
    // The files that are known, and no others.
    expect(readdirSync(kept).sort()).toEqual(Object.keys(contents).sort());
    for (const [file, text] of Object.entries(contents)) {
      expect(new TextDecoder().decode(await readSourceFile(kept, 'noto', file, options))).toBe(text);
    }
    expect(readdirSync(folder)).toEqual(['noto']);
    expect(readdirSync(scratch)).toEqual([]);
    vi.stubEnv('PATH', '');
    expect(await fetchSource('noto', options)).toEqual({ folder: kept, isOld: true });
  });

  test('completes a folder that lacks a file', async () => {
    write(join(folder, 'noto/icons.json'), 'old');
    const options = standingIn(packed());
    expect((await fetchSource('noto', options)).isOld).toBe(false);
    expect(readFileSync(join(folder, 'noto/icons.json'), 'utf8')).toBe(contents['icons.json']);
  });

  test('with a file that is another than the known one is refused, and nothing is kept of it', async () => {
    const other = { ...hashes, 'more.bin': sha256('another') };
    await refused(
      standingIn(packed(), other),
      /^fetch: 'more\.bin' of isnet-made-up@file:\S+ from npm is not the file of Made-up things that is known \(.*\); nothing of it was kept: check npm's registry and cache \('npm cache verify'\), or put its files \(icons\.json, \.\.\.\) into '[^']*data\/noto'$/,
    );
    expectNothingLeft();
  });

  test('without one of the files is refused', async () => {
    await refused(
      standingIn(packed(), { ...hashes, 'third.bin': sha256('') }),
      /^fetch: 'third\.bin' of isnet-made-up\S* from npm is not there; nothing of it was kept/,
    );
    expectNothingLeft();
  });

  test('that is cut off leaves what was here before', async () => {
    write(join(folder, 'noto/icons.json'), 'old');
    const half = standingIn(packed((tarball) => tarball.subarray(0, tarball.length / 2)));
    await refused(half, /cannot fetch noto \((npm|tar) failed: .+\); run 'isnet data fetch noto'/);
    expect(readdirSync(folder)).toEqual(['noto']);
    expect(readdirSync(join(folder, 'noto'))).toEqual(['icons.json']);
    expect(readFileSync(join(folder, 'noto/icons.json'), 'utf8')).toBe('old');
    expect(readdirSync(scratch)).toEqual([]);
  });

  test('that does not exist, or no npm to fetch it, is one sentence', async () => {
    const from = { kind: 'npm', package: 'isnet-made-up', folder: '' } as const;
    const options = standingIn({ ...from, version: `file:${join(root, 'nowhere.tgz')}` });
    await refused(options, /fetch: cannot fetch noto \(npm failed: npm error code ENOENT/);
    vi.stubEnv('PATH', '');
    await refused(options, "cannot fetch noto (there is no npm here); run 'isnet data fetch noto'");
    expectNothingLeft();
  });

  test('for a cache that is no folder is refused by name', async () => {
    write(folder, 'a file');
    await refused(
      standingIn(packed()),
      /fetch: the folder '.*noto' cannot be made \(E\w+\); name another one/,
    );
    expect(readFileSync(folder, 'utf8')).toBe('a file');
    expect(readdirSync(scratch)).toEqual([]);
  });
});

describe('a package of Debian', () => {
  const isDebian = spawnSync('dpkg-deb', ['--version']).status === 0;
  if (!isDebian) console.warn('fetch.test: packages of Debian are SKIPPED, there is no dpkg-deb');
  const from = { kind: 'debian', package: 'isnet-made-up', folder: 'usr/share/isnet-made-up' } as const;

  /** The package, and an apt-get that runs these lines of a shell in place of asking a mirror. */
  const servedBy = (script: (path: string) => string): void => {
    const own = join(root, `debian-${number}`);
    for (const [file, text] of Object.entries(contents)) write(join(own, 'made-up', from.folder, file), text);
    const control = [
      'Package: isnet-made-up',
      'Version: 1',
      'Architecture: all',
      'Maintainer: none',
      'Description: none',
    ];
    write(join(own, 'made-up/DEBIAN/control'), `${control.join('\n')}\n`);
    write(join(own, 'bin/apt-get'), `#!/bin/sh\n${script(join(own, 'made-up.deb'))}\n`);
    chmodSync(join(own, 'bin/apt-get'), 0o755);
    execFileSync('dpkg-deb', ['--build', '--root-owner-group', 'made-up'], { cwd: own });
    vi.stubEnv('PATH', `${join(own, 'bin')}${delimiter}${process.env.PATH}`);
  };

  test.runIf(isDebian)('is fetched, checked and kept', async () => {
    servedBy((path) => `[ "$*" = "download isnet-made-up" ] && cp '${path}' isnet-made-up_1_all.deb`);
    expect(await fetchSource('noto', standingIn(from))).toEqual({
      folder: join(folder, 'noto'),
      isOld: false,
    });
    expect(readdirSync(join(folder, 'noto')).sort()).toEqual(Object.keys(contents).sort());
    expect(readdirSync(scratch)).toEqual([]);
  });

  test.runIf(isDebian)('of which half arrives leaves nothing', async () => {
    servedBy(
      (path) => `head -c 300 '${path}' > isnet-made-up_1_all.deb; echo 'E: Failed to fetch it' >&2; exit 100`,
    );
    const advice = `or put its files (icons.json, ...) into '${join(folder, 'noto')}'`;
    await refused(
      standingIn(from),
      `(apt-get failed: E: Failed to fetch it); run 'isnet data fetch noto' on Debian or Ubuntu, ${advice}`,
    );
    expectNothingLeft();
    // The same by a client that does not notice.
    servedBy((path) => `head -c 300 '${path}' > isnet-made-up_1_all.deb`);
    await refused(standingIn(from), /\(dpkg-deb failed: .+\)/);
    expectNothingLeft();
  });

  test.runIf(isDebian)('of which nothing arrives is said', async () => {
    servedBy(() => 'exit 0');
    await refused(standingIn(from), 'fetch: the package of noto left no .deb file;');
    expectNothingLeft();
  });
});
