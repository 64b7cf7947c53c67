// Proves that the bars of a leak picture are as long, and divided, as the numbers of the report.
import { describe, expect, test } from 'vitest';
import { UsageError } from '../engine/errors.ts';
import { drawText, shortNumber, textSize } from '../lrp/digits.ts';
import { type LeakCause, type LeakReport, type LeakRow, leakCauses } from '../lrp/leak.ts';
import { gainColor, leakColors, leakParts, leakPicture } from '../lrp/leak-picture.ts';
import type { Picture } from '../lrp/picture.ts';
import { colorsOf, drawn } from './pictures.ts';

/** A row that adds up: what is not lost is handed on. Each loss is one number per map and sample. */
function rowOf(atOutput: number[], losses: Partial<Record<LeakCause, number[]>> = {}): LeakRow {
  const zeros = atOutput.map(() => 0);
  const leaks = Object.fromEntries(leakCauses.map((cause) => [cause, losses[cause] ?? zeros])) as Record<
    LeakCause,
    number[]
  >;
  const atInput = atOutput.map((value, i) =>
    leakCauses.reduce((rest, cause) => rest - leaks[cause][i], value),
  );
  return { name: 'layer', kind: 'Linear', rule: 'epsilon', atOutput, atInput, leaks, unexplained: zeros };
}

const report = (...rows: LeakRow[]): LeakReport => ({ rows });

/** Runs of colour along line y, up to the first white: [colour, pixels]. */
function runs(picture: Picture, y: number): [string, number][] {
  const { width, rgba } = picture;
  const line = colorsOf({ width, height: 1, rgba: rgba.slice(4 * y * width, 4 * (y + 1) * width) });
  const found: [string, number][] = [];
  for (const color of line.map(String)) {
    if (color === '255,255,255') break;
    if (found.at(-1)?.[0] === color) found[found.length - 1][1]++;
    else found.push([color, 1]);
  }
  return found;
}

const lengthOf = (picture: Picture, y: number) =>
  runs(picture, y).reduce((sum, [, pixels]) => sum + pixels, 0);

/** Width that leaves 100 pixels for the longest bar. */
const widthFor = (...labels: string[]) => 100 + 2 + Math.max(...labels.map((label) => textSize(label).width));

describe('leak pictures', () => {
  test('have bars in proportion to the magnitude of relevance at the output, in the order of the report', () => {
    const picture = leakPicture(report(rowOf([2]), rowOf([-8]), rowOf([0]), rowOf([4])), {
      width: widthFor('-8'),
      rowHeight: 6,
    });
    expect([picture.width, picture.height]).toEqual([109, 24]);
    expect([0, 6, 12, 18].map((y) => lengthOf(picture, y))).toEqual([25, 100, 0, 50]);
  });

  test('divide a bar among what is passed on and every cause, in the colours of the legend', () => {
    const losses = { bias: [10], stabilizer: [20], dead: [5], padding: [15], other: [10] };
    const picture = leakPicture(report(rowOf([100], losses)), { width: widthFor('100'), rowHeight: 6 });
    expect(runs(picture, 0)).toEqual([
      [String(leakColors['passed on']), 40],
      [String(leakColors.bias), 10],
      [String(leakColors.stabilizer), 20],
      [String(leakColors.dead), 5],
      [String(leakColors.padding), 15],
      [String(leakColors.other), 10],
    ]);
  });

  test('show relevance against the class that is lost like any other loss', () => {
    const picture = leakPicture(report(rowOf([-4], { bias: [-1] })), { width: widthFor('-4'), rowHeight: 6 });
    expect(runs(picture, 0)).toEqual([
      [String(leakColors['passed on']), 75],
      [String(leakColors.bias), 25],
    ]);
  });

  test('show a bias that adds relevance pale, so that it does not look like a loss', () => {
    const picture = leakPicture(report(rowOf([2], { bias: [-1] })), { width: widthFor('2'), rowHeight: 6 });
    expect(runs(picture, 0)).toEqual([
      [String(leakColors['passed on']), 75],
      [String(gainColor('bias')), 25],
    ]);
  });

  test('fill the whole bar however the parts round', () => {
    const third = 1 / 3;
    const picture = leakPicture(report(rowOf([1], { bias: [third], dead: [third] })), {
      width: widthFor('1'),
      rowHeight: 6,
    });
    expect(runs(picture, 0).map(([, pixels]) => pixels)).toEqual([33, 34, 33]);
  });

  test('write the relevance at the output behind the bar', () => {
    const width = widthFor('1.25');
    const picture = leakPicture(report(rowOf([1.25])), { width, rowHeight: 6 });
    const blank = drawn(...Array(5).fill('w'.repeat(width)));
    const expected = colorsOf(drawText(blank, shortNumber(1.25), { x: 102, y: 0 }));
    const actual = colorsOf(picture);
    for (let i = 0; i < expected.length; i++) {
      if (i % width >= 100) expect(actual[i], `pixel ${i}`).toEqual(expected[i]);
    }
  });

  test('leave a white line below each bar', () => {
    const picture = leakPicture(report(rowOf([1]), rowOf([1])), { rowHeight: 8 });
    expect([6, 7, 8].map((y) => lengthOf(picture, y) > 0)).toEqual([true, false, true]);
  });

  test('show the map and sample that was asked for', () => {
    const two = report(rowOf([1, 4], { dead: [0, 1] }), rowOf([1, 1]));
    const options = { width: widthFor('4'), rowHeight: 6 };
    expect(lengthOf(leakPicture(two, options), 6)).toBe(100);
    const second = leakPicture(two, { ...options, index: 1 });
    expect(runs(second, 0)).toEqual([
      [String(leakColors['passed on']), 75],
      [String(leakColors.dead), 25],
    ]);
    expect(lengthOf(second, 6)).toBe(25);
  });

  test('of a report of zeros have no bars', () => {
    expect(lengthOf(leakPicture(report(rowOf([0]))), 0)).toBe(0);
  });

  test('have a legend whose colours, pale ones included, all differ', () => {
    const colors = leakParts.flatMap((part) => [String(leakColors[part]), String(gainColor(part))]);
    expect(new Set([...colors, '255,255,255']).size).toBe(2 * 6 + 1);
  });

  test.each<[string, LeakReport, object, RegExp]>([
    ['an empty report', report(), {}, /has no rows/],
    ['an index beyond the report', report(rowOf([1])), { index: 1 }, /no index 1 in a report of 1/],
    ['rows too low for the numbers', report(rowOf([1])), { rowHeight: 5 }, /at least 6 x 6/],
    ['a width without room for bars', report(rowOf([1])), { width: 5 }, /5 x 9 per row has no room/],
    ['NaN', report(rowOf([1]), rowOf([Number.NaN])), {}, /row 1 \(layer 'layer', Linear\) is not finite/],
  ])('of %s are refused', (_, leaks, options, expected) => {
    expect(() => leakPicture(leaks, options)).toThrow(UsageError);
    expect(() => leakPicture(leaks, options)).toThrow(expected);
  });
});
