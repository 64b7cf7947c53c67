// A comparison of libraries goes on, whatever one of them does, and keeps what was measured.
import { mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type PeerCase, peerCases } from '../bench/peers/cases.ts';
import { comparePeers, type ReportedCase } from '../bench/peers/comparison.ts';
import type { PeerName } from '../bench/peers/peers.ts';
import type { ProcessOptions } from '../bench/peers/process.ts';
import { type CaseResults, Field, runCase, runStartups, startupNames } from '../bench/peers/rounds.ts';

const folder = mkdtempSync(join(tmpdir(), 'isnet-peers-run-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => void vi.spyOn(console, 'log').mockImplementation(() => {}));
afterAll(() => void vi.restoreAllMocks());

const expected = { indices: [], values: [], tolerance: 0 };
const [item] = peerCases.filter(({ name }) => name === 'matmul 256');

/** Processes that answer as libraries do. `on` is what one does when asked: [name, request, JavaScript], in place of an answer if true. */
function peersThat(on: readonly (readonly [PeerName, string, string])[], timeoutMs = 20_000): ProcessOptions {
  const script = join(folder, `${Math.random()}.mjs`);
  const lines = on.map(([name, what, code]) => `if (name === '${name}' && what === '${what}') { ${code} }`);
  writeFileSync(
    script,
    `import fs from 'node:fs';
    const [name, mode] = process.argv.slice(2);
    const does = (what) => { ${lines.join('\n')} };
    const answers = {
      prepare: { ok: 'prepared', checkedError: 0 },
      sample: { ok: 'sample', msPerCall: 1, callCount: 1 },
      close: { ok: 'closed' },
    };
    process.on('disconnect', () => process.exit());
    if (mode) {
      if (!does(mode)) process.send({ firstResultMs: 1, firstStepMs: mode === '--startup' ? 2 : null });
    } else {
      process.on('message', (request) => {
        if (!does(request.do)) process.send(answers[request.do]);
      });
      process.send({ ok: 'open', version: '1', computesOn: 'nothing' });
    }`,
  );
  return { script, adapter: 'any', timeoutMs };
}

async function runTwice(options: ProcessOptions): Promise<CaseResults[]> {
  const field = new Field(options);
  const rounds = { roundCount: 2, sampleMs: 1 };
  try {
    const run = (each: PeerCase) => runCase(field, ['ours', 'jax-js'], each, expected, rounds);
    return [await run(item), await run(item)];
  } finally {
    field.end();
  }
}

describe('a peer keeps its times and gets a new process', () => {
  const whole = { roundMs: [1, 1], checkedError: 0, failure: null };

  // To hang is to take longer than any process may take to start: hence slow.
  test.each([
    ['dies', 'process.exit(3)', 20_000],
    // What it had prepared is still there, in the way of the next.
    ['refuses', 'answers.prepare = { error: "full" }; return process.send({ error: "no" })', 20_000],
    ['hangs', 'while (true);', 2000],
  ])('when it %s while closing a case', async (_, code, timeoutMs) => {
    const options = peersThat([['jax-js', 'close', code]], timeoutMs);
    expect(await runTwice(options)).toEqual([
      { ours: whole, 'jax-js': whole },
      { ours: whole, 'jax-js': whole },
    ]);
  });
});

test('a field that was ended starts no process', async () => {
  const field = new Field(peersThat([]));
  field.end();
  const { ours } = await runCase(field, ['ours'], item, expected, { roundCount: 1, sampleMs: 1 });
  expect(ours).toMatchObject({ roundMs: [], failure: 'the run was ended' });
});

describe('a comparison', () => {
  const plan = { names: ['ours'] as const, cases: [item], startups: startupNames, sampleMs: 1 };
  const never = new AbortController().signal;

  test('times start-ups in as many rounds as everything else', async () => {
    const process = peersThat([]);
    const found: ReportedCase[] = [];
    await comparePeers(new Field(process), { ...plan, process, roundCount: 5 }, never, (each) =>
      found.push(each),
    );
    expect(found.map(({ name }) => name)).toEqual([item.name, ...startupNames]);
    for (const { results } of found)
      expect(results).toMatchObject({ ours: { roundMs: Array(5).fill(expect.any(Number)), failure: null } });
  });

  test('that is interrupted keeps the cases that are done, and drops the one under way', async () => {
    const process = peersThat([]);
    const controller = new AbortController();
    const found: string[] = [];
    const cases = peerCases.filter(({ name }) => name.startsWith('matmul')).slice(0, 2);
    await comparePeers(
      new Field(process),
      { ...plan, cases, process, roundCount: 1 },
      controller.signal,
      ({ name }) => {
        found.push(name);
        controller.abort();
      },
    );
    expect(found).toEqual([cases[0].name]);
  });
});

describe('start-ups', () => {
  test('that are interrupted keep their times; who had no turn says so', async () => {
    // The second one says that it was started, and never gets further.
    const code = `fs.writeFileSync(${JSON.stringify(join(folder, 'started'))}, ''); return setInterval(() => {}, 1000)`;
    const options = peersThat([['jax-js', '--startup', code]]);
    const controller = new AbortController();
    const watcher = watch(folder, (_, name) => name === 'started' && controller.abort());
    const found = await runStartups(options, ['ours', 'jax-js'], 3, controller.signal);
    watcher.close();
    expect(found['first result, cold'].ours).toMatchObject({ roundMs: [1], failure: null });
    expect(found['first result, cold']['jax-js']?.failure).toBe('interrupted before its turn');
  });
});
