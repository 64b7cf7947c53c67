// Proves that a heatmap says what the numbers say: zero is neutral, the scale is symmetric, nothing is hidden.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { type ColorMapName, colorizer, colorMaps, notFiniteColor } from '../lrp/color-maps.ts';
import { renderHeatmap } from '../lrp/heatmap.ts';
import { colorsOf } from './pictures.ts';

const names = Object.keys(colorMaps) as ColorMapName[];
const diverging = names.filter((name) => 'negative' in colorMaps[name]);
const oneSided = names.filter((name) => !('negative' in colorMaps[name]));

function row(values: number[], colorMap?: ColorMapName, range?: number): number[][] {
  return colorsOf(renderHeatmap(values, { height: 1, width: values.length, colorMap, range }));
}

describe('colours', () => {
  // Written out here on purpose: [centre, -range, +range].
  test.each<[ColorMapName, number[], number[], number[]]>([
    ['bwr', [255, 255, 255], [0, 0, 255], [255, 0, 0]],
    ['seismic', [208, 208, 208], [0, 0, 208], [208, 0, 0]],
    ['coldnhot', [0, 0, 0], [0, 255, 255], [255, 255, 255]],
    ['RdBu_r', [247, 247, 247], [5, 48, 97], [103, 0, 31]],
    ['gray', [0, 0, 0], [255, 255, 255], [255, 255, 255]],
    ['hot', [0, 0, 0], [255, 255, 255], [255, 255, 255]],
  ])(
    '%s shows zero as exactly its centre colour and the ends of the range as its end colours',
    (name, ...expected) => {
      expect(row([0, -0, -3, 3], name)).toEqual([expected[0], expected[0], expected[1], expected[2]]);
    },
  );

  test.each<[ColorMapName, number, number[]]>([
    ['bwr', 0.5, [255, 128, 128]],
    ['bwr', -0.5, [128, 128, 255]],
    ['seismic', -0.5, [104, 104, 208]],
    ['coldnhot', -0.5, [0, 0, 255]],
    ['coldnhot', 0.5, [255, 128, 0]],
    ['coldnhot', 1 / 3, [255, 0, 0]],
    ['RdBu_r', 0.2, [253, 219, 199]],
    ['RdBu_r', -0.8, [33, 102, 172]],
    ['gray', 0.2, [51, 51, 51]],
    ['hot', 2 / 3, [255, 255, 0]],
  ])('%s shows %f of the range as %j', (name, v, expected) => {
    expect(row([v], name, 1)).toEqual([expected]);
  });

  test.each(['bwr', 'seismic'] as const)('%s shows R and -R with red and blue exchanged', (name) => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), (v) => {
        const [r, g, b] = colorizer(name)(v);
        expect(colorizer(name)(-v)).toEqual([b, g, r]);
      }),
      { seed: 2, numRuns: 200 },
    );
  });

  test.each(oneSided)('%s shows the magnitude of relevance', (name) => {
    const values = [0.1, 0.5, 0.9];
    expect(row(values, name, 1)).toEqual(
      row(
        values.map((v) => -v),
        name,
        1,
      ),
    );
  });

  test.each(diverging)(
    '%s never shows relevance against the class in a colour of relevance for it',
    (name) => {
      const steps = Array.from({ length: 100 }, (_, i) => (i + 1) / 100);
      // Colours this close to the centre may round to it; from 1/100 of the range on they may not.
      const against = new Set(steps.map((v) => String(colorizer(name)(-v))));
      expect(steps.filter((v) => against.has(String(colorizer(name)(v))))).toEqual([]);
    },
  );

  test.each(names)('%s moves away from zero in small steps', (name) => {
    for (let i = -1000; i < 1000; i++) {
      const [a, b] = [colorizer(name)(i / 1000), colorizer(name)((i + 1) / 1000)];
      expect(Math.max(...a.map((value, c) => Math.abs(value - b[c])))).toBeLessThanOrEqual(2);
    }
  });

  test.each(names)('%s has no colour that means "not a number"', (name) => {
    for (let i = -1000; i <= 1000; i++) expect(colorizer(name)(i / 1000)).not.toEqual(notFiniteColor);
  });

  test('an unknown map is refused, built-in names included', () => {
    expect(() => colorizer('jet' as ColorMapName)).toThrow(/no map 'jet'; choose one of bwr, seismic, /);
    expect(() => colorizer('toString' as ColorMapName)).toThrow(UsageError);
  });
});

describe('heatmaps', () => {
  test('a map of zeros is the centre colour everywhere', () => {
    const heatmap = renderHeatmap(new Float32Array(6), { height: 2, width: 3 });
    expect(colorsOf(heatmap)).toEqual(Array(6).fill([255, 255, 255]));
    expect(heatmap.range).toBe(0);
  });

  test('channels are added up, pixel by pixel', () => {
    const relevance = [1, 2, 3, 4, -1, 2, 5, -8, 0, 0, 0, 0];
    const heatmap = renderHeatmap(relevance, { channels: 3, height: 2, width: 2 });
    expect(heatmap.rgba).toEqual(renderHeatmap([0, 4, 8, -4], { height: 2, width: 2 }).rgba);
  });

  test('without a range the largest magnitude gets the end colour, whatever its sign', () => {
    const heatmap = renderHeatmap([1, -4, 2], { height: 1, width: 3 });
    expect(heatmap.range).toBe(4);
    expect(colorsOf(heatmap)[1]).toEqual([0, 0, 255]);
    expect(colorsOf(heatmap)[2]).toEqual([255, 128, 128]);
  });

  test('with a common range equal relevance has equal colour in two maps', () => {
    expect(row([1, 2], 'bwr', 8)[0]).toEqual(row([1, 8], 'bwr', 8)[0]);
    expect(row([1, 2], 'bwr', 8)[0]).not.toEqual(row([1, 2], 'bwr')[0]);
  });

  test('what lies beyond the range gets the end colour and is counted', () => {
    const heatmap = renderHeatmap([-5, 5, 1, -1], { height: 2, width: 2, range: 1 });
    expect(colorsOf(heatmap)).toEqual([
      [0, 0, 255],
      [255, 0, 0],
      [255, 0, 0],
      [0, 0, 255],
    ]);
    expect(heatmap.clippedCount).toBe(2);
  });

  test('a range of zero, as that of a row of empty maps, still tells zero from relevance', () => {
    expect(row([0, 1e-30, -1e-30], 'bwr', 0)).toEqual([
      [255, 255, 255],
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  test('the smallest and the largest numbers are drawn like any other', () => {
    expect(row([5e-324, -5e-324, 0])).toEqual([
      [255, 0, 0],
      [0, 0, 255],
      [255, 255, 255],
    ]);
    expect(row([1.7e308, -1.7e308])).toEqual([
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  test('NaN and infinity have their own colour, are counted, and leave scale and sum alone', () => {
    const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3, -2];
    const heatmap = renderHeatmap(values, { height: 1, width: 5 });
    expect(colorsOf(heatmap).slice(0, 4)).toEqual([
      [0, 255, 0],
      [0, 255, 0],
      [0, 255, 0],
      [255, 0, 0],
    ]);
    const { range, sum, clippedCount, notFiniteCount } = heatmap;
    expect({ range, sum, clippedCount, notFiniteCount }).toEqual({
      range: 3,
      sum: 1,
      clippedCount: 0,
      notFiniteCount: 3,
    });
  });

  test('NaN in one channel is not hidden by the others', () => {
    const heatmap = renderHeatmap([1, Number.NaN], { channels: 2, height: 1, width: 1 });
    expect(colorsOf(heatmap)).toEqual([[...notFiniteColor]]);
  });

  test('the sum is the relevance of the whole map, clipped or not', () => {
    expect(renderHeatmap([1, -4, 2], { height: 1, width: 3, range: 1 }).sum).toBe(-1);
  });

  test.each([
    [{ height: 2, width: 2 }, /5 values do not fill \[1, 2, 2\]/],
    [{ height: 5, width: 1, channels: 0 }, /do not fill \[0, 5, 1\]/],
    [{ height: -5, width: -1 }, /do not fill \[1, -5, -1\]/],
  ])('sizes %j do not fit five values', (options, expected) => {
    expect(() => renderHeatmap([1, 2, 3, 4, 5], options)).toThrow(ShapeError);
    expect(() => renderHeatmap([1, 2, 3, 4, 5], options)).toThrow(expected);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('a range of %f is refused', (range) => {
    expect(() => renderHeatmap([1], { height: 1, width: 1, range })).toThrow(UsageError);
  });
});
