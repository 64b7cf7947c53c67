// What was measured on one adapter about products of matrices, and how the chooser looks it up.
import type { AdapterProfile, GemmVariant, Precision, ProductFacts } from './dispatch.ts';
import { possibleVariants } from './ops/gemm-variants.ts';

/** The fastest kernel of each class of products on one adapter. */
export interface GemmTuning {
  /** Name of the adapter that this was measured on, as `device.description`. */
  readonly adapter: string;
  readonly date: string;
  /** By `productClass`. */
  readonly variants: Readonly<Record<string, GemmVariant>>;
}

/**
 * Products that one measurement speaks for: how B is read, the sizes to a factor of two either way, and in what they are
 * computed, because what kernels keep as f16 is half as much.
 */
export function productClass(
  { operandsShader, batches, rows, columns, terms }: ProductFacts,
  precision: Precision,
): string {
  // Power of 4 that is nearest in ratio.
  const size = (n: number) => 4 ** Math.round(Math.log(Math.max(1, n)) / Math.log(4));
  const matrix = `${size(rows)}x${size(columns)}x${size(terms)}`;
  const sizes = `${batches > 1 ? `${size(batches)}x` : ''}${matrix}`;
  return `${operandsShader} ${sizes}${precision === 'f32' ? '' : ` ${precision}`}`;
}

/** The profile of an adapter that chooses as measured, and by its own rules where nothing was. */
export function tunedProfile(profile: AdapterProfile, tuning: GemmTuning): AdapterProfile {
  const possible = possibleVariants(profile);
  return {
    ...profile,
    chooseGemm(product) {
      const variant = tuning.variants[productClass(product, profile.precision)];
      // The file may be older than the driver, whose limits may have changed.
      return possible.includes(variant) ? variant : undefined;
    },
  };
}
