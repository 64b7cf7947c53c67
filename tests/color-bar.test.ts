// Proves that the scale beside a heatmap says what its colours mean, and that overlays and canvases show the same bytes.
import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from '../engine/errors.ts';
import { drawOnCanvas } from '../lrp/canvas.ts';
import { colorBar, withColorBar } from '../lrp/color-bar.ts';
import { type ColorMapName, colorMaps } from '../lrp/color-maps.ts';
import { drawText, glyphs, shortNumber, textSize } from '../lrp/digits.ts';
import { renderHeatmap } from '../lrp/heatmap.ts';
import { overlay } from '../lrp/overlay.ts';
import { type Picture, upscale } from '../lrp/picture.ts';
import { colorsOf, drawn } from './pictures.ts';

const names = Object.keys(colorMaps) as ColorMapName[];
const white = (width: number, height: number) => drawn(...Array(height).fill('w'.repeat(width)));
const at = ({ width, rgba }: Picture, x: number, y: number) => [
  ...rgba.subarray(4 * (y * width + x), 4 * (y * width + x) + 3),
];
const firstColumn = (picture: Picture) => Array.from({ length: picture.height }, (_, y) => at(picture, 0, y));
/** Ink of a part of a picture, as lines of letters. */
function inkOf(picture: Picture, left: number, top: number, width: number, height: number): string[] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => (at(picture, left + x, top + y)[0] === 0 ? 'k' : 'w')).join(''),
  );
}

describe('numbers', () => {
  test('are legible as their bitmaps', () => {
    expect(inkOf(drawText(white(11, 5), '-17', { x: 0, y: 0 }), 0, 0, 11, 5)).toEqual([
      'wwwwwkwwkkk',
      'wwwwkkwwwwk',
      'kkkwwkwwwwk',
      'wwwwwkwwwwk',
      'wwwwkkkwwwk',
    ]);
  });

  test('are drawn where and in the colour that was asked for, a square per dot', () => {
    const picture = drawText(drawn('wwwwwww', ...Array(10).fill('wwwwwww')), '7', {
      x: 1,
      y: 1,
      scale: 2,
      color: [255, 0, 0],
    });
    const line = 'wwwwwrr';
    expect(picture).toEqual(drawn('wwwwwww', 'wrrrrrr', 'wrrrrrr', ...Array(8).fill(line)));
  });

  test('have glyphs that all differ, 3 dots wide and 5 high', () => {
    const all = Object.values(glyphs);
    expect(all.every((rows) => rows.length === 5 && rows.every((dots) => /^[#.]{3}$/.test(dots)))).toBe(true);
    expect(new Set(all.map(String)).size).toBe(Object.keys(glyphs).length);
    expect(Object.keys(glyphs).sort().join('')).toBe(' +-.0123456789e');
  });

  test('do not change the picture they are drawn on', () => {
    const picture = white(3, 5);
    drawText(picture, '8', { x: 0, y: 0 });
    expect(picture).toEqual(white(3, 5));
  });

  test.each([
    ['12', { x: 1, y: 0 }, /'12' is 7 x 5 and does not fit at \(1, 0\)/],
    ['1', { x: 0, y: -1 }, /does not fit/],
    ['1', { x: 0, y: 0, scale: 2 }, /does not fit/],
    ['1', { x: 0, y: 0, scale: 0.5 }, /scale is 0.5/],
    ['x', { x: 0, y: 0 }, /no glyph for 'x'/],
  ])('%s at %j is refused', (text, options, expected) => {
    expect(() => drawText(white(7, 5), text, options)).toThrow(UsageError);
    expect(() => drawText(white(7, 5), text, options)).toThrow(expected);
  });

  test.each([
    [0, '0'],
    [-0, '0'],
    [0.12345, '0.123'],
    [-2.5, '-2.5'],
    [1234, '1230'],
    [99999, '1e+5'],
    [-0.000012345, '-1.23e-5'],
    [5e-324, '5e-324'],
  ])('%f is written %s', (value, expected) => {
    expect(shortNumber(value)).toBe(expected);
  });
});

describe('colour bars', () => {
  // Written out here on purpose: [top, zero, bottom].
  test.each<[ColorMapName, number[], number[], number[]]>([
    ['bwr', [255, 0, 0], [255, 255, 255], [0, 0, 255]],
    ['seismic', [208, 0, 0], [208, 208, 208], [0, 0, 208]],
    ['coldnhot', [255, 255, 255], [0, 0, 0], [0, 255, 255]],
    ['RdBu_r', [103, 0, 31], [247, 247, 247], [5, 48, 97]],
  ])('of %s have pure ends and exactly the centre colour in the middle', (colorMap, top, zero, bottom) => {
    const odd = firstColumn(colorBar({ colorMap, range: 1, height: 21 }));
    expect([odd[0], odd[10], odd[20]]).toEqual([top, zero, bottom]);
    const even = firstColumn(colorBar({ colorMap, range: 1, height: 22 }));
    expect([even[0], even[10], even[11], even[21]]).toEqual([top, zero, zero, bottom]);
  });

  test.each<ColorMapName>(['gray', 'hot'])('of %s go from the range down to zero', (colorMap) => {
    const column = firstColumn(colorBar({ colorMap, range: 1, height: 21 }));
    expect([column[0], column[20]]).toEqual([
      [255, 255, 255],
      [0, 0, 0],
    ]);
  });

  test.each(names)('of %s show the colours that a heatmap has at these values', (colorMap) => {
    const isDiverging = 'negative' in colorMaps[colorMap];
    const values = Array.from({ length: 21 }, (_, y) => (isDiverging ? 1 - y / 10 : 1 - y / 20));
    values[isDiverging ? 10 : 20] = 0;
    const heatmap = renderHeatmap(values, { height: 21, width: 1, colorMap, range: 1 });
    const bar = firstColumn(colorBar({ colorMap, range: 1, height: 21 }));
    // One step of rounding: 1 - y / 10 is not exactly the value of the row.
    colorsOf(heatmap).forEach((color, y) => {
      color.forEach((value, c) => {
        expect(Math.abs(value - bar[y][c])).toBeLessThanOrEqual(1);
      });
    });
  });

  test('name their ends and zero', () => {
    const bar = colorBar({ range: 7, height: 21, width: 3 });
    expect([bar.width, bar.height]).toEqual([3 + 2 + 7, 21]);
    const ink = (text: string) => {
      const { width, height } = textSize(text);
      return inkOf(drawText(white(7, 5), text, { x: 0, y: 0 }), 0, 0, width, height);
    };
    expect(inkOf(bar, 5, 0, 7, 5)).toEqual(ink('+7'));
    expect(inkOf(bar, 5, 8, 3, 5)).toEqual(ink('0'));
    expect(inkOf(bar, 5, 16, 7, 5)).toEqual(ink('-7'));
  });

  test('stand right of the heatmap, which stays as it was', () => {
    const heatmap = renderHeatmap(Array(17 * 2).fill(-2), { height: 17, width: 2 });
    const picture = withColorBar(heatmap, { gap: 1 });
    const bar = colorBar({ range: 2, height: 17 });
    expect([picture.width, picture.height]).toEqual([2 + 1 + bar.width, 17]);
    for (let y = 0; y < 17; y++) {
      expect(at(picture, 1, y)).toEqual([0, 0, 255]);
      expect(at(picture, 2, y)).toEqual([255, 255, 255]);
      expect(at(picture, 3, y)).toEqual(at(bar, 0, y));
    }
  });

  test('cannot show another range than the heatmap has', () => {
    const heatmap = renderHeatmap(Array(17).fill(2), { height: 17, width: 1 });
    expect(() => withColorBar(heatmap, { range: 3 })).toThrow(/drawn with range 2, not 3/);
    expect(() => withColorBar(upscale(heatmap, 2))).toThrow(/has no range/);
    expect(withColorBar(upscale(heatmap, 2), { range: 3 }).height).toBe(34);
  });

  test.each([
    [{ range: -1, height: 20 }, /range is -1/],
    [{ range: Number.NaN, height: 20 }, /range is NaN/],
    [{ range: 1, height: 16 }, /at least 1 x 17/],
    [{ range: 1, height: 20, scale: 2 }, /at least 1 x 34/],
    [{ range: 1, height: 20, width: 0 }, /0 x 20 is too small/],
  ])('of %j are refused', (options, expected) => {
    expect(() => colorBar(options)).toThrow(UsageError);
    expect(() => colorBar(options)).toThrow(expected);
  });
});

describe('overlays', () => {
  const image = drawn('kgw');
  const heatmap = drawn('rwb');

  test('with opacity 0 are the image, with 1 the heatmap', () => {
    expect(overlay(image, heatmap, { opacity: 0 })).toEqual(image);
    expect(overlay(image, heatmap, { opacity: 1 })).toEqual(heatmap);
  });

  test('mix both halves unless told otherwise, and leave them alone', () => {
    expect(colorsOf(overlay(drawn('kw'), drawn('rb')))).toEqual([
      [128, 0, 0],
      [128, 128, 255],
    ]);
    overlay(image, heatmap);
    expect([image, heatmap]).toEqual([drawn('kgw'), drawn('rwb')]);
  });

  test('by magnitude show the image where relevance is zero and the heatmap at the ends', () => {
    const R = renderHeatmap([0, 1, -1], { height: 1, width: 3 });
    expect(overlay(drawn('ggg'), R, { opacity: 'magnitude' })).toEqual(drawn('grb'));
  });

  test.each(names)('by magnitude weigh %s by |R| / range', (colorMap) => {
    const values = Array.from({ length: 41 }, (_, i) => i / 20 - 1);
    const R = renderHeatmap(values, { height: 1, width: 41, colorMap, range: 1 });
    const black = drawn('k'.repeat(41));
    const colors = colorsOf(R);
    colorsOf(overlay(black, R, { opacity: 'magnitude', colorMap })).forEach((color, i) => {
      color.forEach((value, c) => {
        // Rounded colours carry the magnitude to about 1 / 100: RdBu_r's steps are small.
        expect(Math.abs(value - Math.abs(values[i]) * colors[i][c])).toBeLessThanOrEqual(3);
      });
    });
  });

  test('by magnitude never hide a pixel that is not a number', () => {
    const R = renderHeatmap([Number.NaN, 1], { height: 1, width: 2 });
    expect(overlay(drawn('kk'), R, { opacity: 'magnitude' })).toEqual(drawn('gr'));
  });

  test('of different sizes are refused, even with as many pixels', () => {
    expect(() => overlay(drawn('kk'), drawn('r', 'r'))).toThrow(ShapeError);
    expect(() => overlay(drawn('k'), drawn('r', 'r'))).toThrow(ShapeError);
    expect(() => overlay(drawn('k'), drawn('rr'))).toThrow(ShapeError);
    expect(() => overlay(drawn('kk'), drawn('r', 'r'))).toThrow(
      /the image is \[1, 2\] and the heatmap \[2, 1\]/,
    );
  });

  test.each([-0.1, 1.1, Number.NaN])('with opacity %f are refused', (opacity) => {
    expect(() => overlay(image, heatmap, { opacity })).toThrow(UsageError);
  });
});

describe('canvases', () => {
  /** A canvas in Node: like a real one, it forgets its pixels when its size is set. */
  function recordingCanvas(hasContext = true) {
    const state = { width: 300, height: 150, shown: null as number[] | null };
    return {
      state,
      get width() {
        return state.width;
      },
      set width(value: number) {
        Object.assign(state, { width: value, shown: null });
      },
      get height() {
        return state.height;
      },
      set height(value: number) {
        Object.assign(state, { height: value, shown: null });
      },
      getContext: () =>
        hasContext
          ? {
              createImageData: (width: number, height: number) => ({
                data: new Uint8ClampedArray(4 * width * height),
              }),
              putImageData: ({ data }: { data: Uint8ClampedArray }, x: number, y: number) => {
                if (x === 0 && y === 0) state.shown = [...data];
              },
            }
          : null,
    };
  }

  test('take the size and the bytes of the picture', () => {
    const canvas = recordingCanvas();
    const picture = drawn('rgb', 'kwk');
    drawOnCanvas(picture, canvas);
    expect(canvas.state).toEqual({ width: 3, height: 2, shown: [...picture.rgba] });
  });

  test('of both kinds that browsers have are accepted by the types', () => {
    const draw = (canvas: HTMLCanvasElement | OffscreenCanvas) => drawOnCanvas(drawn('r'), canvas);
    expect(draw).toBeTypeOf('function');
  });

  test('without a 2D context are refused and stay as they were', () => {
    const canvas = recordingCanvas(false);
    expect(() => drawOnCanvas(drawn('r'), canvas)).toThrow(UsageError);
    expect(() => drawOnCanvas(drawn('r'), canvas)).toThrow(/^drawOnCanvas: the canvas has no 2D context; /);
    expect(canvas.state.width).toBe(300);
  });

  test('cannot show a picture without pixels', () => {
    const empty = { width: 0, height: 0, rgba: new Uint8ClampedArray(0) };
    expect(() => drawOnCanvas(empty, recordingCanvas())).toThrow(ShapeError);
  });
});
