// The scale that belongs beside a heatmap: without numbers, a red pixel says nothing about how much relevance it is.
import { UsageError } from '../engine/errors.ts';
import { type ColorMapName, colorizer, colorMaps } from './color-maps.ts';
import { drawText, fillBox, paper, shortNumber, textSize } from './digits.ts';
import { mosaic, type Picture } from './picture.ts';

/** What a colour bar shows. */
export interface ColorBarOptions {
  /** 'bwr' if left out, as in `renderHeatmap`. */
  readonly colorMap?: ColorMapName;
  /** |R| of the end colours: `range` of the heatmap. */
  readonly range: number;
  /** Pixels from end to end; three numbers need 17 times the scale. */
  readonly height: number;
  /** Pixels of the bar without its numbers, 6 if left out. */
  readonly width?: number;
  /** Pixels per dot of the numbers, 1 if left out. */
  readonly scale?: number;
}

/**
 * Vertical colour bar from +range (top) to -range, or from range to 0 for a map of |R|, with its numbers to the right. The
 * rows in the middle (one, or two if the height is even) are exactly the colour of zero. With range 0 the numbers are +0,
 * 0 and -0: whatever is not zero gets an end colour. Throws UsageError for a negative range or too few pixels.
 */
export function colorBar(options: ColorBarOptions): Picture {
  const { colorMap = 'bwr', range, height, width = 6, scale = 1 } = options;
  const colorOf = colorizer(colorMap);
  if (!(range >= 0 && Number.isFinite(range))) {
    throw new UsageError(`colorBar: range is ${range}; pass the range of the heatmap`);
  }
  const isDiverging = 'negative' in colorMaps[colorMap];
  const end = shortNumber(range);
  const labels = isDiverging ? [`+${end}`, '0', `-${end}`] : [end, '0'];
  const text = textSize(labels[0], scale);
  // A row of dots between two numbers, or they run into each other.
  const least = labels.length * (text.height + scale) - scale;
  if (!Number.isInteger(height) || height < least || !Number.isInteger(width) || width < 1) {
    throw new UsageError(
      `colorBar: ${width} x ${height} is too small for its numbers; pass whole sizes, at least 1 x ${least}, or upscale the heatmap first`,
    );
  }
  let bar = paper(width + 2 * scale + text.width, height);
  for (let y = 0; y < height; y++) {
    const v = isDiverging ? divergingValue(y, height) : 1 - y / (height - 1);
    fillBox(bar, { x: 0, y, width, height: 1 }, colorOf(v));
  }
  labels.forEach((label, i) => {
    const y = Math.round(((height - text.height) * i) / (labels.length - 1));
    bar = drawText(bar, label, { x: width + 2 * scale, y, scale });
  });
  return bar;
}

/** Row y as a part of the range. Counted from the nearer end, or an even height would have no row for zero. */
function divergingValue(y: number, height: number): number {
  const fromEnd = Math.min(y, height - 1 - y);
  const v = 1 - fromEnd / Math.floor((height - 1) / 2);
  return y < height / 2 ? v : -v;
}

/** `ColorBarOptions` without the height, which is the heatmap's. */
export interface WithColorBarOptions extends Omit<ColorBarOptions, 'height' | 'range'> {
  /** Needed for pictures that do not know their range, like upscaled heatmaps. */
  readonly range?: number;
  /** Pixels of white between heatmap and bar, 4 if left out. */
  readonly gap?: number;
}

/**
 * The heatmap with its colour bar to the right. Name the colour map that it was drawn with. Throws UsageError without a
 * range, for one that contradicts the heatmap's own, and if the heatmap is too low for the numbers.
 */
export function withColorBar(
  heatmap: Picture & { readonly range?: number },
  options: WithColorBarOptions = {},
): Picture {
  const { gap = 4, range = heatmap.range, ...rest } = options;
  if (range === undefined) {
    throw new UsageError('withColorBar: the picture has no range; pass { range } of its heatmap');
  }
  if (heatmap.range !== undefined && heatmap.range !== range) {
    throw new UsageError(
      `withColorBar: the heatmap was drawn with range ${heatmap.range}, not ${range}; leave the range out`,
    );
  }
  return mosaic([[heatmap, colorBar({ ...rest, range, height: heatmap.height })]], { gap });
}
