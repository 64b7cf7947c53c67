// Finds the fastest kernel for products of matrices on this machine (Node only): all that can run take turns.

import type { GemmVariant, Precision, ProductFacts } from '../engine/dispatch.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { openDevice } from '../engine/node-device.ts';
import { possibleVariants } from '../engine/ops/gemm-variants.ts';
import { productClass, type Tuning } from '../engine/tuning.ts';
import { tuningBasis } from '../engine/tuning-file.ts';
import { medianOf } from './evaluation/bootstrap.ts';
import { type TuningCase, timesOf, typicalProducts } from './tuning-cases.ts';

/** One class of products and the time of each kernel that can run, in milliseconds per call. */
export interface TunedProduct {
  readonly name: string;
  readonly example: string;
  readonly ms: Readonly<Partial<Record<GemmVariant, number>>>;
  readonly fastest: GemmVariant;
}

/** A device that runs one variant and remembers what it was asked for. */
interface Candidate {
  readonly variant: GemmVariant;
  readonly device: GpuDevice;
  readonly products: ProductFacts[];
}

async function openCandidate(variant: GemmVariant, precision: Precision): Promise<Candidate> {
  const products: ProductFacts[] = [];
  const chooseGemm = (product: ProductFacts) => {
    products.push(product);
    return variant;
  };
  // An earlier tuning may send other convolutions to products than the rules do.
  const profile = { chooseGemm, chooseConv: () => undefined };
  return { variant, device: await openDevice({ precision, profile }), products };
}

/**
 * Measures every class of a list of products, by default of those typical for networks, with all kernels that the adapter of
 * `device` can run, in its precision; `onProduct` is told of each. The default takes one to a few minutes.
 */
export async function tuneProducts(
  device: GpuDevice,
  onProduct?: (tuned: TunedProduct) => void,
  cases: readonly TuningCase[] = typicalProducts,
): Promise<Tuning> {
  const { profile } = device;
  const candidates: Candidate[] = [];
  try {
    for (const variant of possibleVariants(profile)) {
      candidates.push(await openCandidate(variant, profile.precision));
    }
    const variants: Record<string, GemmVariant> = {};
    for (const each of cases) {
      const tuned = await tuneProduct(each, candidates);
      if (!tuned || tuned.name in variants) continue;
      variants[tuned.name] = tuned.fastest;
      onProduct?.(tuned);
    }
    return { ...tuningBasis(device), date: new Date().toISOString(), variants };
  } finally {
    for (const candidate of candidates) await candidate.device.close();
  }
}

/** Null for what this adapter computes without a product, as it does thin convolutions: there is nothing to choose. */
async function tuneProduct(each: TuningCase, candidates: readonly Candidate[]): Promise<TunedProduct | null> {
  for (const { products } of candidates) products.length = 0;
  const times = await timesOf(
    each,
    candidates.map(({ device }) => device),
  );
  const [first] = candidates;
  if (first.products.length === 0) return null;
  const medians = times.map(medianOf);
  const ms = Object.fromEntries(candidates.map(({ variant }, i) => [variant, medians[i]]));
  const fastest = candidates[medians.indexOf(Math.min(...medians))].variant;
  return {
    name: productClass(first.products[0], first.device.profile.precision),
    example: each.name,
    ms,
    fastest,
  };
}
