// What was measured on one adapter about products of matrices and convolutions, and how the choosers look it up.
import type {
  AdapterProfile,
  ConvDirection,
  ConvGeometry,
  ConvVariant,
  GemmVariant,
  Precision,
  ProductFacts,
} from './dispatch.ts';
import { possibleVariants } from './ops/gemm-variants.ts';

/** What a tuning was measured with: it says nothing of another adapter, driver or kernel. */
export interface TuningBasis {
  /** Name of the adapter, as `device.description`. */
  readonly adapter: string;
  /** The driver and its version, as `device.driver`. */
  readonly driver: string;
  /** Stands for the kernels: the version of this package, and a checksum of their texts. */
  readonly kernels: string;
}

/** What is fastest on one adapter. */
export interface Tuning extends TuningBasis {
  readonly date: string;
  /** The kernel of each class of products, by `productClass`. */
  readonly variants: Readonly<Record<string, GemmVariant>>;
  /** The way of each class of convolutions that the rule would send another way, by `convClass`; older files have none. */
  readonly ways?: Readonly<Record<string, ConvVariant>>;
}

/** Power of 4 that is nearest in ratio. */
const size = (n: number): number => 4 ** Math.round(Math.log(Math.max(1, n)) / Math.log(4));

/** Of a name: what kernels keep as f16 is half as much, so one precision says nothing of the other. */
const inPrecision = (precision: Precision): string => (precision === 'f32' ? '' : ` ${precision}`);

/**
 * Products that one measurement speaks for: how B is read, the sizes to a factor of two either way, and in what they are
 * computed.
 */
export function productClass(
  { operandsShader, batches, rows, columns, terms }: ProductFacts,
  precision: Precision,
): string {
  const matrix = `${size(rows)}x${size(columns)}x${size(terms)}`;
  const sizes = `${batches > 1 ? `${size(batches)}x` : ''}${matrix}`;
  return `${operandsShader} ${sizes}${inPrecision(precision)}`;
}

/**
 * Convolutions that one measurement speaks for: a direction, the window as it is, output pixels, groups and channels per group to
 * a factor of two either way, and in what they are computed. Every way takes groups one by one: how many they are decides
 * only whether a GPU is filled. From 16 to 1024 depthwise ones the order of the ways was the same, bench/README.md.
 */
export function convClass(direction: ConvDirection, g: ConvGeometry, precision: Precision): string {
  const [kernel, stride, dilation] = [g.kernel, g.stride, g.dilation].map((pair) => pair.join('x'));
  const window = `${kernel} stride ${stride} dilation ${dilation} groups ${size(g.groups)}`;
  const sizes = `${size(g.N * g.OH * g.OW)} pixels ${size(g.C / g.groups)} -> ${size(g.O / g.groups)}`;
  return `${direction} ${window}, ${sizes}${inPrecision(precision)}`;
}

/** Why what was measured says nothing of an adapter as it is now; undefined where it does. Older files do not name all. */
export function whyOutdated(measured: Partial<TuningBasis>, now: TuningBasis): string | undefined {
  const changes = (['driver', 'kernels'] as const)
    .filter((part) => measured[part] !== now[part])
    .map((part) => `${part} '${now[part]}' in place of '${measured[part] ?? 'unknown'}'`);
  return changes.length > 0 ? changes.join(', ') : undefined;
}

/** The profile of an adapter that chooses as measured, and by its own rules where nothing was. */
export function tunedProfile(profile: AdapterProfile, tuning: Tuning): AdapterProfile {
  const possible = possibleVariants(profile);
  return {
    ...profile,
    chooseGemm(product) {
      const variant = tuning.variants[productClass(product, profile.precision)];
      // The file may be older than the driver, whose limits may have changed.
      return possible.includes(variant) ? variant : undefined;
    },
    // What a convolution cannot do, its chooser ignores.
    chooseConv: (direction, sizes) => tuning.ways?.[convClass(direction, sizes, profile.precision)],
  };
}
