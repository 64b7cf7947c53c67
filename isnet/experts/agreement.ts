// Do heatmaps and experts agree? Relevance against regions that a person has drawn, and against how severe each is.
import { tensor } from '../../engine/create.ts';
import { argmax } from '../../engine/ops/argmax.ts';
import { reshape, sum } from '../../engine/ops/broadcast.ts';
import { withoutRecording } from '../../engine/scope.ts';
import type { Device } from '../../engine/tensor.ts';
import type { Attribution } from '../../lrp/attributions/attribution.ts';
import { type LrpOptions, lrp } from '../../lrp/attributions/relevance.ts';
import type { Composite } from '../../lrp/composite.ts';
import {
  pointingGame,
  relevanceMassAccuracy,
  relevanceRankAccuracy,
} from '../../lrp/metrics/localisation.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { checkFinite, readings } from '../evaluation/batches.ts';
import { type Estimate, meanShare, proportion } from '../evaluation/estimate.ts';
import { isOfExplained, type LabelMeaning } from './labels.ts';
import {
  correlationWithin,
  type JudgedRegion,
  type SeverityAgreement,
  severityAgreement,
} from './severity.ts';

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
  /** Of each region; null where nobody said. */
  readonly labels: readonly (string | null)[];
  /** Of each region; null where nobody said. */
  readonly severities: readonly (number | null)[];
}

/** How well one heatmap and the regions on its image agree. */
export interface ImageAgreement {
  readonly file: string;
  /** Number of the class whose map it is. */
  readonly explained: number;
  /** Share of the positive relevance that lies in some region. */
  readonly massAccuracy: number;
  /** Of as many pixels as all regions have, the most relevant ones: the share that lies in a region. */
  readonly rankAccuracy: number;
  /** Whether the most relevant pixel does; no pixel is that in an empty map. */
  readonly isPointing: boolean;
  /** Whether the map has no positive relevance at all, and so agrees with nothing. */
  readonly isEmpty: boolean;
  /** Those that were judged. */
  readonly regions: readonly JudgedRegion[];
  /** `correlationWithin` of the regions. */
  readonly severityCorrelation: number | null;
}

/** All images together, with 95 % intervals over images. */
export interface Agreement extends SeverityAgreement {
  readonly count: number;
  /** How many of the maps are empty: no mass, no hit. */
  readonly emptyCount: number;
  /** What was labelled as something else than what is explained: regions, and images that have no others. */
  readonly leftOut: { readonly regions: number; readonly images: number };
  readonly massAccuracy: Estimate;
  readonly rankAccuracy: Estimate;
  readonly pointingGame: Estimate;
  readonly images: readonly ImageAgreement[];
}

export interface AgreementOptions extends LabelMeaning {
  /** How the maps are made; LRP if left out. */
  readonly attribution?: Attribution<LrpOptions>;
  /** Rules of LRP; other attributions have none. */
  readonly composite?: Composite;
  /** What is explained; the predicted class by default. */
  readonly target?: 'predicted' | number;
}

/**
 * Explains the images one by one, each by its regions of the explained class (`LabelMeaning`) and those without a label. An
 * image without such a region is left out; where none is left, the numbers are not defined. Throws TrainingError for logits
 * or relevance that are NaN or infinite, and as the attribution does.
 */
export async function measureAgreement(
  device: Device,
  model: Module,
  images: readonly ExpertImage[],
  options: AgreementOptions = {},
): Promise<Agreement> {
  const found: ImageAgreement[] = [];
  const leftOut = { regions: 0, images: 0 };
  for (const [n, image] of images.entries()) {
    const explained = await explainedClass(device, model, image, n, options.target);
    const own = withRegionsOf(explained, image, options);
    leftOut.regions += image.regions.length - own.regions.length;
    if (own.regions.length === 0) leftOut.images++;
    else found.push(await agreementOn(device, model, own, n, { ...options, target: explained }));
  }
  return {
    count: found.length,
    emptyCount: found.filter(({ isEmpty }) => isEmpty).length,
    leftOut,
    massAccuracy: meanShare(found.map(({ massAccuracy }) => massAccuracy)),
    rankAccuracy: meanShare(found.map(({ rankAccuracy }) => rankAccuracy)),
    pointingGame: proportion(found.filter(({ isPointing }) => isPointing).length, found.length),
    ...severityAgreement(found.map(({ regions }) => regions)),
    images: found,
  };
}

/** Number of the class that is asked for, or of the largest logit. */
async function explainedClass(
  device: Device,
  model: Module,
  { image, channels, height, width }: ExpertImage,
  index: number,
  target: AgreementOptions['target'] = 'predicted',
): Promise<number> {
  if (target !== 'predicted') return target;
  const [winner, logits] = await readings(device, () =>
    withoutRecording(device, () => {
      const output = inEvaluation(model, () =>
        model.forward(tensor(device, image, [1, channels, height, width])),
      );
      return [argmax(output, 1), output];
    }),
  );
  for (const value of Array.from(logits)) checkFinite('agreement', value, index);
  return winner[0];
}

/** The image with those of its regions that belong to the class. */
function withRegionsOf(explained: number, image: ExpertImage, meaning: LabelMeaning): ExpertImage {
  const { regions, labels, severities } = image;
  const own = [...regions.keys()].filter((r) => isOfExplained(labels[r], explained, meaning));
  return {
    ...image,
    regions: own.map((r) => regions[r]),
    labels: own.map((r) => labels[r]),
    severities: own.map((r) => severities[r]),
  };
}

async function agreementOn(
  device: Device,
  model: Module,
  { file, image, channels, height, width, regions, severities }: ExpertImage,
  index: number,
  { attribution = lrp, composite, target }: AgreementOptions & { readonly target: number },
): Promise<ImageAgreement> {
  const any = Uint8Array.from({ length: height * width }, (_, i) =>
    regions.some((mask) => mask[i] === 1) ? 1 : 0,
  );
  const [places, mass, rank, pointing] = await readings(device, () => {
    const x = tensor(device, image, [1, channels, height, width]);
    const relevance = attribution(model, x, { composite, target });
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
  const judged = regions.map((mask, r) => ({ density: density(places, mask), severity: severities[r] }));
  return {
    file,
    explained: target,
    massAccuracy: mass[0],
    rankAccuracy: rank[0],
    isPointing: pointing[0] === 1,
    isEmpty: !Array.from(places).some((value) => value > 0),
    regions: judged,
    severityCorrelation: correlationWithin(judged),
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
