// Charts as inline SVG: training curves, accuracies with intervals, reliability. Colours come from the page's style.
import type { ReliabilityBin } from '../evaluation/calibration.ts';
import type { Estimate } from '../evaluation/estimate.ts';
import { type Html, html } from './html.ts';
import { percent, plain } from './numbers.ts';

/** A line of a chart: points from left to right, and which of the page's colours it has. */
export interface Line {
  readonly title: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** 0, 1, ..: `s0`, `s1`, .. in the style. */
  readonly color: number;
  readonly isDashed?: boolean;
}

const WIDTH = 340;
const HEIGHT = 200;
const box = { left: 46, right: 18, top: 8, bottom: 30 } as const;

/** From a value to a pixel. */
type Scale = (value: number) => number;

const scaleX = (from: number, to: number): Scale => {
  const width = WIDTH - box.left - box.right;
  return (x) => box.left + (to === from ? width / 2 : (width * (x - from)) / (to - from));
};

const scaleY = (from: number, to: number): Scale => {
  const height = HEIGHT - box.top - box.bottom;
  return (y) => HEIGHT - box.bottom - (to === from ? height / 2 : (height * (y - from)) / (to - from));
};

const px = (value: number): string => value.toFixed(1);

/**
 * Losses over epochs. The vertical axis is logarithmic where the values span more than a factor of thirty, since a loss
 * that falls from 1 to 0.001 is otherwise a line along the floor.
 */
export function lineChart(title: string, lines: readonly Line[], xTitle: string): Html | null {
  const points = lines.flatMap((line) => line.points).filter(([, y]) => Number.isFinite(y));
  if (points.length === 0) return null;
  const ys = points.map(([, y]) => y);
  const xs = points.map(([x]) => x);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const isLog = low > 0 && high / low > 30;
  const of = (y: number): number => (isLog ? Math.log10(y) : y);
  const ticks = isLog ? decades(low, high) : evenTicks(Math.min(0, low), high);
  const x = scaleX(Math.min(...xs), Math.max(...xs));
  const y = scaleY(of(ticks[0]), of(ticks[ticks.length - 1]));
  const xTicks = wholeTicks(Math.min(...xs), Math.max(...xs));
  return html`<figure class="chart"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
${ticks.map((tick) => gridLine(y(of(tick)), plain(tick)))}
${xTicks.map((tick) => html`<text class="t" x="${px(x(tick))}" y="${HEIGHT - box.bottom + 14}" text-anchor="middle">${tick}</text>`)}
<text class="t" x="${WIDTH - box.right}" y="${HEIGHT - 3}" text-anchor="end">${xTitle}</text>
${lines.map((line) => drawLine(line, x, (value) => y(of(value))))}
</svg><figcaption>${title}${isLog && ' (logarithmic)'}<br>${lines.map(legendEntry)}</figcaption></figure>`;
}

const gridLine = (y: number, label: string): Html =>
  html`<line class="g" x1="${box.left}" x2="${WIDTH - box.right}" y1="${px(y)}" y2="${px(y)}"/><text class="t" x="${box.left - 4}" y="${px(y + 3)}" text-anchor="end">${label}</text>`;

function drawLine({ points, color, isDashed, title }: Line, x: Scale, y: Scale): Html {
  const finite = points.filter(([, value]) => Number.isFinite(value));
  const path = finite.map(([a, b]) => `${px(x(a))},${px(y(b))}`).join(' ');
  return html`<g class="s${color}"><polyline points="${path}"${isDashed ? html` stroke-dasharray="4 3"` : null}/>${finite.map(
    ([a, b]) =>
      html`<circle cx="${px(x(a))}" cy="${px(y(b))}" r="${isDashed ? 2 : 2.5}"><title>${`${title}, ${a}: ${plain(b)}`}</title></circle>`,
  )}</g>`;
}

const legendEntry = ({ title, color, isDashed }: Line): Html =>
  html`<span class="key"><svg class="k s${color}" viewBox="0 0 18 8"><polyline points="0,4 18,4"${isDashed ? html` stroke-dasharray="4 3"` : null}/></svg>${title}</span> `;

/** Powers of ten that enclose the values. */
function decades(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** Three to six round numbers that enclose the values. */
export function evenTicks(low: number, high: number): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function wholeTicks(low: number, high: number): number[] {
  return [...new Set(evenTicks(low, high).map(Math.round))].filter((tick) => tick >= low && tick <= high);
}

/** One number of a model with its interval. */
export interface IntervalRow {
  readonly title: string;
  readonly estimate: Estimate;
  readonly color: number;
}

/** What a chart's numbers lie on: marks from its left end to its right end, and how a mark and a number are written. */
export interface IntervalAxis {
  readonly ticks: readonly number[];
  readonly tickText: (tick: number) => string;
  readonly valueText: (value: number) => string;
}

const shareAxis: IntervalAxis = {
  ticks: [0, 0.25, 0.5, 0.75, 1],
  tickText: (share) => `${100 * share} %`,
  valueText: (share) => percent(share),
};

/**
 * Numbers as points on a line, with their intervals: groups of rows, one per model. The line goes from 0 to 100 % if left
 * out; intervals end where it ends.
 */
export function intervalChart(
  groups: readonly { title: string; rows: readonly IntervalRow[] }[],
  { titleWidth = 92, axis = shareAxis, what = 'accuracy' } = {},
): Html {
  const [rowHeight, left, right, width] = [20, titleWidth, 58, 560];
  const lines = groups.flatMap(({ title, rows }) => [
    { title, row: null },
    ...rows.map((row) => ({ title: '', row })),
  ]);
  const height = lines.length * rowHeight + 22;
  const [first, last] = [axis.ticks[0], axis.ticks[axis.ticks.length - 1]];
  const x = (value: number): number =>
    left + ((width - left - right) * (Math.min(Math.max(value, first), last) - first)) / (last - first);
  return html`<svg class="intervals" viewBox="0 0 ${width} ${height}" role="img" aria-label="${what} with 95 % intervals">
${axis.ticks.map(
  (tick) =>
    html`<line class="g" x1="${px(x(tick))}" x2="${px(x(tick))}" y1="4" y2="${height - 18}"/><text class="t" x="${px(x(tick))}" y="${height - 5}" text-anchor="middle">${axis.tickText(tick)}</text>`,
)}
${lines.map(({ title, row }, i) => {
  const y = 14 + i * rowHeight;
  if (!row) return html`<text class="h" x="0" y="${y + 4}">${title}</text>`;
  const { value, low, high } = row.estimate;
  if (value === null) return null;
  return html`<g class="s${row.color}"><text class="t" x="${left - 8}" y="${y + 4}" text-anchor="end">${row.title}</text>
${low !== null && high !== null && html`<line class="bar" x1="${px(x(low))}" x2="${px(x(high))}" y1="${y}" y2="${y}"/>`}
<circle cx="${px(x(value))}" cy="${y}" r="4.5"/><text class="t" x="${width}" y="${y + 4}" text-anchor="end">${axis.valueText(value)}</text></g>`;
})}
</svg>`;
}

/** Accuracy against confidence, one circle per bin, as large as its share of the images; the diagonal is calibrated. */
export function reliabilityChart(
  title: string,
  models: readonly { title: string; bins: readonly ReliabilityBin[]; color: number }[],
): Html {
  const x = scaleX(0, 1);
  const y = scaleY(0, 1);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return html`<figure class="chart"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">
${ticks.map((tick) => gridLine(y(tick), percent(tick, 0)))}
${ticks.map((tick) => html`<text class="t" x="${px(x(tick))}" y="${HEIGHT - box.bottom + 14}" text-anchor="middle">${percent(tick, 0)}</text>`)}
<text class="t" x="${WIDTH - box.right}" y="${HEIGHT - 3}" text-anchor="end">confidence</text>
<line class="g" stroke-dasharray="3 3" x1="${px(x(0))}" y1="${px(y(0))}" x2="${px(x(1))}" y2="${px(y(1))}"/>
${models.map(({ bins, color }) => {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  return html`<g class="s${color} bins">${bins.map(
    ({ count, confidence, accuracy }) =>
      confidence !== null &&
      accuracy !== null &&
      html`<circle cx="${px(x(confidence))}" cy="${px(y(accuracy))}" r="${px(2 + 8 * Math.sqrt(count / total))}"><title>${`${count} images: confidence ${percent(confidence)}, right ${percent(accuracy)}`}</title></circle>`,
  )}</g>`;
})}
</svg><figcaption>${title}: accuracy against confidence; the dashed line is calibrated<br>${models.map(({ title: name, color }) => legendEntry({ title: name, points: [], color }))}</figcaption></figure>`;
}
