// Reports and model cards: safe whatever the names are, complete in one file, and right in their first sentence.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import { memorySource } from '../isnet/data/source.ts';
import { describeEnvironment } from '../isnet/environment.ts';
import { type Estimate, pairedDifference, proportion } from '../isnet/evaluation/estimate.ts';
import { evaluateOnSets, type ModelEvaluation } from '../isnet/evaluation/model.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { escapeMarkdown, modelCard } from '../isnet/report/card.ts';
import { evenTicks, lineChart } from '../isnet/report/charts.ts';
import { escapeHtml, html } from '../isnet/report/html.ts';
import type { ReportInput } from '../isnet/report/input.ts';
import { numberCell, percent, plain, shareCell } from '../isnet/report/numbers.ts';
import { flattened, reportHtml } from '../isnet/report/page.ts';
import { verdictOf, verdictSentences } from '../isnet/report/verdict.ts';
import { writeReport } from '../isnet/report/write.ts';
import { evaluationTable, formatEstimate, modelTitles } from '../isnet/report.ts';
import { RunFolderError, runFolder } from '../isnet/run-folder.ts';
import { isnetComposite } from '../lrp/composite.ts';
import { SmallCnn } from '../nn/models/small-cnn.ts';
import { newFolder } from './command-line.ts';
import { randomValues } from './gradcheck.ts';
import { initOn } from './small-nets.ts';

const folder = newFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const device = new CpuDevice();
const hostile = `<img src=x onerror="alert('1')">&|`;

/** Twelve noise images [1, 6, 6]; the left half of each is foreground. */
const data = {
  images: Float32Array.from(randomValues('report', 12 * 36, [0, 1])),
  masks: Float32Array.from({ length: 12 * 36 }, (_, i) => (i % 6 < 3 ? 1 : 0)),
  labels: Uint8Array.from({ length: 12 }, (_, n) => n % 3),
  count: 12,
  channels: 1,
  height: 6,
  width: 6,
  classNames: [hostile, 'b', 'c'],
};
const source = memorySource(data);
const model = new SmallCnn(initOn(device), {
  inChannels: 1,
  imageSize: [6, 6],
  classCount: 3,
  blocks: [{ channels: 2, kernel: 3, stride: 2 }],
  hidden: [],
});

const result = await evaluateOnSets(
  device,
  'isnet',
  model,
  { biased: source, deceiving: source },
  { resamples: 20, isPaired: true },
);
const { evaluation, images } = result as NonNullable<typeof result>;
const config = completeConfig([{ name: 'mine', method: 'isnet' }]);

const input: ReportInput = {
  name: hostile,
  date: '2026-01-02T03:04:05Z',
  adapter: hostile,
  weights: 'best',
  models: [evaluation],
  silenced: [
    {
      name: evaluation.name,
      set: 'deceiving',
      silencing: {
        imageCount: 12,
        accuracy: proportion(6, 12),
        objectAccuracy: proportion(9, 12),
        layers: [{ layer: hostile, firing: 0.5, silenced: 0.0151, accuracyRestored: proportion(8, 12) }],
      },
    },
  ],
  logits: [
    {
      name: evaluation.name,
      set: 'biased',
      logits: {
        imageCount: 12,
        ranks: [
          { relevance: { value: 2.247, low: 2.145, high: 2.349 }, share: proportion(3, 12) },
          { relevance: { value: -1.484, low: -1.573, high: -1.395 }, share: proportion(6, 12) },
        ],
      },
    },
  ],
  log: [{ model: 'isnet', epoch: 1, train: { total: 1, classification: 2, heatmap: 0.5 }, validation: null }],
  heatmaps: [
    {
      group: 'most',
      title: hostile,
      cells: [{ uri: 'data:image/png;base64,AAAA', title: hostile, note: hostile }],
    },
  ],
  config: { [hostile]: { inner: hostile } },
  environment: { ...describeEnvironment(device), cpu: hostile, command: [hostile] },
};

describe('a template', () => {
  test('escapes everything that is not HTML already', () => {
    expect(html`<p title="${hostile}">${hostile}${html`<b>${1}</b>`}${[2, null, false, '<']}</p>`.text).toBe(
      `<p title="${escapeHtml(hostile)}">${escapeHtml(hostile)}<b>1</b>2&lt;</p>`,
    );
    expect(escapeHtml(hostile)).toBe('&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;|');
  });
});

describe('the report', () => {
  const page = reportHtml(input);

  test('has no element of anybody else, whatever the names are', () => {
    expect(page).toContain(escapeHtml(hostile));
    expect(page).not.toContain('<img src=x');
    const tags = new Set([...page.matchAll(/<([a-z0-9]+)/g)].map((match) => match[1]));
    for (const tag of ['script', 'link', 'iframe', 'object', 'a']) expect(tags).not.toContain(tag);
    const withoutValues = page.replace(/="[^"]*"/g, '=""');
    expect(withoutValues.match(/<[a-z][^>]*\son\w+=/g)).toBeNull();
  });

  test('loads nothing: every source is data, and no style imports', () => {
    const sources = [...page.matchAll(/\s(?:src|href|srcset)="([^"]*)"/g)].map((match) => match[1]);
    expect(sources).toEqual(['data:image/png;base64,AAAA']);
    expect(page).not.toMatch(/@import|url\(/);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"`);
  });

  test('closes what it opens', () => {
    const open: string[] = [];
    for (const [, slash, tag, own] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*?(\/?)>/g)) {
      if (['meta', 'br', 'img'].includes(tag) || own === '/') continue;
      if (slash === '') open.push(tag);
      else expect(open.pop(), `</${tag}>`).toBe(tag);
    }
    expect(open).toEqual([]);
  });

  test('begins with the verdict', () => {
    const [sentence] = verdictSentences([evaluation], modelTitles);
    const body = page.slice(page.indexOf('<body>'));
    expect(body.indexOf(sentence)).toBeGreaterThan(0);
    expect(body.indexOf(sentence)).toBeLessThan(body.indexOf('<h2>'));
  });

  test('says what the background silences where that was measured', () => {
    expect(page).toMatch(
      /What the background silences<[\s\S]*?Images of deceiving[\s\S]*?1\.5\s%[\s\S]*?66\.7/,
    );
    expect(reportHtml({ ...input, silenced: undefined })).not.toContain('What the background silences');
  });

  test('says what the background adds to each logit where that was measured', () => {
    expect(page).toMatch(
      /adds to each logit<[\s\S]*?Images of biased[\s\S]*?largest<[\s\S]*?2\.25[\s\S]*?>2<[\s\S]*?−1\.48[\s\S]*?50\.0/,
    );
    expect(reportHtml({ ...input, logits: undefined })).not.toContain('adds to each logit');
  });

  test('has no NaN and no undefined in it', () => {
    expect(page).not.toMatch(/\b(NaN|undefined|Infinity|\[object)/);
  });

  test('names frequent confusions instead of a matrix of many classes', () => {
    const many = Array.from({ length: 21 }, (_, k) => ({
      ...evaluation.sets.biased.classes[1],
      name: `class ${k}`,
      shown: 5,
    }));
    const confusion = many.map((_, k) => many.map((_, j) => (j === (k + 1) % 21 ? k : 0)));
    const sets = { biased: { ...evaluation.sets.biased, classes: many, confusion } };
    const text = reportHtml({ ...input, models: [{ ...evaluation, sets, gaps: [] }] });
    expect(text).not.toContain('class="matrix"');
    expect(text).toContain('<tr><td>class 20</td><td>class 0</td><td class="n">20</td></tr>');
  });
});

describe('the verdict', () => {
  const withGap = (gap: Estimate, accuracy: Estimate = proportion(95, 100)): ModelEvaluation => ({
    ...evaluation,
    sets: { ...evaluation.sets, biased: { ...evaluation.sets.biased, accuracy } },
    gaps: [{ from: 'biased', to: 'deceiving', accuracy: gap, macroF1: 0, macroAuc: 0 }],
  });
  const pairs = (onlyFirst: number, n = 1000): Estimate =>
    pairedDifference({ both: n - onlyFirst, onlyFirst, onlySecond: 0, neither: 0 });

  test.each([
    ['robust', withGap(pairs(10)), 'does not depend on the background'],
    ['dependent', withGap(pairs(300)), 'depends on the background'],
    ['undecided', withGap(pairs(50)), 'too few images to tell'],
    ['undecided', withGap(pairs(0, 20)), 'too few images to tell'],
    ['untrained', withGap(pairs(10), proportion(40, 100)), 'has not learned'],
  ])('is %s', (verdict, evaluated, words) => {
    expect(verdictOf(evaluated)).toBe(verdict);
    expect(verdictSentences([evaluated], modelTitles)[0]).toContain(words);
  });

  test('of one set alone is its accuracy', () => {
    const alone = { ...evaluation, gaps: [] };
    expect(verdictOf(alone)).toBeNull();
    expect(verdictSentences([alone], modelTitles)[0]).toMatch(
      /^The ISNet is right on \d+\.\d\u00a0% of the biased test images\.$/,
    );
  });
});

describe('numbers', () => {
  test('are written as people read them', () => {
    expect([0.95678, -0.00001, 1, null].map((x) => percent(x))).toEqual([
      '95.7\u00a0%',
      '0.0\u00a0%',
      '100.0\u00a0%',
      '–',
    ]);
    expect([0, 12345.678, 1e-7, -0.25, 3e8, null].map(plain)).toEqual([
      '0',
      '12350',
      '1.00e\u22127',
      '\u22120.25',
      '3.00e+8',
      '–',
    ]);
    expect(formatEstimate({ value: 0.5, low: -0.0001, high: 0.75 })).toBe('0.500 [0.000, 0.750]');
    expect(formatEstimate({ value: 1, low: null, high: null })).toBe('1.000');
    expect(formatEstimate({ value: null, low: null, high: null })).toBe('-');
  });

  test('have their interval below them, and none where there is none', () => {
    expect(shareCell({ value: 0.5, low: 0.25, high: 0.75 }).text).toBe(
      '<td class="n">50.0\u00a0%<small>25.0 to 75.0</small></td>',
    );
    expect(numberCell({ value: 1, low: null, high: null }).text).toBe('<td class="n">1.000</td>');
    expect(numberCell(null).text).toBe('<td class="n">–</td>');
  });

  test('stand in columns in the terminal', () => {
    const lines = evaluationTable([evaluation, { ...evaluation, name: 'classifier' }]).split('\n');
    expect(lines[0]).toMatch(/^ +ISNet +classifier$/);
    expect(lines.map((line) => line.indexOf('[')).slice(1, 4)).toEqual(
      new Array(3).fill(lines[1].indexOf('[')),
    );
    expect(lines[1]).toMatch(/^accuracy, biased +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\] +\d/);
  });

  test('of settings have dotted names', () => {
    expect(flattened({ a: { b: 1, c: [1, 2] }, d: [{ e: null }] })).toEqual([
      ['a.b', '1'],
      ['a.c', '1 2'],
      ['d.0.e', 'null'],
    ]);
  });
});

describe('charts', () => {
  test('have round ticks that enclose the values', () => {
    expect(evenTicks(0, 0.873)).toEqual([0, 0.5, 1]);
    expect(evenTicks(0, 4)).toEqual([0, 1, 2, 3, 4]);
    expect(evenTicks(-0.3, 0.3)).toEqual([-0.4, -0.2, 0, 0.2, 0.4]);
    expect(evenTicks(5, 5)).toEqual([4, 6]);
  });

  test('leave out what is not finite, and are none without points', () => {
    const chart = lineChart(
      't',
      [
        {
          title: 'a',
          points: [
            [1, 2],
            [2, Number.NaN],
            [3, 1],
          ],
          color: 0,
        },
      ],
      'epoch',
    );
    expect([...(chart?.text ?? '').matchAll(/<circle/g)]).toHaveLength(2);
    expect(chart?.text).not.toContain('NaN');
    expect(lineChart('t', [{ title: 'a', points: [[1, Number.NaN]], color: 0 }], 'epoch')).toBeNull();
  });
});

test('the model card takes names as text', () => {
  const card = modelCard({ ...input, config: { ...config, name: hostile } });
  expect(card).toContain(escapeMarkdown(hostile));
  expect(card.replaceAll(escapeMarkdown(hostile), '')).not.toMatch(/<img/);
  expect(card).toContain('| ISNet | biased | 12 |');
  expect(card).not.toMatch(/\b(NaN|undefined)|\[object/);
  const [head, ...rows] = card.split('\n').filter((line) => line.startsWith('| '));
  expect(head.split(' | ')).toHaveLength(7);
  expect(rows.length).toBeGreaterThan(5);
});

describe('writing', () => {
  const options = {
    device,
    models: [{ evaluation, images, model }],
    source,
    composite: isnetComposite(),
    weights: 'best',
    config,
    environment: describeEnvironment(device),
  } as const;

  test('leaves three files, and heatmaps of the extremes in the report', async () => {
    const run = runFolder(join(folder, 'run'));
    mkdirSync(run.path);
    await writeReport(run, options);
    expect(readdirSync(run.path).toSorted()).toEqual(['MODEL_CARD.md', 'evaluation.json', 'report.html']);
    const saved = JSON.parse(readFileSync(run.evaluation, 'utf8'));
    expect(saved).toMatchObject({ adapter: device.description, weights: 'best', models: [evaluation] });
    const page = readFileSync(run.report, 'utf8');
    const order = images.toSorted((a, b) => a.backgroundShare - b.backgroundShare).map(({ index }) => index);
    const shown = [...page.matchAll(/Test image (\d+)\./g)].map((match) => Number(match[1]));
    expect(shown).toEqual([...order.slice(0, 4), ...order.slice(-4).toReversed()]);
    expect([...page.matchAll(/src="data:image\/png;base64,iVBOR/g)]).toHaveLength(16);
  });

  test('shows an image once, however few there are', async () => {
    const run = runFolder(join(folder, 'few'));
    mkdirSync(run.path);
    await writeReport(run, { ...options, models: [{ ...options.models[0], images: images.slice(0, 3) }] });
    expect([...readFileSync(run.report, 'utf8').matchAll(/Test image \d+\./g)]).toHaveLength(3);
  });

  test('a log that is damaged is an error that names it, and no file is half written', async () => {
    const run = runFolder(join(folder, 'damaged'));
    mkdirSync(run.path);
    writeFileSync(run.report, 'the old report');
    writeFileSync(run.log, '{ "model": ');
    await expect(writeReport(run, options)).rejects.toThrow(/metrics\.jsonl' is no JSON/);
    expect(readdirSync(run.path).toSorted()).toEqual(['metrics.jsonl', 'report.html']);
    expect(readFileSync(run.report, 'utf8')).toBe('the old report');
  });

  test('into a folder that is not there is an error, and leaves nothing', async () => {
    const run = runFolder(join(folder, 'missing'));
    await expect(writeReport(run, options)).rejects.toThrow(RunFolderError);
  });
});
