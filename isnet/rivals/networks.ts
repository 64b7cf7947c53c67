// Which networks the methods of a comparison are built from: small ones for small images, and those that were published.
import { UsageError } from '../../engine/errors.ts';
import { AgSononet } from '../../nn/models/ag-sononet.ts';
import { DenseNet, densenetSizes } from '../../nn/models/densenet.ts';
import { HamNet } from '../../nn/models/ham-net.ts';
import { MultiTaskUNet } from '../../nn/models/multi-task-unet.ts';
import { type ConvBlock, convFeatures, SmallCnn, type SmallCnnOptions } from '../../nn/models/small-cnn.ts';
import { UNet } from '../../nn/models/unet.ts';
import { VisionTransformer, type ViTSizes, vitSizes } from '../../nn/models/vision-transformer.ts';
import { type Init, type Module, Sequential } from '../../nn/module.ts';
import type { RectifierOptions } from '../../nn/rectifier.ts';
import type { ModelInput } from '../from-config.ts';

type Make<Network extends Module> = (init: Init, input: ModelInput) => Network;

/** How each kind of network is made for images of some size and number of classes. */
export interface Networks {
  /** What most methods train, each with its own loss. */
  readonly classifier: Make<Module>;
  /** Its layer that Grad-CAM looks at; the last one with maps if left out. */
  readonly attentionLayer?: string;
  readonly unet: Make<Module>;
  readonly multiTask: Make<MultiTaskUNet>;
  readonly attentionGated: Make<Module>;
  readonly ham: Make<HamNet>;
  readonly transformer: Make<Module>;
}

/** Sizes of the classifier of `smallNetworks`. */
export type SmallCnnSizes = Omit<SmallCnnOptions, 'inChannels' | 'imageSize' | 'classCount'>;

const sizesOf = ({ channels, classNames }: ModelInput) => ({
  inChannels: channels,
  classes: classNames.length,
});

/** Levels of a U-Net, `most` at best: each but the first halves both sides, which must come out even. */
function unetDepth({ height, width }: ModelInput, most: number): number {
  let depth = 1;
  while (depth < most && height % 2 ** depth === 0 && width % 2 ** depth === 0) depth++;
  if (depth === 1) {
    throw new UsageError(
      `networks: a U-Net halves images of ${height} by ${width}, and they are odd; resize them to even numbers`,
    );
  }
  return depth;
}

function sideOf({ height, width }: ModelInput): number {
  if (height === width) return height;
  throw new UsageError(
    `networks: a vision transformer takes square images and these are ${height} by ${width}; crop or resize them`,
  );
}

const SMALL_UNET = { width: 4, levels: 3 };
// The larger the faster: attention goes with the square of the number of patches. Images of 28 to 48 pixels have 16 to 36.
const PATCH_SIZES = [8, 7, 6, 5, 4, 2, 1];
const SMALL_TRANSFORMER = { layers: 3, heads: 4, width: 32, mlpWidth: 64 };

/** Room to tell an object from a ground full of texture, for about ten times the arithmetic of the quickstart's classifier. */
export const mediumBlocks: readonly ConvBlock[] = [
  { channels: 16, kernel: 5, stride: 2 },
  { channels: 32, kernel: 3 },
  { channels: 32, kernel: 3, stride: 2 },
];

/**
 * Networks for images of a few dozen pixels, as small as they can be and still learn digits. A slope of ReLUs in `sizes` is
 * that of the classifier, in HAM too.
 */
export function smallNetworks(sizes: SmallCnnSizes): Networks {
  const cnn: Make<SmallCnn> = (init, { channels, height, width, classNames }) =>
    new SmallCnn(init, {
      ...sizes,
      inChannels: channels,
      imageSize: [height, width],
      classCount: classNames.length,
    });
  return {
    classifier: cnn,
    unet: (init, input) =>
      new UNet(init, {
        inChannels: input.channels,
        classes: 1,
        width: SMALL_UNET.width,
        depth: unetDepth(input, SMALL_UNET.levels),
      }),
    multiTask: (init, input) => {
      const depth = unetDepth(input, SMALL_UNET.levels);
      const poolSize = Math.min(7, Math.min(input.height, input.width) / 2 ** (depth - 1));
      const head = { poolSize, hidden: [32] };
      return new MultiTaskUNet(init, { ...sizesOf(input), width: SMALL_UNET.width, depth, dropout: 0, head });
    },
    attentionGated: (init, input) =>
      new AgSononet(init, { ...sizesOf(input), channels: [8, 16, 16], counts: [1, 1, 1] }),
    ham: (init, input) => {
      const features = convFeatures(init, input.channels, sizes.blocks, sizes);
      return new HamNet(init, { ...sizesOf(input), features, width: 32, dropout: 0 });
    },
    transformer: (init, input) => {
      const imageSize = sideOf(input);
      const patchSize = PATCH_SIZES.find((size) => imageSize % size === 0) ?? 1;
      const own: ViTSizes = { ...SMALL_TRANSFORMER, imageSize, patchSize };
      return new VisionTransformer(init, { ...sizesOf(input), ...own });
    },
  };
}

/**
 * The networks of the papers: DenseNet-121, a U-Net of five levels from 64 channels, AG-Sononet, ViT-B/16. HAM stands on the
 * DenseNet's features rather than on a dilated ResNet-50's, so that all methods share them. For images of 224 pixels.
 * A slope of ReLUs is the DenseNet's, in HAM too; all others are as published.
 */
export function publishedNetworks({ negativeSlope }: RectifierOptions = {}): Networks {
  const densenet: Make<DenseNet> = (init, input) =>
    new DenseNet(init, { ...densenetSizes.densenet121, ...sizesOf(input), negativeSlope });
  return {
    classifier: densenet,
    attentionLayer: 'relu',
    unet: (init, { channels }) => new UNet(init, { inChannels: channels, classes: 1 }),
    multiTask: (init, input) => new MultiTaskUNet(init, sizesOf(input)),
    attentionGated: (init, input) => new AgSononet(init, sizesOf(input)),
    ham: (init, input) => {
      const { features, relu, classifier } = densenet(init, input);
      const channels = classifier.weight.shape[1];
      classifier.dispose();
      return new HamNet(init, {
        ...sizesOf(input),
        features: { network: new Sequential(features, relu), channels },
      });
    },
    transformer: (init, input) =>
      new VisionTransformer(init, { ...sizesOf(input), ...vitSizes.vit_b_16, imageSize: sideOf(input) }),
  };
}
