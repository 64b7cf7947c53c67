// U-Net (Ronneberger et al. 2015, arXiv:1505.04597): masks for images. The structure is ours, described at the class.
import { ShapeError, UsageError } from '../../engine/errors.ts';
import { concat } from '../../engine/ops/layout.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { ConvTranspose2d } from '../conv-transpose.ts';
import { kaimingNormalByOutputs } from '../init.ts';
import { Conv2d, Dropout, MaxPool2d, ReLU } from '../layers.ts';
import { type Init, type Module, Sequential } from '../module.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

export interface UNetOptions extends NetworkOptions {
  /** Channels at full size; each level below has twice as many. Default 64. */
  readonly width?: number;
  /** Levels, the lowest included. Default 5. */
  readonly depth?: number;
}

/** Conv 3x3, norm, ReLU, twice. */
function doubleConv(init: Init, from: number, to: number): Sequential {
  const half = (channels: number) => [
    new Conv2d(init, channels, to, 3, { padding: 1, bias: false, initialWeight: kaimingNormalByOutputs }),
    new BatchNorm2d(init, to),
    new ReLU(),
  ];
  return new Sequential(...half(from), ...half(to));
}

/** One level up: twice the pixels and half the channels, then a double convolution beside what the way down had. */
interface LevelUp {
  readonly up: ConvTranspose2d;
  readonly conv: Sequential;
}

/**
 * Images [N, C, H, W] -> logits per pixel [N, classes, H, W]; one class with a sigmoid is a mask. Unlike the paper's, its
 * convolutions are padded, so that the output is as large as the image, and have BatchNorm. Names:
 *   down.<i>  double convolution at 1 / 2^i of the size (max-pooling 2 between them), the last one the bottleneck
 *   up.<i>    `up` (transposed convolution 2x2, stride 2) and `conv` (double convolution), from the bottleneck up
 *   head      convolution 1x1
 * H and W must be multiples of 2^(depth - 1): ShapeError. Dropout at the bottleneck, off unless asked for.
 */
export class UNet extends Classifier {
  readonly headName = 'head';
  readonly #down: readonly Sequential[];
  readonly #pool: MaxPool2d;
  readonly #dropout: Dropout;
  readonly #up: readonly LevelUp[];
  readonly #head: Conv2d;
  readonly #bottleneckChannels: number;

  constructor(init: Init, options: UNetOptions) {
    super();
    const { classes, inChannels = 3, width = 64, depth = 5, dropout = 0 } = options;
    if (!(Number.isInteger(depth) && depth > 1 && Number.isInteger(width) && width > 0)) {
      throw new UsageError(
        `UNet: depth ${depth} and width ${width}; give whole numbers, depth from 2 and width from 1 up`,
      );
    }
    const channels = Array.from({ length: depth }, (_, i) => width * 2 ** i);
    this.#down = channels.map((to, i) => doubleConv(init, channels[i - 1] ?? inChannels, to));
    this.#pool = new MaxPool2d(2);
    this.#dropout = new Dropout(init, dropout);
    const levels = channels.slice(1).reverse();
    this.#up = levels.map((from) => ({
      up: new ConvTranspose2d(init, from, from / 2, 2, { stride: 2 }),
      conv: doubleConv(init, from, from / 2),
    }));
    this.#head = new Conv2d(init, width, classes, 1);
    this.#bottleneckChannels = channels[depth - 1];
  }

  override children(): [string, Module][] {
    return [
      ...this.#down.map((block, i): [string, Module] => [`down.${i}`, block]),
      ['pool', this.#pool],
      ['dropout', this.#dropout],
      ...this.#up.flatMap(({ up, conv }, i): [string, Module][] => [
        [`up.${i}.up`, up],
        [`up.${i}.conv`, conv],
      ]),
      ['head', this.#head],
    ];
  }

  /** Channels of the lowest level. */
  get bottleneckChannels(): number {
    return this.#bottleneckChannels;
  }

  /** The way down: what each level makes of images [N, C, H, W], at 1 / 2^i of their size; the last is the bottleneck. */
  encode(x: Tensor): Tensor[] {
    const factor = 2 ** (this.#down.length - 1);
    if (x.shape.length !== 4 || x.shape[2] % factor !== 0 || x.shape[3] % factor !== 0) {
      throw new ShapeError(
        `UNet: the input is ${formatShape(x.shape)}; give [N, C, H, W] with H and W multiples of ${factor}, or build it with a smaller depth`,
      );
    }
    const levels: Tensor[] = [];
    this.#down.reduce((signal, block, i) => {
      const level = block.forward(i === 0 ? signal : this.#pool.forward(signal));
      levels.push(level);
      return level;
    }, x);
    return levels;
  }

  /** The way up from what `encode` gave: logits per pixel [N, classes, H, W]. */
  decode(levels: readonly Tensor[]): Tensor {
    const skips = levels.slice(0, -1).reverse();
    const top = this.#up.reduce(
      (signal, { up, conv }, i) => conv.forward(concat([skips[i], up.forward(signal)], 1)),
      this.#dropout.forward(levels[levels.length - 1]),
    );
    return this.#head.forward(top);
  }

  forward(x: Tensor): Tensor {
    return this.decode(this.encode(x));
  }
}
