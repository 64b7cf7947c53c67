// `isnet compare` from end to end, on the smallest comparison there is: made, gone on with, added to, refused.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { findSource } from '../isnet/benchmarks/files/find.ts';
import { benchmarks } from '../isnet/benchmarks/index.ts';
import { openComparisonFolder } from '../isnet/compare/folder.ts';
import { isnet, isnetProcess, newFolder, type Outcome } from './command-line.ts';
import { hasGpu } from './gpu.ts';

const hasAdapter = await hasGpu();

const folder = newFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const output = join(folder, 'comparison');
const tinyComparison = [
  ...['--train-count', '64', '--validation-count', '20', '--test-count', '20'],
  ...['--epochs', '1', '--output', output],
];
const cellFile = (method: string, seed: number): string =>
  join(output, 'cells', 'mnist-marker', method, `${seed}.json`);
const compare = (methods: string, ...more: string[]): Promise<Outcome> =>
  isnet('compare', '--methods', methods, ...tinyComparison, ...more);

/** Processes that make cells for the comparison of this process; the shell's own table of them. */
function cellProcessesOf(parent: number): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n');
  return lines
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
    .filter(([, , ppid, args]) => Number(ppid) === parent && args.includes('cell-process'))
    .map(([, pid]) => Number(pid));
}

/** Runs `isnet ...args` in its own process until it makes `count` cells at once, kills one of them, and lets it end. */
async function withCellKilled(args: readonly string[], count: number): Promise<Outcome> {
  const cli = fileURLToPath(new URL('../isnet/cli.ts', import.meta.url));
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', cli, ...args], { cwd, timeout: 240_000 });
  const said = { output: '', errors: '' };
  child.stdout.on('data', (text) => {
    said.output += text;
  });
  child.stderr.on('data', (text) => {
    said.errors += text;
  });
  const watch = setInterval(() => {
    const cells = cellProcessesOf(child.pid as number);
    if (cells.length < count) return;
    clearInterval(watch);
    process.kill(cells[0], 'SIGKILL');
  }, 50);
  const exitCode = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  clearInterval(watch);
  return { exitCode, ...said };
}

describe('wrong usage is refused before anything is written', () => {
  test.each([
    [['--methods', 'clasifier'], /there is no method 'clasifier' \(did you mean 'classifier'\?\)/],
    [['--benchmarks', 'mnist'], /benchmark: there is no 'mnist' \(did you mean 'mnist-marker'/],
    [['--epochs', '0'], /epochs is 0/],
    [['--jobs', '0'], /--jobs is 0; use a whole number from 1 up/],
    [
      ['--methods', 'oracle,classifier,oracle'],
      /--methods <names>.* oracle is named more than once; name it once/,
    ],
    [['--benchmarks', 'mnist-marker,mnist-marker'], /mnist-marker is named more than once/],
    [['--seeds', '0,1,00'], /--seeds <numbers>.* 0 is named more than once/],
    [['--right-reasons-weight', '0'], /--right-reasons-weight is 0; use a number above 0/],
  ])('%j', async (args, message) => {
    const other = join(folder, 'other');
    const { exitCode, errors } = await isnet('compare', ...args, '--output', other);
    expect(exitCode).toBe(2);
    expect(errors).toMatch(message);
    expect(existsSync(other)).toBe(false);
  });
});

const nowhere = join(folder, 'no-data');
const lacking = [...benchmarks].flatMap(([name, { sources }]) =>
  sources.some((source) => findSource(source, { folder: nowhere }) === null) ? [name] : [],
);

test.skipIf(lacking.length < 2)('data that are missing are named before anything is trained', async () => {
  vi.stubEnv('ISNET_DATA', nowhere);
  const asked = ['mnist-marker', ...lacking.slice(0, 2)].join(',');
  const other = join(folder, 'lacking');
  const { exitCode, errors } = await isnet('compare', '--benchmarks', asked, '--output', other);
  vi.unstubAllEnvs();
  expect(exitCode).toBe(1);
  expect(errors).toMatch(/^error: compare: not on this machine: [^\n]*\n$/);
  expect(errors).toContain(`; run 'isnet data fetch ${lacking[0]} ${lacking[1]}'`);
  // The next command may have other settings.
  expect(existsSync(join(other, 'comparison.json'))).toBe(false);
});

describe.skipIf(!hasAdapter)('isnet compare', () => {
  let first: Outcome;
  beforeAll(async () => {
    first = await compare('classifier');
  }, 120_000);

  test('makes cells and tables', () => {
    expect(first.exitCode, first.errors).toBe(0);
    expect(first.output).toMatch(/^1\/1 {2}mnist-marker, classifier, seed 0: biased [\d.]+ %, unbiased /m);
    expect(first.output).toMatch(/^\| Ordinary classifier \| [\d.]+ \|/m);
    const cell = JSON.parse(readFileSync(cellFile('classifier', 0), 'utf8'));
    expect(Object.keys(cell.accuracy)).toEqual(['biased', 'unbiased', 'deceiving', 'out-of-distribution']);
    expect(cell.backgroundShare).toBeGreaterThan(0);
    expect(cell.parameters.runTime).toBe(cell.parameters.training);
    expect(readFileSync(join(output, 'table.md'), 'utf8')).toContain(
      '64 training and 20 test images, 1 epochs',
    );
    expect(readFileSync(join(output, 'table.md'), 'utf8')).toMatch(
      /^\| MNIST with a marker on black \| Ordinary classifier \| [\d.]+ \| [\d.]+ \| [\d.]+ \| 1 \|$/m,
    );
    for (const name of ['cells.csv', 'summary.json', 'comparison.html']) {
      expect(existsSync(join(output, name))).toBe(true);
    }
  });

  test('each cell names the command that repeats it, to the bit', async () => {
    const path = cellFile('classifier', 0);
    const { command, accuracy, backgroundShare } = JSON.parse(readFileSync(path, 'utf8'));
    const args = command.split(' compare ')[1].split(' ');
    // Another folder: in this one the cell is finished.
    expect(args.slice(-2)).toEqual(['--output', 'comparison-again']);
    const elsewhere = join(folder, args.pop());
    const { exitCode, errors, output: said } = await isnet('compare', ...args, elsewhere);
    expect(exitCode, errors).toBe(0);
    expect(said).toMatch(/^1\/1 {2}mnist-marker, classifier, seed 0: /m);
    const again = JSON.parse(readFileSync(path.replace(output, elsewhere), 'utf8'));
    expect(again.accuracy).toEqual(accuracy);
    expect(again.backgroundShare).toBe(backgroundShare);
  }, 120_000);

  test('keeps what is finished and adds what is not', async () => {
    const written = statSync(cellFile('classifier', 0)).mtimeMs;
    const { exitCode, output: said } = await compare('classifier,masked-input');
    expect(exitCode).toBe(0);
    expect(said).toContain('finished already: 1 of 2');
    expect(statSync(cellFile('classifier', 0)).mtimeMs).toBe(written);
    expect(said).toMatch(/^\| Ordinary classifier .*\n\| Masked input /m);
  }, 120_000);

  test('asked for some of the methods, shows all that are there', async () => {
    const { exitCode, output: said } = await compare('classifier');
    expect(exitCode).toBe(0);
    expect(said).toContain('finished already: 1 of 1; another --output makes them again');
    for (const text of [
      said,
      ...['table.md', 'comparison.html', 'cells.csv'].map((name) => readFileSync(join(output, name), 'utf8')),
    ]) {
      expect(text).toMatch(/Masked input|masked-input/);
    }
    expect(JSON.parse(readFileSync(join(output, 'summary.json'), 'utf8')).cells).toHaveLength(2);
  }, 120_000);

  test('refuses a folder that another is at work in, and gives it back', async () => {
    const lock = await openComparisonFolder(output);
    const { exitCode, errors } = await compare('classifier');
    expect(exitCode).toBe(1);
    expect(errors).toMatch(/^error: compare: process \d+ has been at work in .* or pass another --output\n$/);
    await lock.release();
    expect((await compare('classifier')).exitCode).toBe(0);
  });

  test('refuses a path that is a file', async () => {
    const path = cellFile('classifier', 0);
    const { exitCode, errors } = await isnet('compare', '--output', path);
    expect(exitCode).toBe(1);
    expect(errors).toMatch(
      /^error: compare: '.*0\.json' cannot be written \(part of the path is a file\); choose /,
    );
  });

  test('refuses a folder with other settings', async () => {
    const { exitCode, errors } = await compare('classifier', '--lr', '0.5');
    expect(exitCode).toBe(2);
    expect(errors).toMatch(/holds a comparison with other settings \(training.learningRate 0.006, now 0.5\)/);
  });

  test('stopped between cells, it goes on', async () => {
    const args = ['compare', '--methods', 'classifier,oracle', ...tinyComparison, '--seeds', '1'];
    const { exitCode, output: said } = await isnetProcess(args, '1/2');
    expect(exitCode, said).toBe(130);
    expect(existsSync(cellFile('classifier', 1))).toBe(true);
    expect(existsSync(cellFile('oracle', 1))).toBe(false);
    expect(said).toContain('the same command goes on');
  }, 120_000);

  test('two cells at once: one whose process is killed is named, the other arrives', async () => {
    const args = ['compare', '--methods', 'classifier', ...tinyComparison, '--seeds', '2,3', '--jobs', '2'];
    const { exitCode, output: said, errors } = await withCellKilled(args, 2);
    const made = [2, 3].filter((seed) => existsSync(cellFile('classifier', seed)));
    expect(made, `${said}${errors}`).toHaveLength(1);
    expect(errors).toContain(
      `error: mnist-marker, classifier, seed ${5 - made[0]}: its process ended (SIGKILL): it said nothing`,
    );
    expect(exitCode).toBe(1);
    expect(readFileSync(join(output, 'table.md'), 'utf8')).toMatch(
      new RegExp(`--methods classifier --seeds 0,1,${made[0]} `),
    );
  }, 120_000);

  test('going on makes what was killed, and what is new, beside what was finished', async () => {
    const { exitCode, output: said } = await compare('classifier', '--seeds', '2,3,4', '--jobs', '2');
    expect(exitCode, said).toBe(0);
    expect(said).toContain('finished already: 1 of 3');
    for (const seed of [2, 3, 4]) expect(existsSync(cellFile('classifier', seed))).toBe(true);
    const table = readFileSync(join(output, 'table.md'), 'utf8');
    expect(table).toMatch(
      /^\| Ordinary classifier \| [\d.]+ ± [\d.]+ \([\d.]+ to [\d.]+\) .* \* \|.* \| 5 \|$/m,
    );
    expect(table).toContain('--seeds 0,1,2,3,4 ');
    expect(table).toMatch(/Trainings at a time: 1, 2\. Times marked \* /);
  }, 120_000);
});
