// Numbers as people read them in reports.
import type { Estimate } from '../evaluation/estimate.ts';
import { type Html, html } from './html.ts';

/** With a true minus, and without one where nothing is left of the number. */
function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '\u2212');
}

/** `95.7 %`, not broken over lines; a dash for a number that is not defined. */
export function percent(value: number | null, digits = 1): string {
  return value === null ? '–' : `${fixed(100 * value, digits)}\u00a0%`;
}

/** Four significant digits at most, without an exponent where one can be avoided. */
export function plain(value: number | null): string {
  if (value === null) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replaceAll('-', '\u2212');
}

function cell(estimate: Estimate | null | undefined, format: (value: number) => string, unit = ''): Html {
  if (!estimate || estimate.value === null) return html`<td class="n">–</td>`;
  const { value, low, high } = estimate;
  const interval = low !== null && high !== null && `${format(low)} to ${format(high)}`;
  return html`<td class="n">${format(value)}${unit}${interval && html`<small>${interval}</small>`}</td>`;
}

/** A share in per cent with its interval below it in small print. */
export const shareCell = (estimate: Estimate | null | undefined, digits = 1): Html =>
  cell(estimate, (value) => fixed(100 * value, digits), '\u00a0%');

/** A difference of shares, in percentage points. */
export const pointsCell = (estimate: Estimate | null | undefined): Html =>
  cell(estimate, (value) => fixed(100 * value, 1), ' points');

/** A number with its interval below it in small print. */
export const numberCell = (estimate: Estimate | null | undefined, digits = 3): Html =>
  cell(estimate, (value) => fixed(value, digits));
