// Do heatmaps and experts agree? Relevance against regions that a person has drawn, and against how severe each is.
import { tensor } from '../../engine/create.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { withoutRecording } from '../../engine/scope.ts';
import type { Device } from '../../engine/tensor.ts';
import type { Composite } from '../../lrp/composite.ts';
import { explain, type Target } from '../../lrp/explain.ts';
import {
  pointingGame,
  relevanceMassAccuracy,
  relevanceRankAccuracy,
} from '../../lrp/metrics/localisation.ts';
import { spearman } from '../../lrp/metrics/statistics.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { checkFinite, readings } from '../evaluation/batches.ts';
import { type Estimate, mean, meanShare, proportion } from '../evaluation/estimate.ts';

/** An image as the network sees it, and the regions on it. */
export interface ExpertImage {
  readonly file: string;
  /** [C, H, W] in [0, 1] */
  readonly image: Float32Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Masks [H, W] of 0 and 1, at least one. */
  readonly regions: readonly Uint8Array[];
  /** Of each region; null if one of them has none. */
  readonly severities: readonly number[] | null;
}

/** How well one heatmap and the regions on its image agree. */
export interface ImageAgreement {
  readonly file: string;
  /** Share of the positive relevance that lies in some region. */
  readonly massAccuracy: number;
  /** Of as many pixels as all regions have, the most relevant ones: the share that lies in a region. */
  readonly rankAccuracy: number;
  /** Whether the most relevant pixel does. */
  readonly isPointing: boolean;
  /**
   * Spearman's correlation over the regions of the mean positive relevance per pixel with the severity; null for fewer
   * than three regions, for severities that are equal, or none.
   */
  readonly severityCorrelation: number | null;
}

/** All images together, with 95 % intervals over images. */
export interface Agreement {
  readonly count: number;
  readonly massAccuracy: Estimate;
  readonly rankAccuracy: Estimate;
  readonly pointingGame: Estimate;
  readonly severityCorrelation: Estimate;
  /** Images that have such a correlation. */
  readonly severityCount: number;
  readonly images: readonly ImageAgreement[];
}

export interface AgreementOptions {
  readonly composite?: Composite;
  /** What is explained; the predicted class by default. */
  readonly target?: Target;
}

const FEWEST_REGIONS = 3;

/** Explains the images one by one. Throws TrainingError for relevance that is NaN or infinite, and as `explain` does. */
export async function measureAgreement(
  device: Device,
  model: Module,
  images: readonly ExpertImage[],
  options: AgreementOptions = {},
): Promise<Agreement> {
  const found: ImageAgreement[] = [];
  for (const [n, image] of images.entries()) found.push(await agreementOn(device, model, image, n, options));
  const correlations = found.map(({ severityCorrelation }) => severityCorrelation).filter((r) => r !== null);
  return {
    count: found.length,
    massAccuracy: meanShare(found.map(({ massAccuracy }) => massAccuracy)),
    rankAccuracy: meanShare(found.map(({ rankAccuracy }) => rankAccuracy)),
    pointingGame: proportion(found.filter(({ isPointing }) => isPointing).length, found.length),
    severityCorrelation: mean(correlations),
    severityCount: correlations.length,
    images: found,
  };
}

async function agreementOn(
  device: Device,
  model: Module,
  { file, image, channels, height, width, regions, severities }: ExpertImage,
  index: number,
  { composite, target }: AgreementOptions,
): Promise<ImageAgreement> {
  const any = Uint8Array.from({ length: height * width }, (_, i) =>
    regions.some((mask) => mask[i] === 1) ? 1 : 0,
  );
  const [places, mass, rank, pointing] = await readings(device, () => {
    const x = tensor(device, image, [1, channels, height, width]);
    const { relevance } = inEvaluation(model, () => explain(model, x, { composite, target }));
    return withoutRecording(device, () => {
      const map = sum(relevance, [1], { keepDims: true });
      const mask = tensor(device, any, [1, 1, height, width]);
      return [
        reshape(map, [-1]),
        relevanceMassAccuracy(map, mask),
        relevanceRankAccuracy(map, mask),
        pointingGame(map, mask),
      ];
    });
  });
  for (const value of Array.from(places)) checkFinite('agreement', value, index);
  return {
    file,
    massAccuracy: mass[0],
    rankAccuracy: rank[0],
    isPointing: pointing[0] === 1,
    severityCorrelation:
      severities &&
      (await correlation(
        device,
        regions.map((mask) => density(places, mask)),
        severities,
      )),
  };
}

/** Mean positive relevance per pixel of the region. */
function density(places: ArrayLike<number>, mask: Uint8Array): number {
  let [total, count] = [0, 0];
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] === 0) continue;
    total += Math.max(0, places[i]);
    count++;
  }
  return total / Math.max(1, count);
}

async function correlation(
  device: Device,
  densities: readonly number[],
  severities: readonly number[],
): Promise<number | null> {
  const n = densities.length;
  if (n < FEWEST_REGIONS || new Set(severities).size < 2) return null;
  const [values] = await readings(device, () =>
    withoutRecording(device, () => [
      spearman(tensor(device, densities, [1, n]), tensor(device, severities, [1, n])),
    ]),
  );
  return values[0];
}
