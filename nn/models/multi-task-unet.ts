// A U-Net that also classifies: what its bottleneck knows of the object is to help the classifier (multi-task learning).
import type { Tensor } from '../../engine/tensor.ts';
import { AdaptiveAvgPool2d, Dropout, Flatten, Linear, ReLU } from '../layers.ts';
import { type Init, type Module, Sequential } from '../module.ts';
import { linear } from '../wide-linear.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';
import { UNet, type UNetOptions } from './unet.ts';

/** The classifier behind a bottleneck. */
export interface BottleneckHead {
  /** Cells that the bottleneck is averaged to along each side. Default 7. */
  readonly poolSize?: number;
  /** Sizes of the hidden layers, with dropout behind each. Default 4096, 4096. */
  readonly hidden?: readonly number[];
}

export interface MultiTaskUNetOptions extends NetworkOptions, Pick<UNetOptions, 'width' | 'depth'> {
  readonly head?: BottleneckHead;
}

/**
 * Images [N, C, H, W] -> logits [N, classes], from the bottleneck of a U-Net with one mask: average pool, hidden layers,
 * logits. Only the way down is run for that; `run` gives the mask too. Dropout 0.5 behind hidden layers unless told
 * otherwise, as in the multi-task U-Net that the ISNet was compared with. Throws as `UNet` does.
 */
export class MultiTaskUNet extends Classifier {
  readonly headName: string;
  readonly unet: UNet;
  readonly classifier: Sequential;

  constructor(init: Init, options: MultiTaskUNetOptions) {
    super();
    const { classes, inChannels, width, depth, dropout = 0.5, head = {} } = options;
    const { poolSize = 7, hidden = [4096, 4096] } = head;
    this.unet = new UNet(init, { classes: 1, inChannels, width, depth });
    const layers: Module[] = [new AdaptiveAvgPool2d(poolSize), new Flatten()];
    let size = this.unet.bottleneckChannels * poolSize ** 2;
    for (const next of hidden) {
      layers.push(linear(init, size, next), new ReLU(), new Dropout(init, dropout));
      size = next;
    }
    this.headName = `classifier.${layers.length}`;
    this.classifier = new Sequential(...layers, new Linear(init, size, classes, { gain: 1 }));
  }

  /** Logits of the classes [N, classes], and of the mask [N, 1, H, W]. */
  run(x: Tensor): { readonly logits: Tensor; readonly mask: Tensor } {
    const levels = this.unet.encode(x);
    return { logits: this.#classify(levels), mask: this.unet.decode(levels) };
  }

  forward(x: Tensor): Tensor {
    return this.#classify(this.unet.encode(x));
  }

  #classify(levels: readonly Tensor[]): Tensor {
    return this.classifier.forward(levels[levels.length - 1]);
  }
}
