// A heatmap laid over its image, so that one sees what the relevance lies on.
import { ShapeError, UsageError } from '../engine/errors.ts';
import {
  type ColorMap,
  type ColorMapName,
  colorizer,
  colorMaps,
  notFiniteColor,
  type Rgb,
} from './color-maps.ts';
import type { Picture } from './picture.ts';

/** How much of the heatmap covers the image. */
export interface OverlayOptions {
  /** 0 shows the image alone, 1 the heatmap alone; 'magnitude' covers by |R| / range. 0.5 if left out. */
  readonly opacity?: number | 'magnitude';
  /** The map that the heatmap was drawn with, 'bwr' if left out. Only 'magnitude' needs it. */
  readonly colorMap?: ColorMapName;
}

/**
 * Blends a heatmap over an image of the same size. With 'magnitude' zero relevance leaves the image as it is, and the end
 * colours and `notFiniteColor` cover it. Throws ShapeError if the sizes differ, UsageError for an opacity outside [0, 1].
 */
export function overlay(image: Picture, heatmap: Picture, options: OverlayOptions = {}): Picture {
  const { opacity = 0.5, colorMap = 'bwr' } = options;
  const { width, height } = image;
  if (heatmap.width !== width || heatmap.height !== height) {
    throw new ShapeError(
      `overlay: the image is [${height}, ${width}] and the heatmap [${heatmap.height}, ${heatmap.width}]; upscale the smaller one`,
    );
  }
  if (opacity !== 'magnitude' && !(opacity >= 0 && opacity <= 1)) {
    throw new UsageError(`overlay: opacity is ${opacity}; pass a number from 0 to 1, or 'magnitude'`);
  }
  const weightOf = opacity === 'magnitude' ? magnitudes(colorMap) : () => opacity;
  const rgba = image.rgba.slice();
  for (let i = 0; i < rgba.length; i += 4) {
    const weight = weightOf([heatmap.rgba[i], heatmap.rgba[i + 1], heatmap.rgba[i + 2]]);
    for (let c = i; c < i + 4; c++) rgba[c] += weight * (heatmap.rgba[c] - rgba[c]);
  }
  return { width, height, rgba };
}

/**
 * The function from a colour back to |v|: the place of the nearest point on the map's line through colour space. A heatmap
 * keeps no relevance, and the plain distance to the centre colour would call a third of coldnhot's range its end.
 */
function magnitudes(name: ColorMapName): (color: Rgb) => number {
  const colorOf = colorizer(name);
  const { positive, negative }: ColorMap = colorMaps[name];
  const sides = [positive, ...(negative ? [negative] : [])].map((side, index) => {
    const sign = index === 0 ? 1 : -1;
    return side.map((_, i) => colorOf((sign * i) / (side.length - 1)));
  });
  return (color) => {
    if (color.every((value, c) => value === notFiniteColor[c])) return 1;
    let magnitude = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const stops of sides) {
      for (let i = 0; i + 1 < stops.length; i++) {
        const { part, distance } = nearest(color, stops[i], stops[i + 1]);
        if (distance >= least) continue;
        least = distance;
        magnitude = (i + part) / (stops.length - 1);
      }
    }
    return magnitude;
  };
}

/** The point between two stops that is nearest to a colour: its part of the way, and the squared distance to it. */
function nearest(color: Rgb, from: Rgb, to: Rgb): { part: number; distance: number } {
  const way = to.map((value, c) => value - from[c]);
  const along = way.reduce((sum, step, c) => sum + step * (color[c] - from[c]), 0);
  const part = Math.min(Math.max(along / way.reduce((sum, step) => sum + step * step, 0), 0), 1);
  const distance = way.reduce((sum, step, c) => sum + (from[c] + part * step - color[c]) ** 2, 0);
  return { part, distance };
}
