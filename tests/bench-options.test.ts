// What is typed after a bench command: nothing is measured in place of what was meant, and wrong usage ends with 2.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import { selectCases } from '../bench/all-cases.ts';
import { count, namesIn, seconds, selector } from '../bench/options.ts';
import { peerNames } from '../bench/peers/peers.ts';
import { UsageError } from '../engine/errors.ts';

describe('numbers', () => {
  test.each(['0', '00', 'abc', '-3', '1.5', '', '1e2'])('a count is not %j', (text) => {
    expect(() => count(text)).toThrow(InvalidArgumentError);
  });

  // A timer for more than 2^31 milliseconds rings at once.
  test.each(['0', 'abc', '-3', '', 'Infinity', '2147484'])('a time limit is not %j', (text) => {
    expect(() => seconds(text)).toThrow(InvalidArgumentError);
  });

  test('from 1, and above 0, are taken', () => {
    expect([count('1'), count('12')]).toEqual([1, 12]);
    expect([seconds('300'), seconds('0.5')]).toEqual([300, 0.5]);
  });
});

describe('a filter', () => {
  const names = ['matmul 256', 'matmul 512', 'add'];
  const selected = (filter?: string) => names.filter(selector('bench', names, filter));

  test('takes the names with one of its parts, and all without it', () => {
    expect(selected('512,add')).toEqual(['matmul 512', 'add']);
    expect(selected()).toEqual(names);
  });

  test('with a part that no name has is refused, whatever its other parts find', () => {
    expect(() => selected('matmul,typo')).toThrow(UsageError);
    expect(() => selected('matmul,typo')).toThrow(
      /^bench: no case has 'typo' .* matmul 256, matmul 512, add$/,
    );
    expect(() => selectCases('matmul-256,typo')).toThrow("no case has 'typo'");
  });

  test.each(['', 'add,', ',add', 'add,,matmul'])('%j has a part that is in every name: refused', (filter) => {
    expect(() => selected(filter)).toThrow(UsageError);
    expect(() => selectCases(filter)).toThrow('has an empty part');
  });
});

test('names in a list are known, and count once', () => {
  expect(namesIn('no peer', peerNames, 'jax-js,ours,jax-js')).toEqual(['jax-js', 'ours']);
  expect(namesIn('no peer', peerNames, undefined)).toEqual(peerNames);
  // `toString` is in every object.
  for (const wrong of ['typo', '', 'ours,', 'toString'])
    expect(() => namesIn('no peer', peerNames, wrong)).toThrow(UsageError);
});

interface Outcome {
  readonly exitCode: number | null;
  readonly text: string;
}

function bench(script: string, ...args: readonly string[]): Promise<Outcome> {
  const root = join(import.meta.dirname, '..');
  const child = spawn(process.execPath, ['--import', 'tsx', `bench/${script}.ts`, ...args], { cwd: root });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      text += data;
    });
  }
  return new Promise((resolve) => {
    child.on('close', (exitCode) => resolve({ exitCode, text }));
  });
}

// Processes, because a command is its process: hence slow. None opens a device.
test.each([
  ['run', ['--typo'], "unknown option '--typo'"],
  ['run', ['--filter', 'matmul,typo'], "error: bench: no case has 'typo'"],
  ['ladder', ['--rounds', 'abc'], "argument 'abc' is invalid"],
  ['ladder', ['--filter', 'matmul,'], 'error: ladder: filter'],
  ['rivals', ['--large-rounds', '0'], "argument '0' is invalid"],
  ['rivals', ['--filter', 'typo'], "error: rivals: no case has 'typo'"],
  ['networks', ['--steps', '-1'], "argument '-1' is invalid"],
  ['networks', ['--filter', 'typo'], "error: networks: no case has 'typo'"],
  ['peers/run', ['--rounds', '0'], "argument '0' is invalid"],
  ['peers/run', ['--timeout', '-3'], "argument '-3' is invalid"],
  ['peers/run', ['--filter', 'matmul,typo'], "error: bench:peers: no case has 'typo'"],
  ['peers/run', ['--peers', 'typo'], "error: bench:peers: no peer 'typo'"],
  ['peers/run', ['--json', '/dev/null/x'], "error: bench: cannot write '/dev/null/x'"],
])('bench/%s %j ends with 2 and says why', async (script, args, message) => {
  const { exitCode, text } = await bench(script, ...args);
  expect(text).toContain(message);
  expect(exitCode).toBe(2);
});

test('help that was asked for is no error', async () => {
  expect(await bench('run', '--help')).toMatchObject({ exitCode: 0 });
});
