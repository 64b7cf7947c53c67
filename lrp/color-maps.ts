// Colours of relevance, as data. A map is written outwards from zero, so zero has a colour of its own. Tables of 256 entries,
// as in other LRP tools, put zero between entries 127 and 128 and paint it (253, 253, 255): nearly white, but not neutral.
import { UsageError } from '../engine/errors.ts';

/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Hex colours at equal steps from zero out to the end of the range. Without `negative`, the map shows |R|. */
export interface ColorMap {
  readonly positive: readonly string[];
  readonly negative?: readonly string[];
}

/**
 * The maps by name. bwr, seismic, coldnhot, gray and hot have zennit's colours (seismic is not matplotlib's: it ends and
 * centres on greys); RdBu_r is ColorBrewer's RdBu with 11 classes, reversed so that red speaks for the class.
 */
export const colorMaps = {
  bwr: { negative: ['ffffff', '0000ff'], positive: ['ffffff', 'ff0000'] },
  seismic: { negative: ['d0d0d0', '0000d0'], positive: ['d0d0d0', 'd00000'] },
  coldnhot: {
    negative: ['000000', '0000ff', '00ffff'],
    positive: ['000000', 'ff0000', 'ffff00', 'ffffff'],
  },
  RdBu_r: {
    negative: ['f7f7f7', 'd1e5f0', '92c5de', '4393c3', '2166ac', '053061'],
    positive: ['f7f7f7', 'fddbc7', 'f4a582', 'd6604d', 'b2182b', '67001f'],
  },
  gray: { positive: ['000000', 'ffffff'] },
  hot: { positive: ['000000', 'ff0000', 'ffff00', 'ffffff'] },
} as const satisfies Record<string, ColorMap>;

/** Name of a map in `colorMaps`. */
export type ColorMapName = keyof typeof colorMaps;

/** Colour of numbers that are NaN or infinite: a green that is in none of the maps. */
export const notFiniteColor: Rgb = [0, 255, 0];

/**
 * The function from v in [-1, 1] to a colour: 0 is exactly the first colour, 1 and -1 exactly the last, values outside get
 * the colour at the end, and maps without a negative side show |v|. Throws UsageError for a name that is not in `colorMaps`.
 */
export function colorizer(name: ColorMapName): (v: number) => Rgb {
  if (!Object.hasOwn(colorMaps, name)) {
    throw new UsageError(
      `colorMap: there is no map '${name}'; choose one of ${Object.keys(colorMaps).join(', ')}`,
    );
  }
  const map: ColorMap = colorMaps[name];
  const positive = map.positive.map(parseHex);
  const negative = map.negative?.map(parseHex) ?? positive;
  return (v) => {
    if (!Number.isFinite(v)) return notFiniteColor;
    return interpolate(v < 0 ? negative : positive, Math.min(Math.abs(v), 1));
  };
}

function parseHex(hex: string): Rgb {
  const bits = Number.parseInt(hex, 16);
  return [bits >> 16, (bits >> 8) & 255, bits & 255];
}

function interpolate(stops: readonly Rgb[], distance: number): Rgb {
  const position = distance * (stops.length - 1);
  const i = Math.min(Math.floor(position), stops.length - 2);
  const part = position - i;
  const [low, high] = [stops[i], stops[i + 1]];
  return [mix(low[0], high[0], part), mix(low[1], high[1], part), mix(low[2], high[2], part)];
}

function mix(low: number, high: number, part: number): number {
  return Math.round(low + (high - low) * part);
}
