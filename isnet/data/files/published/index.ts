// The published data sets that can be imported, by name, with a configuration to begin with for each.
import { unknownName } from '../../../../engine/nearest-name.ts';
import type { PartialRunConfig } from '../../../config.ts';
import { imageDefaults } from '../../../quickstart-config.ts';
import { celeba } from './celeba.ts';
import { chexpert } from './chexpert.ts';
import { covid } from './covid.ts';
import { dogs } from './dogs.ts';
import type { PublishedData, PublishedOptions } from './published.ts';
import { tuberculosis } from './tuberculosis.ts';

/** A data set that others have published. */
export interface PublishedEntry {
  readonly title: string;
  /** Where masks come from. */
  readonly masks: string;
  /** Reads lists and names in the folder. */
  read(folder: string, options: PublishedOptions): Promise<PublishedData>;
  readonly settings: (source: string) => PartialRunConfig;
}

/** What the images of an application look like to the network. */
interface Look {
  readonly size: number;
  readonly channels: 1 | 3;
  readonly isMirrored: boolean;
  readonly kind: 'densenet121' | 'resnet18';
}

/**
 * Settings to begin with. Network, input size, optimiser, momentum, clipping and d are those of the published code
 * (DenseNet-121 on 224 x 224, SGD with momentum 0.99); P, epochs and batches are ours, not measured on these data.
 */
function settings({ size, channels, isMirrored, kind }: Look): PublishedEntry['settings'] {
  const training = {
    epochs: 48,
    batchSize: 16,
    optimizer: 'sgd',
    learningRate: 1e-3,
    momentum: 0.99,
    schedule: 'constant',
    clipNorm: 1,
  } as const;
  // Mirroring would put the heart on the other side.
  const augment = { flip: isMirrored, rotate: 10, brightness: 0.1, contrast: 0.1 };
  return (source) => ({
    method: 'both',
    data: { ...imageDefaults, source, height: size, width: size, channels, cropMargin: size / 14, augment },
    model: { kind },
    classifier: training,
    isnet: { ...training, variant: 'stochastic', P: 0.7, d: 0.996, range: 'natural' },
  });
}

const xRays = settings({ size: 224, channels: 1, isMirrored: false, kind: 'densenet121' });
const photographs = settings({ size: 224, channels: 3, isMirrored: true, kind: 'densenet121' });

const entries: Readonly<Record<string, PublishedEntry>> = {
  covid: {
    title: 'COVID-19 Radiography Database',
    masks: 'published (lungs; smaller than the images, so they are enlarged)',
    read: covid,
    settings: xRays,
  },
  tuberculosis: {
    title: 'tuberculosis X-rays of Montgomery County and Shenzhen',
    masks: 'published (lungs; those of Shenzhen apart, in ChinaSet_AllFiles/mask)',
    read: tuberculosis,
    settings: xRays,
  },
  chexpert: {
    title: 'CheXpert',
    masks: 'not published: --masks',
    read: chexpert,
    settings: xRays,
  },
  celeba: {
    title: 'CelebAMask-HQ or CelebA, facial attributes',
    masks: 'published with CelebAMask-HQ (parts of the head); --masks for CelebA',
    read: celeba,
    settings: photographs,
  },
  dogs: {
    title: 'Stanford Dogs',
    masks: 'published (boxes)',
    read: dogs,
    settings: photographs,
  },
};

/** All of them by name. */
export const publishedData: ReadonlyMap<string, PublishedEntry> = new Map(Object.entries(entries));

/** The one of this name. Throws UsageError, with the nearest name, if there is none. */
export function publishedNamed(name: string): PublishedEntry {
  const entry = publishedData.get(name);
  if (entry) return entry;
  throw unknownName('import: there is no', name, [...publishedData.keys()]);
}
