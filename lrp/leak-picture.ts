// The leak report at a glance: a bar per step of the walk, coloured by where its relevance went.
import { UsageError } from '../engine/errors.ts';
import type { Rgb } from './color-maps.ts';
import { drawText, fillBox, paper, shortNumber, textSize } from './digits.ts';
import { type LeakReport, type LeakRow, leakCauses } from './leak.ts';
import type { Picture } from './picture.ts';

/** Parts of a bar from left to right. */
export const leakParts = ['passed on', ...leakCauses] as const;
export type LeakPart = (typeof leakParts)[number];

/** Colours of the parts (Okabe and Ito's, and grey), to be named beside the picture: it has no words. */
export const leakColors: Readonly<Record<LeakPart, Rgb>> = {
  'passed on': [0, 114, 178],
  bias: [230, 159, 0],
  stabilizer: [240, 228, 66],
  dead: [120, 120, 120],
  padding: [204, 121, 167],
  other: [213, 94, 0],
};

/** Sizes in pixels, and the map and sample to show. */
export interface LeakPictureOptions {
  /** Counts maps first, then samples; 0 if left out. */
  readonly index?: number;
  /** Bars and numbers together, 320 if left out. */
  readonly width?: number;
  /** One pixel of it is the gap below the bar; 9 if left out. */
  readonly rowHeight?: number;
  /** Pixels per dot of the numbers, 1 if left out. */
  readonly scale?: number;
}

/** Colour of a part that has the sign against its bar: half way to white, for it adds relevance instead of losing it. */
export function gainColor(part: LeakPart): Rgb {
  const [r, g, b] = leakColors[part];
  return [Math.round((r + 255) / 2), Math.round((g + 255) / 2), Math.round((b + 255) / 2)];
}

/**
 * One bar per row of a leak report, top down from the output, as long as |relevance at the step's output| against the
 * largest, with that relevance as a number behind it. The parts share a bar by magnitude, in `leakColors`, and in
 * `gainColor` where the sign is against the bar's. Throws UsageError for an empty report, an index it does not have, sizes
 * without room for the bars, and for NaN or infinity.
 */
export function leakPicture({ rows }: LeakReport, options: LeakPictureOptions = {}): Picture {
  const { index = 0, width = 320, rowHeight = 9, scale = 1 } = options;
  const values = rows.map((row, i) => valuesOf(row, i, index));
  if (values.length === 0) throw new UsageError('leakPicture: the report has no rows; explain a layer');
  const labels = values.map(({ atOutput }) => shortNumber(atOutput));
  const text = textSize(
    labels.reduce((a, b) => (b.length > a.length ? b : a)),
    scale,
  );
  const gap = 2 * scale;
  const room = width - gap - text.width;
  if (!Number.isInteger(width) || room < 1 || !Number.isInteger(rowHeight) || rowHeight <= text.height) {
    throw new UsageError(
      `leakPicture: ${width} x ${rowHeight} per row has no room; pass whole sizes, at least ${gap + text.width + 1} x ${text.height + 1}`,
    );
  }
  const largest = Math.max(...values.map(({ atOutput }) => Math.abs(atOutput)));
  let picture = paper(width, rowHeight * rows.length);
  values.forEach(({ atOutput, parts }, i) => {
    const length = largest === 0 ? 0 : Math.round((room * Math.abs(atOutput)) / largest);
    const y = i * rowHeight;
    drawBar(picture, { x: 0, y, width: length, height: rowHeight - 1 }, atOutput, parts);
    const textY = y + Math.floor((rowHeight - 1 - text.height) / 2);
    picture = drawText(picture, labels[i], { x: length + gap, y: textY, scale });
  });
  return picture;
}

/** Relevance at the output of a step, and its parts in the order of `leakParts`. */
function valuesOf(row: LeakRow, i: number, index: number): { atOutput: number; parts: number[] } {
  if (!(index in row.atOutput)) {
    throw new UsageError(
      `leakPicture: there is no index ${index} in a report of ${row.atOutput.length} maps and samples; count from 0`,
    );
  }
  const atOutput = row.atOutput[index];
  const parts = [row.atInput[index], ...leakCauses.map((cause) => row.leaks[cause][index])];
  if (![atOutput, ...parts].every(Number.isFinite)) {
    throw new UsageError(
      `leakPicture: row ${i} (layer '${row.name}', ${row.kind}) is not finite: ${[atOutput, ...parts].join(', ')}; find the step where it begins with formatLeakReport`,
    );
  }
  return { atOutput, parts };
}

function drawBar(
  picture: Picture,
  bar: { x: number; y: number; width: number; height: number },
  atOutput: number,
  parts: readonly number[],
): void {
  const total = parts.reduce((sum, part) => sum + Math.abs(part), 0);
  let before = 0;
  leakParts.forEach((name, i) => {
    // Rounded edges, not rounded widths: the parts fill the bar without a gap.
    const left = Math.round((bar.width * before) / total);
    before += Math.abs(parts[i]);
    const right = Math.round((bar.width * before) / total);
    const color = parts[i] * Math.sign(atOutput) < 0 ? gainColor(name) : leakColors[name];
    fillBox(picture, { ...bar, x: bar.x + left, width: right - left }, color);
  });
}
