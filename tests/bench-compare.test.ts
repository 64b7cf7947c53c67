// Two results side by side: what counts as a difference, and what is no result at all.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { type Comparable, compareReports, comparisonTable, readReport } from '../bench/compare.ts';
import { UsageError } from '../engine/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'isnet-compare-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A report with a case per entry: [p10, median, p90]. */
function report(cases: Record<string, readonly [number, number, number]>, adapter = 'A'): Comparable {
  const results = Object.entries(cases).map(([name, [p10Ms, medianMs, p90Ms]]) => ({
    name,
    medianMs,
    minMs: p10Ms,
    p10Ms,
    p90Ms,
  }));
  return { date: '2026-01-02T03:04:05Z', commit: 'abcdef0123456789', adapter, results };
}

test('a difference is one when the ranges p10-p90 do not meet', () => {
  const before = report({ faster: [9, 10, 11], same: [9, 10, 11], slower: [1, 2, 3] });
  const after = report({ faster: [4, 5, 6], same: [10, 12, 13], slower: [3.5, 4, 5] });
  expect(compareReports(before, after)).toEqual([
    { name: 'faster', beforeMs: 10, afterMs: 5, speedup: 2, isBeyondSpread: true },
    { name: 'same', beforeMs: 10, afterMs: 12, speedup: 10 / 12, isBeyondSpread: false },
    { name: 'slower', beforeMs: 2, afterMs: 4, speedup: 0.5, isBeyondSpread: true },
  ]);
});

test('the table has a word for each difference, and names what only one result has', () => {
  const lines = comparisonTable(
    report({ faster: [9, 10, 11], old: [1, 1, 1] }),
    report({ faster: [4, 5, 6], young: [1, 1, 1] }, 'B'),
  ).split('\n');
  expect(lines.find((line) => line.startsWith('faster'))).toMatch(/10\.00 +5\.000 +2\.00x +faster$/);
  expect(lines).toContain('only in a: old');
  expect(lines).toContain('only in b: young');
  expect(lines.at(-1)).toMatch(/^the adapters differ/);
});

test('results from before p10 was kept are compared by their minimum', () => {
  const { p10Ms: _, ...old } = report({ x: [9, 10, 11] }).results[0] as {
    p10Ms?: number;
  } & Comparable['results'][0];
  const before = { ...report({}), results: [old] };
  expect(compareReports(before, report({ x: [4, 5, 8.9] }))[0].isBeyondSpread).toBe(true);
  expect(compareReports(before, report({ x: [4, 5, 9.1] }))[0].isBeyondSpread).toBe(false);
});

test('a file that holds no results is refused by name', () => {
  const path = join(folder, 'other.json');
  expect(() => readReport(path)).toThrow(UsageError);
  expect(() => readReport(path)).toThrow(/^compare: .*other\.json cannot be read/);
  writeFileSync(path, '{"cases": []}');
  expect(() => readReport(path)).toThrow(/other\.json holds no cases/);
  writeFileSync(path, JSON.stringify(report({ x: [1, 2, 3] })));
  expect(readReport(path).results).toHaveLength(1);
});

const row = { name: 'x', medianMs: 2, minMs: 1, p10Ms: 1, p90Ms: 3 };
const whole = { date: '2026-01-02', commit: null, adapter: 'A', results: [row] };
test.each([
  null,
  3,
  [],
  { ...whole, results: [] },
  { ...whole, results: [null] },
  { ...whole, results: [{ ...row, name: undefined }] },
  { ...whole, results: [row, { ...row, medianMs: null }] },
  { ...whole, results: [{ ...row, p90Ms: undefined }] },
  { ...whole, results: [{ ...row, p10Ms: undefined, minMs: undefined }] },
  { ...whole, date: undefined },
  { ...whole, commit: 7 },
  { ...whole, adapter: undefined },
])('%j is no file of results', (contents) => {
  const path = join(folder, 'damaged.json');
  writeFileSync(path, JSON.stringify(contents));
  expect(() => readReport(path)).toThrow(UsageError);
  expect(() => readReport(path)).toThrow(/^compare: .*damaged\.json (holds no cases|lacks)/);
});

test('the files that are published can be compared', () => {
  const published = new URL('../bench/results/2026-11-23-lavapipe.json', import.meta.url);
  expect(readReport(fileURLToPath(published)).results.length).toBeGreaterThan(50);
});
