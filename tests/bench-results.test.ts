// Files of results: whether one can be written is known before measuring, and what was measured gets into it.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { BenchResult } from '../bench/measure.ts';
import { hasChanges, originOf, type Report, resultFile } from '../bench/report.ts';
import { keepResults } from '../bench/session.ts';
import { measureStartups, startupCases } from '../bench/startup.ts';
import { CpuDevice } from '../engine/cpu-device.ts';
import { DataError, UsageError } from '../engine/errors.ts';
import { openGpu } from './gpu.ts';

const folder = mkdtempSync(join(tmpdir(), 'isnet-results-'));
afterAll(() => rmSync(folder, { recursive: true }));

const origin = originOf(new CpuDevice());
const root = join(import.meta.dirname, '..');

describe('a path for results', () => {
  test('is taken with folders that are not there yet, and nothing is left in them', () => {
    const path = join(folder, 'a/b/x.json');
    expect(resultFile(path, origin)).toBe(path);
    expect(readdirSync(join(folder, 'a/b'))).toEqual([]);
    expect(resultFile(undefined, origin)).toBeUndefined();
    expect(resultFile(true, origin, 'kind')).toMatch(/bench\/results\/\d{4}-\d\d-\d\d-kind-cpu.*\.json$/);
  });

  test.each([
    ['below a file', '/dev/null/x.json', /cannot write/],
    ['in a folder that takes none', '/proc/x.json', /cannot write/],
    ['that is a folder', folder, /is no file/],
    ['that is a device', '/dev/null', /is no file/],
  ])('%s is refused by name', (_, path, message) => {
    expect(() => resultFile(path, origin)).toThrow(UsageError);
    expect(() => resultFile(path, origin)).toThrow(message);
    expect(() => resultFile(path, origin)).toThrow(`'${path}'`);
  });
});

describe('what was measured', () => {
  const found: string[] = [];
  const report = (isComplete: boolean): Report & { found: string[] } => ({ ...origin, isComplete, found });
  const contents = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

  test('is written when an error ends the run, and the error goes on', async () => {
    const path = join(folder, 'error.json');
    const measure = async () => {
      found.push('first');
      throw new RangeError('the second fails');
    };
    await expect(keepResults(path, { measure, report })).rejects.toThrow('the second fails');
    expect(contents(path)).toMatchObject({ adapter: origin.adapter, isComplete: false, found: ['first'] });
  });

  test('is written when all is done', async () => {
    const path = join(folder, 'done.json');
    await keepResults(path, { measure: async () => {}, report });
    expect(contents(path).isComplete).toBe(true);
  });

  test('is nothing: no file', async () => {
    const path = join(folder, 'nothing.json');
    await keepResults(path, { measure: async () => {}, report: () => null });
    expect(readdirSync(folder)).not.toContain('nothing.json');
  });

  test('is the old file or the new one: a write that fails leaves the old', async () => {
    const path = join(folder, 'old.json');
    writeFileSync(path, 'old');
    // No JSON is made of such a number, and the file must not be open yet.
    const unwritable = { ...report(true), found: 1n } as unknown as Report;
    const measuring = { measure: async () => {}, report: () => unwritable };
    await expect(keepResults(path, measuring)).rejects.toThrow(TypeError);
    expect(readFileSync(path, 'utf8')).toBe('old');
    const gone = join(folder, 'gone/x.json');
    await expect(keepResults(gone, { measure: async () => {}, report })).rejects.toThrow(DataError);
  });
});

const device = await openGpu();
await device?.close();

// A process, because Ctrl-C goes to one: hence slow.
test.skipIf(!device)('Ctrl-C keeps the cases that are done', async () => {
  const path = join(folder, 'interrupted.json');
  const args = ['--quick', '--filter', 'transfer,dispatch,startup', '--json', path];
  const child = spawn(process.execPath, ['--import', 'tsx', 'bench/run.ts', ...args], { cwd: root });
  let output = '';
  child.stdout.on('data', (text) => {
    const isFirst = !output.includes('chain-of');
    output += text;
    if (isFirst && output.includes('chain-of')) child.kill('SIGINT');
  });
  const exitCode = await new Promise((resolve) => child.on('close', resolve));
  expect(exitCode).toBe(130);
  const { isComplete, results } = JSON.parse(readFileSync(path, 'utf8'));
  expect(isComplete).toBe(false);
  expect(results[0].name).toBe('chain-of-200x256');
  // Three of dispatch and four of transfer come before the starts.
  expect(results.length).toBeLessThan(7);
});

test('start-ups that are interrupted end, and it is no error', async () => {
  const results: BenchResult[] = [];
  const signal = AbortSignal.abort();
  for await (const result of measureStartups(startupCases, { signal })) results.push(result);
  expect(results).toEqual([]);
});

test('results that a run writes anew are no change of the code', () => {
  const clone = join(folder, 'clone');
  const git = (...args: readonly string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: clone });
  mkdirSync(join(clone, 'bench/results'), { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(clone, name), text);
  write('bench/results/x.json', '1');
  write('bench/run.ts', '1');
  git('init', '-q');
  git('add', '.');
  git('commit', '-q', '-m', 'first');
  write('bench/results/x.json', '2');
  expect(hasChanges(clone)).toBe(false);
  write('bench/run.ts', '2');
  expect(hasChanges(clone)).toBe(true);
});
