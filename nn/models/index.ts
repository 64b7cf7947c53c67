// Every network by its name: what it is made by, for which images, and where it was published.
import { UsageError } from '../../engine/errors.ts';
import { unknownName } from '../../engine/nearest-name.ts';
import type { Init } from '../module.ts';
import type { RectifierOptions } from '../rectifier.ts';
import type { Classifier, NetworkOptions } from './classifier.ts';
import { DenseNet, densenetSizes } from './densenet.ts';
import { ResNet, resnetSizes } from './resnet.ts';
import { SmallCnn } from './small-cnn.ts';
import { UNet } from './unet.ts';
import { Vgg, vggSizes } from './vgg.ts';
import { VisionTransformer, vitSizes } from './vision-transformer.ts';

/** What `createModel` can be told. A slope of ReLUs is for networks of ReLUs alone; see `ModelEntry`. */
export interface ModelOptions extends NetworkOptions, RectifierOptions {
  /** Height and width of the images. Only `small-cnn` and the vision transformers depend on it; see `ModelEntry`. */
  readonly imageSize?: number;
}

/** A network that can be made by name. */
export interface ModelEntry {
  readonly make: (init: Init, options: ModelOptions) => Classifier;
  /** Height and width that it was published for; the default of `imageSize`. */
  readonly imageSize: number;
  /** Whether the size is built in. Else any size goes through that is not too small. */
  readonly isSizeFixed: boolean;
  /** Whether it takes a `negativeSlope`. */
  readonly hasSlope: boolean;
  /** Where it was published, and whose structure and names these are. */
  readonly source: string;
}

/** Entries of one family: a row of sizes each. */
function family<Name extends string, Sizes>(
  sizes: Readonly<Record<Name, Sizes>>,
  make: (init: Init, options: ModelOptions & Sizes) => Classifier,
  source: string,
): Record<Name, ModelEntry> {
  const entries = Object.entries<Sizes>(sizes).map(([name, own]): [string, ModelEntry] => [
    name,
    {
      make: (init, options) => make(init, { ...options, ...own }),
      imageSize: 224,
      isSizeFixed: false,
      hasSlope: true,
      source,
    },
  ]);
  return Object.fromEntries(entries) as Record<Name, ModelEntry>;
}

/** The quickstart's layers: two strided convolutions and a hidden layer. */
const smallCnn: ModelEntry = {
  make: (init, { classes, inChannels = 3, dropout, imageSize = 28, negativeSlope }) =>
    new SmallCnn(init, {
      classCount: classes,
      inChannels,
      dropout,
      negativeSlope,
      imageSize: [imageSize, imageSize],
      blocks: [
        { channels: 8, kernel: 5, stride: 2 },
        { channels: 16, kernel: 3, stride: 2 },
      ],
      hidden: [32],
    }),
  imageSize: 28,
  isSizeFixed: true,
  hasSlope: true,
  source: 'ours; see SmallCnn for other layers',
};

const unet: ModelEntry = {
  make: (init, options) => new UNet(init, options),
  imageSize: 256,
  isSizeFixed: false,
  hasSlope: false,
  source: 'Ronneberger et al. 2015, arXiv:1505.04597; structure and names ours, see UNet',
};

function visionTransformer(name: keyof typeof vitSizes, source: string): ModelEntry {
  const sizes = vitSizes[name];
  return {
    make: (init, options) =>
      new VisionTransformer(init, { ...sizes, ...options, imageSize: options.imageSize ?? sizes.imageSize }),
    imageSize: sizes.imageSize,
    isSizeFixed: true,
    hasSlope: false,
    source,
  };
}

/** All networks. `small-cnn`, `unet` and `vit_small` are ours; the others load torchvision's state dicts. */
export const models = {
  'small-cnn': smallCnn,
  ...family(
    resnetSizes,
    (init, options) => new ResNet(init, options),
    'He et al. 2016, arXiv:1512.03385; torchvision',
  ),
  ...family(
    densenetSizes,
    (init, options) => new DenseNet(init, options),
    'Huang et al. 2017, arXiv:1608.06993; torchvision',
  ),
  ...family(
    vggSizes,
    (init, options) => new Vgg(init, options),
    'Simonyan and Zisserman 2015, arXiv:1409.1556; torchvision',
  ),
  vit_b_16: visionTransformer('vit_b_16', 'Dosovitskiy et al. 2021, arXiv:2010.11929; torchvision'),
  vit_small: visionTransformer(
    'vit_small',
    'Dosovitskiy et al. 2021, arXiv:2010.11929; sizes ours, see VisionTransformer',
  ),
  unet,
} as const satisfies Readonly<Record<string, ModelEntry>>;

export type ModelName = keyof typeof models;

/** Whether there is a network of this name. */
export const isModelName = (name: string): name is ModelName => Object.hasOwn(models, name);

/**
 * A fresh network, e.g. `createModel('resnet18', { device, random }, { classes: 10 })`. With `isBlank` in `init` nothing
 * is drawn, for weights that are loaded next. Throws UsageError for a name that is not in `models`, naming the nearest,
 * for sizes that are no whole numbers from 1 up, and for a slope where the network takes none.
 */
export function createModel(name: string, init: Init, options: ModelOptions): Classifier {
  if (!isModelName(name)) {
    throw unknownName('createModel: there is no model', name, Object.keys(models));
  }
  const { classes, inChannels = 3, dropout = 0, imageSize = 1, negativeSlope = 0 } = options;
  const areCounts = [classes, inChannels, imageSize].every((n) => Number.isInteger(n) && n > 0);
  if (!areCounts || !(dropout >= 0 && dropout < 1)) {
    throw new UsageError(
      `createModel: '${name}' with classes ${classes}, inChannels ${inChannels}, imageSize ${imageSize}, dropout ${dropout}; give whole numbers from 1 up, and a dropout from 0 to below 1`,
    );
  }
  if (negativeSlope !== 0 && !models[name].hasSlope) {
    throw new UsageError(
      `createModel: '${name}' takes no negativeSlope, and it is ${negativeSlope}; leave it out, or use small-cnn, a ResNet, a DenseNet or a VGG`,
    );
  }
  return models[name].make(init, options);
}
