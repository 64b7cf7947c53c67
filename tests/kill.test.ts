// A run that is killed, again and again: nothing it has finished is lost, no file is ever broken, and the weights that it
// ends with are those of a run that was left in peace. Whole processes, because only those can be killed: hence slow.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadState } from '../isnet/checkpoint.ts';
import { readWeightsFile } from '../nn/weights-file.ts';
import { isnet, newFolder, tiny } from './command-line.ts';
import { hasGpu } from './gpu.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const epochs = 5;
const settings = ['--output-dir', runs, ...tiny, '--method', 'classifier', '--epochs', String(epochs)];
const folder = join(runs, 'killed');
const state = join(folder, 'state', 'resume.safetensors');

interface Killed {
  /** Epochs that it had reported as done, in all. */
  readonly epochsDone: number;
  readonly signal: NodeJS.Signals | null;
}

/** Starts `isnet ...args` and kills it as soon as `isTime` says so, which is asked all the time. */
async function killed(args: readonly string[], isTime: () => boolean): Promise<Killed> {
  const cli = fileURLToPath(new URL('../isnet/cli.ts', import.meta.url));
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', cli, ...args], { cwd });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  const watch = setInterval(() => {
    if (isTime()) child.kill('SIGKILL');
  }, 1);
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => {
    child.on('close', (_, with_) => resolve(with_));
  });
  clearInterval(watch);
  const done = [...output.matchAll(/epoch (\d+)\/\d+ done/g)].map((match) => Number(match[1]));
  return { epochsDone: Math.max(0, ...done), signal };
}

const namesIn = (name: string): string[] => {
  const path = join(folder, name);
  return existsSync(path) ? readdirSync(path) : [];
};

/** Something is being written there: the hardest moment. */
const isWriting = (name: string) => namesIn(name).some((file) => file.endsWith('.tmp'));

const linesOfLog = (): number => {
  const path = join(folder, 'metrics.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').length : 0;
};

/** Throws if a file that has its name is not whole. */
async function checkFiles(): Promise<void> {
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    if (name.endsWith('.tmp')) continue;
    const path = join(folder, name);
    if (name.endsWith('.safetensors')) await readWeightsFile(path);
    if (name.endsWith('.json')) JSON.parse(readFileSync(path, 'utf8'));
    if (name.endsWith('.jsonl'))
      for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) JSON.parse(line);
    if (name.endsWith('.csv')) expect(readFileSync(path, 'utf8')).toMatch(/^model,epoch,.*\n$/s);
  }
}

// The moments: weights of the first epoch, state of a later one, the log, and a step in the middle of nothing.
const moments: Record<string, () => boolean> = {
  'while its first weights are written': () => isWriting('weights'),
  'while a state is written': () => existsSync(state) && isWriting('state'),
  'between the log of an epoch and its state': () => linesOfLog() >= 3,
};

describe.skipIf(!hasAdapter)('a run that is killed', () => {
  beforeAll(async () => {
    await isnet('train', ...settings, '--name', 'whole');
  }, 120_000);

  test.each(Object.entries(moments))(
    '%s has lost no epoch that it had finished, and no file is broken',
    async (_, isTime) => {
      const args = existsSync(state)
        ? ['train', '--resume', folder]
        : ['train', ...settings, '--name', 'killed', '--overwrite'];
      const { signal, epochsDone } = await killed(args, isTime);
      expect(signal).toBe('SIGKILL');
      await checkFiles();
      const saved = existsSync(state) ? (await loadState(state)).position.epoch : 0;
      expect(saved).toBeGreaterThanOrEqual(epochsDone);
    },
    60_000,
  );

  test('goes on to the weights, losses and logs of one that was left in peace', async () => {
    const { exitCode, output } = await isnet('train', '--resume', folder);
    expect(exitCode).toBe(0);
    expect(output).toMatch(/the lock of process \d+, which no longer runs, is taken over/);
    for (const name of ['best', 'last']) {
      const bytes = (run: string) => readFileSync(join(runs, run, 'weights', `${name}.safetensors`));
      expect(bytes('killed').equals(bytes('whole')), name).toBe(true);
    }
    const losses = (run: string) =>
      readFileSync(join(runs, run, 'metrics.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(({ epoch, train, validation, isBest }) => ({ epoch, train, validation, isBest }));
    expect(losses('killed')).toEqual(losses('whole'));
    expect(losses('whole')).toHaveLength(epochs);
    const leftovers = (readdirSync(folder, { recursive: true }) as string[]).filter((name) =>
      /\.tmp$|\.lock/.test(name),
    );
    expect(leftovers).toEqual([]);
  }, 120_000);
});
