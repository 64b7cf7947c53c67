// A comparison as one HTML page that needs nothing but itself.
import type { Estimate } from '../evaluation/estimate.ts';
import { evenTicks, type IntervalAxis, intervalChart } from '../report/charts.ts';
import { Html, type HtmlValue, html } from '../report/html.ts';
import { style } from '../report/style.ts';
import type { MethodSummary, Spread } from './summary.ts';
import {
  byBenchmark,
  emptyNote,
  emptyText,
  intervalText,
  percentText,
  type Titles,
  timeText,
} from './tables.ts';

export interface PageInput {
  readonly summaries: readonly MethodSummary[];
  readonly titles: Titles;
  /** Methods that are no competitors but bounds, since they are shown what the others are not. */
  readonly bounds: ReadonlySet<string>;
  /** What is compared here: one sentence on sizes and budget. */
  readonly setting: string;
  readonly adapters: readonly string[];
  /** What is wrong with the cells together; null if nothing is known. */
  readonly warning: string | null;
  readonly date: string;
}

/** Our own methods, the bounds and all others: the page's three colours. */
const colorOf = (method: string, bounds: ReadonlySet<string>): number =>
  bounds.has(method) ? 2 : method.startsWith('isnet') ? 1 : 0;

/**
 * The page: for each benchmark accuracies, background shares and costs with intervals over seeds, best first, then all
 * numbers and their commands.
 */
export function comparisonPage(input: PageInput): string {
  const { summaries, setting, adapters, warning, date } = input;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Who ignores backgrounds?</title>
<style>${new Html(style)}</style></head><body>
<header><h1>Comparison of ${date.slice(0, 10)}</h1>
<p>${setting}</p>${warning && html`<p>${warning}</p>`}
<p class="note">Computed on ${adapters.join('; ')}. Intervals are 95 % intervals of the mean over seeds (Student's t); a single seed has none. <span class="s1"><i class="dot"></i>ISNets</span> <span class="s0"><i class="dot"></i>others</span> <span class="s2"><i class="dot"></i>bounds: trained without the bias, or given the mask at test time</span></p></header>
${byBenchmark(summaries).map((part) => benchmarkSection(part, input))}
</body></html>
`;
  return page.text;
}

type Part = ReturnType<typeof byBenchmark>[number];

/** A number of each method, and the line that it is drawn on. */
interface Measure {
  readonly title: string;
  readonly of: (row: MethodSummary) => Estimate | null | undefined;
  readonly isBetterHigh: boolean;
  readonly isTime?: true;
  /** The whole per cent if left out. */
  readonly axis?: (values: readonly number[]) => IntervalAxis;
}

const accuracyOf = (set: string): Measure => ({
  title: set,
  of: ({ accuracy }) => accuracy[set],
  isBetterHigh: true,
});

/** From 0 to the largest number, or to the end of its interval. */
const fromZero =
  (text: (value: number) => string): Measure['axis'] =>
  (values) => ({
    ticks: evenTicks(0, Math.max(...values)),
    tickText: (tick) => tick.toLocaleString('en'),
    valueText: text,
  });

const milliseconds = fromZero((value) => value.toPrecision(3));

const otherMeasures: readonly Measure[] = [
  {
    title: 'background relevance (LRP)',
    of: ({ backgroundShare }) => backgroundShare,
    isBetterHigh: false,
  },
  {
    title: 'background share of Grad-CAM',
    of: ({ gradCamBackgroundShare }) => gradCamBackgroundShare,
    isBetterHigh: false,
  },
  {
    title: 'training milliseconds per image',
    of: ({ trainMsPerImage }) => trainMsPerImage,
    isBetterHigh: false,
    isTime: true,
    axis: milliseconds,
  },
  {
    title: 'inference milliseconds',
    of: ({ inferenceMs }) => inferenceMs,
    isBetterHigh: false,
    isTime: true,
    axis: milliseconds,
  },
  {
    title: 'parameters at run time',
    of: ({ parameters }) => ({ value: parameters.runTime, low: null, high: null }),
    isBetterHigh: false,
    axis: fromZero((value) => value.toLocaleString('en')),
  },
];

/** The methods of which the number is known, best first. */
function measureChart(
  { title, of, isBetterHigh, isTime, axis }: Measure,
  rows: readonly MethodSummary[],
  { titles, bounds }: PageInput,
): Html | null {
  const known = rows.flatMap((row) => {
    const estimate = of(row);
    return estimate && estimate.value !== null ? [{ row, estimate, value: estimate.value }] : [];
  });
  if (known.length === 0) return null;
  const ranked = known.toSorted((a, b) => (isBetterHigh ? b.value - a.value : a.value - b.value));
  const lines = ranked.map(({ row: { method, isTimedAlone }, estimate }) => ({
    title: `${titles[method] ?? method}${isTime && !isTimedAlone ? ' *' : ''}`,
    estimate,
    color: colorOf(method, bounds),
  }));
  const ends = known.map(({ value, estimate }) => estimate.high ?? value);
  return intervalChart([{ title, rows: lines }], { titleWidth: 190, what: title, axis: axis?.(ends) });
}

function benchmarkSection({ benchmark, sets, rows }: Part, input: PageInput): Html {
  const { titles } = input;
  return html`<section><h2>${titles[benchmark] ?? benchmark}</h2>
${[...sets.map(accuracyOf), ...otherMeasures].map((measure) => measureChart(measure, rows, input))}
<div class="scroll"><table><thead><tr><th>method</th>${sets.map(numberHead)}${['background relevance', 'Grad-CAM background', 'its empty maps', 'training ms per image', 'inference ms', 'parameters at run time', 'in training'].map(numberHead)}</tr></thead><tbody>
${rows.map(
  (row) =>
    html`<tr><td>${titles[row.method] ?? row.method}</td>${sets.map((set) => accuracyCell(row.accuracy[set], row))}${[row.backgroundShare, row.gradCamBackgroundShare].map((share) => html`<td class="n">${shareText(share)}</td>`)}${[
      emptyText(row),
      timeText(row.trainMsPerImage, row),
      timeText(row.inferenceMs, row),
      row.parameters.runTime.toLocaleString('en'),
      row.parameters.training.toLocaleString('en'),
    ].map((text) => html`<td class="n">${text}</td>`)}</tr>`,
)}</tbody></table></div>${emptyNoteOf(rows)}
<details><summary>Commands that repeat single cells</summary>${rows.map((row) => row.commands.map((command) => html`<div class="note"><code>${command}</code></div>`))}</details></section>`;
}

function emptyNoteOf(rows: readonly MethodSummary[]): Html | null {
  const note = emptyNote(rows);
  return note === null ? null : html`<p class="note">${note}</p>`;
}

const numberHead = (text: string): HtmlValue => html`<th class="n">${text}</th>`;

function accuracyCell(spread: Spread | undefined, { seeds, commands }: MethodSummary): HtmlValue {
  const title = seeds.map((seed, i) => `seed ${seed}: ${commands[i]}`).join('\n');
  return html`<td class="n" title="${title}">${shareText(spread)}</td>`;
}

/** In per cent, the interval below it; a dash for none. */
function shareText(spread: Spread | null | undefined): HtmlValue {
  if (!spread) return '-';
  const interval = intervalText(spread);
  return html`${percentText(spread)}${interval && html`<small>${interval}</small>`}`;
}
