// `isnet evaluate` from end to end, on the smallest run there is: what it prints, what it writes, what it leaves alone.
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasAdapterFor, isnet, newFolder, tiny } from './command-line.ts';

const hasAdapter = await hasAdapterFor('evaluate-command.test');

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

describe.skipIf(!hasAdapter)('isnet evaluate', () => {
  const folder = join(runs, 'alone');
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

  // Trains on a software adapter, hence slow.
  beforeAll(async () => {
    await isnet('train', '--output-dir', runs, ...tiny, '--method', 'classifier', '--name', 'alone');
  }, 60_000);

  test('finds what the run has found, and says so in JSON as before', async () => {
    const before = JSON.parse(read('evaluation.json'));
    const { exitCode, output, errors } = await isnet('evaluate', folder, '--json');
    expect(exitCode, errors).toBe(0);
    const printed = JSON.parse(output);
    expect(printed.models).toEqual(JSON.parse(read('metrics.json')).models);
    expect(printed.adapter).toBe(before.adapter);
    expect(printed.evaluation).toEqual(before.models);
    expect(JSON.parse(read('evaluation.json')).models).toEqual(before.models);
    expect(read('report.html')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
    expect(read('MODEL_CARD.md')).toMatch(/^# Model card: alone\n/);
  });

  test('prints the table with intervals, and leaves the files alone if it is told to', async () => {
    rmSync(join(folder, 'report.html'));
    const written = statSync(join(folder, 'evaluation.json')).mtimeMs;
    const { exitCode, output } = await isnet('evaluate', folder, '--weights', 'last', '--no-report');
    expect(exitCode).toBe(0);
    expect(output).toMatch(/^accuracy, deceiving +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]$/m);
    expect(output).toMatch(/^biased - deceiving +-?0\.\d{3} \[/m);
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
    expect(statSync(join(folder, 'evaluation.json')).mtimeMs).toBe(written);
  });

  test('of a weights file writes nothing', async () => {
    const path = join(folder, 'weights', 'best.safetensors');
    const { exitCode, output } = await isnet('evaluate', path, '--test-count', '10', '--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(output).evaluation[0].sets.biased.count).toBe(10);
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
    expect(existsSync(join(folder, 'weights', 'report.html'))).toBe(false);
  });

  test('works without the log and the environment of the training', async () => {
    const copy = join(runs, 'copy');
    cpSync(folder, copy, { recursive: true });
    for (const name of ['metrics.jsonl', 'environment.json']) rmSync(join(copy, name));
    const { exitCode } = await isnet('evaluate', copy);
    expect(exitCode).toBe(0);
    expect(readFileSync(join(copy, 'report.html'), 'utf8')).not.toContain('<h2>Training</h2>');
  });

  test('with a damaged log is one sentence, and the old report stays', async () => {
    const copy = join(runs, 'damaged');
    cpSync(folder, copy, { recursive: true });
    writeFileSync(join(copy, 'report.html'), 'old');
    writeFileSync(join(copy, 'metrics.jsonl'), 'not JSON\n');
    const { exitCode, errors } = await isnet('evaluate', copy);
    expect(exitCode).toBe(1);
    expect(errors).toMatch(/^error: run folder: '.*metrics\.jsonl' is no JSON .*; restore the file\n$/);
    expect(readFileSync(join(copy, 'report.html'), 'utf8')).toBe('old');
  });
});
