// A comparison as one HTML page that needs nothing but itself.
import { intervalChart } from '../report/charts.ts';
import { Html, type HtmlValue, html } from '../report/html.ts';
import { style } from '../report/style.ts';
import type { MethodSummary, Spread } from './summary.ts';
import { byBenchmark, percentText, type Titles } from './tables.ts';

export interface PageInput {
  readonly summaries: readonly MethodSummary[];
  readonly titles: Titles;
  /** Methods that are no competitors but bounds, since they are shown what the others are not. */
  readonly bounds: ReadonlySet<string>;
  /** What is compared here: one sentence on sizes and budget. */
  readonly setting: string;
  readonly adapters: readonly string[];
  readonly date: string;
}

/** Our own methods, the bounds and all others: the page's three colours. */
const colorOf = (method: string, bounds: ReadonlySet<string>): number =>
  bounds.has(method) ? 2 : method.startsWith('isnet') ? 1 : 0;

/** The page: for each benchmark accuracies with intervals over seeds, best first, then all numbers and their commands. */
export function comparisonPage(input: PageInput): string {
  const { summaries, setting, adapters, date } = input;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Who ignores backgrounds?</title>
<style>${new Html(style)}</style></head><body>
<header><h1>Comparison of ${date.slice(0, 10)}</h1>
<p>${setting}</p>
<p class="note">Computed on ${adapters.join('; ')}. Intervals are 95 % intervals of the mean over seeds (Student's t); a single seed has none. <span class="s1"><i class="dot"></i>ISNets</span> <span class="s0"><i class="dot"></i>others</span> <span class="s2"><i class="dot"></i>bounds: trained without the bias, or given the mask at test time</span></p></header>
${byBenchmark(summaries).map((part) => benchmarkSection(part, input))}
</body></html>
`;
  return page.text;
}

type Part = ReturnType<typeof byBenchmark>[number];

function benchmarkSection({ benchmark, sets, rows }: Part, { titles, bounds }: PageInput): Html {
  return html`<section><h2>${titles[benchmark] ?? benchmark}</h2>
${sets.map((set) => {
  const ranked = rows
    .filter(({ accuracy }) => accuracy[set])
    .toSorted((a, b) => (b.accuracy[set].value ?? 0) - (a.accuracy[set].value ?? 0));
  const lines = ranked.map(({ method, accuracy }) => ({
    title: titles[method] ?? method,
    estimate: accuracy[set],
    color: colorOf(method, bounds),
  }));
  return intervalChart([{ title: set, rows: lines }], { titleWidth: 190 });
})}
<div class="scroll"><table><thead><tr><th>method</th>${sets.map(numberHead)}${['background relevance', 'Grad-CAM background', 'training ms per image', 'inference ms', 'parameters at run time', 'in training'].map(numberHead)}</tr></thead><tbody>
${rows.map(
  (row) =>
    html`<tr><td>${titles[row.method] ?? row.method}</td>${sets.map((set) => accuracyCell(row.accuracy[set], row))}${[
      row.backgroundShare ? percentText(row.backgroundShare) : '-',
      row.gradCamBackgroundShare ? percentText(row.gradCamBackgroundShare) : '-',
      spreadText(row.trainMsPerImage),
      spreadText(row.inferenceMs),
      row.parameters.runTime.toLocaleString('en'),
      row.parameters.training.toLocaleString('en'),
    ].map((text) => html`<td class="n">${text}</td>`)}</tr>`,
)}</tbody></table></div>
<details><summary>Commands that repeat single cells</summary>${rows.map((row) => row.commands.map((command) => html`<div class="note"><code>${command}</code></div>`))}</details></section>`;
}

const numberHead = (text: string): HtmlValue => html`<th class="n">${text}</th>`;

function accuracyCell(spread: Spread | undefined, { seeds, commands }: MethodSummary): HtmlValue {
  if (!spread) return html`<td class="n">-</td>`;
  const { low, high } = spread;
  const interval =
    low === null || high === null
      ? null
      : html`<small>${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}</small>`;
  const title = seeds.map((seed, i) => `seed ${seed}: ${commands[i]}`).join('\n');
  return html`<td class="n" title="${title}">${percentText(spread)}${interval}</td>`;
}

const spreadText = ({ value, deviation }: Spread): string => {
  if (value === null) return '-';
  return deviation === null ? value.toPrecision(3) : `${value.toPrecision(3)} ± ${deviation.toPrecision(2)}`;
};
