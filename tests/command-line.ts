// What tests of the command line share: running it in this process or in one of its own, and tiny runs.
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { runCommandLine } from '../isnet/commands/program.ts';

export interface Outcome {
  readonly exitCode: number | null;
  readonly output: string;
  readonly errors: string;
}

/** A new empty folder under the system's temporary one; the caller removes it. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'isnet-cli-'));
}

/** Runs `isnet ...args` in this process: a tenth of the time of a child, most of which is start-up. */
export async function isnet(...args: string[]): Promise<Outcome> {
  let output = '';
  let errors = '';
  const toOutput = (text: unknown): boolean => {
    output += text;
    return true;
  };
  const toErrors = (text: unknown): boolean => {
    errors += text;
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(toOutput),
    vi.spyOn(process.stderr, 'write').mockImplementation(toErrors),
    vi.spyOn(console, 'log').mockImplementation((line) => void toOutput(`${line}\n`)),
    vi.spyOn(console, 'error').mockImplementation((line) => void toErrors(`${line}\n`)),
  ];
  try {
    const exitCode = await runCommandLine(args);
    return { exitCode, output, errors };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Runs `isnet ...args` as a user does, and sends SIGINT as soon as the output contains `interruptAt`. */
export async function isnetProcess(args: readonly string[], interruptAt?: string): Promise<Outcome> {
  const cli = fileURLToPath(new URL('../isnet/cli.ts', import.meta.url));
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', cli, ...args], { cwd, timeout: 240_000 });
  let output = '';
  let errors = '';
  let isInterrupted = false;
  child.stdout.on('data', (text) => {
    output += text;
    if (interruptAt === undefined || isInterrupted || !output.includes(interruptAt)) return;
    isInterrupted = true;
    child.kill('SIGINT');
  });
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const exitCode = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  return { exitCode, output, errors };
}

/** Options that make a run small enough for a software adapter. */
export const tiny = [
  ...['--train-count', '200', '--validation-count', '20', '--test-count', '20'],
  ...['--hidden', '8', '--batch-size', '20', '--epochs', '1'],
];

/** Losses by epoch in the bytes of a metrics.jsonl, without times, which differ from run to run. */
export const lossesIn = (log: Buffer) =>
  log
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map(({ epoch, train: ofTraining, validation }) => ({ epoch, ofTraining, validation }));
