// Does relevance rise with the severity that an expert has given? Asked within images, and over the regions of all of them.
//
// The two differ. Within an image all regions share one heatmap, so that its scale plays no part. Over all regions an image
// that the network is surer of has more relevance everywhere: that counts where its regions are the more severe ones.
import { bootstrap } from '../evaluation/bootstrap.ts';
import type { Estimate } from '../evaluation/estimate.ts';
import { rankCorrelation } from './rank-correlation.ts';

/** What a heatmap has in a region, and how severe the expert finds it. */
export interface JudgedRegion {
  /** Mean positive relevance per pixel. */
  readonly density: number;
  /** Null if nobody said. */
  readonly severity: number | null;
}

/** Rank correlations of density with severity, with 95 % bootstrap intervals over images. */
export interface SeverityAgreement {
  /** Mean of the correlations of the images that have one (`correlationWithin`). */
  readonly severityCorrelation: Estimate;
  /** How many images have one. */
  readonly severityCount: number;
  /** One correlation over the regions of all images together; not defined where `correlationWithin` would not be. */
  readonly pooledSeverityCorrelation: Estimate;
  /** How many regions it is over: all that have a severity. */
  readonly pooledSeverityCount: number;
}

const FEWEST_REGIONS = 3;

/**
 * Spearman's correlation of density with severity over the regions of one image: 0 where all densities are equal; null for
 * fewer than three graded regions, or for severities that are all equal.
 */
export const correlationWithin = (regions: readonly JudgedRegion[]): number | null =>
  correlationOf(regions)(new Uint8Array(regions.length).fill(1));

/** Both correlations of the regions of images. */
export function severityAgreement(images: readonly (readonly JudgedRegion[])[]): SeverityAgreement {
  const within = images.map(correlationWithin);
  // Number of its image, for each region.
  const imageOf = images.flatMap((regions, n) => regions.map(() => n));
  const regions = images.flat();
  const pooled = correlationOf(regions);
  // Images are drawn, and not regions: those of one image are alike.
  const [severityCorrelation, pooledSeverityCorrelation] = bootstrap(images.length, null, (weights) => [
    weightedMean(within, weights),
    pooled(imageOf.map((n) => weights[n])),
  ]);
  return {
    severityCorrelation,
    severityCount: within.filter((r) => r !== null).length,
    pooledSeverityCorrelation,
    pooledSeverityCount: regions.filter(({ severity }) => severity !== null).length,
  };
}

/** As a function of how often each region occurs. */
function correlationOf(regions: readonly JudgedRegion[]): (weights: ArrayLike<number>) => number | null {
  const graded = [...regions.keys()].filter((r) => regions[r].severity !== null);
  if (graded.length < FEWEST_REGIONS) return () => null;
  const correlation = rankCorrelation(
    graded.map((r) => regions[r].density),
    graded.map((r) => regions[r].severity as number),
  );
  return (weights) => correlation(graded.map((r) => weights[r]));
}

/** Of the values that are defined and occur; null if none does. */
function weightedMean(values: readonly (number | null)[], weights: ArrayLike<number>): number | null {
  let [sum, count] = [0, 0];
  for (const [n, value] of values.entries()) {
    if (value === null) continue;
    sum += weights[n] * value;
    count += weights[n];
  }
  return count === 0 ? null : sum / count;
}
