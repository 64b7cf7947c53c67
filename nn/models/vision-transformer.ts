// Vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) with torchvision's structure, names and initial weights.
import { ShapeError, UsageError } from '../../engine/errors.ts';
import { add } from '../../engine/ops/arithmetic.ts';
import { expand, reshape } from '../../engine/ops/broadcast.ts';
import { concat, permute, slice } from '../../engine/ops/layout.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { GELU } from '../activations.ts';
import { MultiheadAttention } from '../attention.ts';
import { fanIn, normalOf, xavierUniform, zeros } from '../init.ts';
import { LayerNorm } from '../layer-norm.ts';
import { Conv2d, Dropout, Linear } from '../layers.ts';
import { type Init, Module, type Params, Sequential } from '../module.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

/** The sizes a vision transformer is made of. */
export interface ViTSizes {
  /** Height and width of the images, all alike: each patch has a position of its own. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Numbers per token. */
  readonly width: number;
  /** Units of the hidden layer behind each attention. */
  readonly mlpWidth: number;
}

/** `vit_b_16` is torchvision's; `vit_small` is ours, for small images. */
export const vitSizes = {
  vit_b_16: { imageSize: 224, patchSize: 16, layers: 12, heads: 12, width: 768, mlpWidth: 3072 },
  vit_small: { imageSize: 32, patchSize: 4, layers: 6, heads: 4, width: 128, mlpWidth: 256 },
} as const satisfies Readonly<Record<string, ViTSizes>>;

export interface ViTOptions extends NetworkOptions, ViTSizes {}

const NORM_EPS = 1e-6;

/** x + attention(norm x), then + MLP(norm). */
class EncoderLayer extends Module {
  readonly #norm1: LayerNorm;
  readonly #attention: MultiheadAttention;
  readonly #norm2: LayerNorm;
  readonly #mlp: Sequential;

  constructor(init: Init, { width, heads, mlpWidth }: ViTSizes) {
    super();
    const initial = { initialWeight: xavierUniform, initialBias: normalOf(1e-6) };
    this.#norm1 = new LayerNorm(init, width, { eps: NORM_EPS });
    this.#attention = new MultiheadAttention(init, width, heads);
    this.#norm2 = new LayerNorm(init, width, { eps: NORM_EPS });
    this.#mlp = Sequential.named([
      ['0', new Linear(init, width, mlpWidth, initial)],
      ['1', new GELU()],
      ['3', new Linear(init, mlpWidth, width, initial)], // '2' and '4' are torchvision's dropouts
    ]);
  }

  override children(): [string, Module][] {
    return [
      ['ln_1', this.#norm1],
      ['self_attention', this.#attention],
      ['ln_2', this.#norm2],
      ['mlp', this.#mlp],
    ];
  }

  forward(x: Tensor): Tensor {
    const mixed = add(this.#attention.forward(this.#norm1.forward(x)), x);
    return add(mixed, this.#mlp.forward(this.#norm2.forward(mixed)));
  }
}

/** Tokens [N, T, E] with their positions added, through all layers and a last norm. */
class Encoder extends Module {
  readonly posEmbedding: Tensor;
  readonly layers: Sequential;
  readonly ln: LayerNorm;

  constructor(init: Init, tokens: number, sizes: ViTSizes) {
    super();
    this.posEmbedding = normalOf(0.02)(init, [1, tokens, sizes.width]);
    this.layers = Sequential.named(
      Array.from({ length: sizes.layers }, (_, i) => [`encoder_layer_${i}`, new EncoderLayer(init, sizes)]),
    );
    this.ln = new LayerNorm(init, sizes.width, { eps: NORM_EPS });
  }

  override ownParameters(): Params {
    return { posEmbedding: this.posEmbedding };
  }

  forward(x: Tensor): Tensor {
    return this.ln.forward(this.layers.forward(add(x, this.posEmbedding)));
  }
}

/**
 * Images [N, C, S, S] -> logits [N, classes], from a class token beside the patches. Dropout stands before the head alone,
 * off unless asked for. The head begins as zeros, as torchvision's does. Throws UsageError for sizes that do not divide.
 */
export class VisionTransformer extends Classifier {
  readonly headName = 'heads.head';
  readonly classToken: Tensor;
  readonly imageSize: number;
  readonly #project: Conv2d;
  readonly #encoder: Encoder;
  readonly #dropout: Dropout;
  readonly #heads: Sequential;

  constructor(init: Init, { classes, inChannels = 3, dropout = 0, ...sizes }: ViTOptions) {
    super();
    const { imageSize, patchSize, width } = sizes;
    if (!Number.isInteger(imageSize / patchSize)) {
      throw new UsageError(
        `VisionTransformer: images of ${imageSize} pixels are not made of patches of ${patchSize}; choose a divisor`,
      );
    }
    this.imageSize = imageSize;
    this.classToken = zeros(init, [1, 1, width]);
    this.#project = new Conv2d(init, inChannels, width, patchSize, {
      stride: patchSize,
      // torchvision cuts this off at 2, which is 30 standard deviations away.
      initialWeight: (to, shape) => normalOf(Math.sqrt(1 / fanIn(shape)))(to, shape),
    });
    this.#encoder = new Encoder(init, (imageSize / patchSize) ** 2 + 1, sizes);
    this.#dropout = new Dropout(init, dropout);
    this.#heads = Sequential.named([['head', new Linear(init, width, classes, { initialWeight: zeros })]]);
  }

  override children(): [string, Module][] {
    return [
      ['conv_proj', this.#project],
      ['encoder', this.#encoder],
      ['dropout', this.#dropout],
      ['heads', this.#heads],
    ];
  }

  override ownParameters(): Params {
    return { classToken: this.classToken };
  }

  forward(x: Tensor): Tensor {
    const { imageSize, classToken } = this;
    if (x.shape.length !== 4 || x.shape[2] !== imageSize || x.shape[3] !== imageSize) {
      throw new ShapeError(
        `VisionTransformer: the input is ${formatShape(x.shape)} and the model was made for images of ${imageSize} by ${imageSize}; resize them, or build it with { imageSize }`,
      );
    }
    const patches = this.#project.forward(x);
    const [N, E] = patches.shape;
    const tokens = permute(reshape(patches, [N, E, -1]), [0, 2, 1]);
    const all = this.#encoder.forward(concat([expand(classToken, [N, 1, E]), tokens], 1));
    const first = reshape(slice(all, [0, 0, 0], [N, 1, E]), [N, E]);
    return this.#heads.forward(this.#dropout.forward(first));
  }
}
