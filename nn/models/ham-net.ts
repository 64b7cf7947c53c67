// The network of hierarchical attention mining, HAM (Ouyang et al. 2021, IEEE TMI 40(10)): its attention maps are weights of
// its own last layer on its features (CAM), for every class and for "any class". Structure and names are ours.

import { detach } from '../../engine/create.ts';
import { ShapeError } from '../../engine/errors.ts';
import { reshape } from '../../engine/ops/broadcast.ts';
import { conv2d } from '../../engine/ops/conv.ts';
import { concat } from '../../engine/ops/layout.ts';
import { relu, sigmoid } from '../../engine/ops/pointwise.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { Gate } from '../gate.ts';
import { kaimingNormalByOutputs, linearUniform } from '../init.ts';
import { Conv2d, Dropout, Linear, ReLU } from '../layers.ts';
import { LogSumExpPool } from '../log-sum-exp-pool.ts';
import { type Init, Module, Sequential } from '../module.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

/** Features that HAM stands on: images -> [N, channels, h, w]. */
export interface FeatureNetwork {
  readonly network: Module;
  readonly channels: number;
}

export interface HamNetOptions extends NetworkOptions {
  readonly features: FeatureNetwork;
  /** Channels behind the foreground attention, which maps are weighted sums of. Default 512. */
  readonly width?: number;
}

const conv = (init: Init, from: number, to: number, kernel: number): Conv2d =>
  new Conv2d(init, from, to, kernel, {
    padding: (kernel - 1) / 2,
    bias: false,
    initialWeight: kaimingNormalByOutputs,
  });

/** relu norm conv3x3 of x beside w (sigmoid norm conv3x3 w), w = conv1x1 x: attention to places, from features alone. */
class ForegroundAttention extends Module {
  readonly weigh: Conv2d;
  readonly look: Sequential;
  readonly gate = new Gate();
  readonly join: Sequential;

  constructor(init: Init, channels: number, width: number) {
    super();
    this.weigh = conv(init, channels, 1, 1);
    this.look = new Sequential(conv(init, 1, 1, 3), new BatchNorm2d(init, 1));
    this.join = new Sequential(conv(init, channels + 1, width, 3), new BatchNorm2d(init, width), new ReLU());
  }

  forward(x: Tensor): Tensor {
    const w = this.weigh.forward(x);
    const attended = this.gate.through(w, sigmoid(this.look.forward(w)));
    return this.join.forward(concat([x, attended], 1));
  }
}

/** What HAM knows of a batch. */
export interface HamResults {
  /** [N, classes] */
  readonly logits: Tensor;
  /** Maps of the classes, from 0 up: [N, classes, h, w]. */
  readonly classMaps: Tensor;
  /** Logit of "any class" [N, 1] and its map [N, 1, h, w]. */
  readonly foreground: Tensor;
  readonly foregroundMap: Tensor;
}

/**
 * Images [N, C, H, W] -> logits [N, classes]: features, foreground attention, log-sum-exp pool (r = 6), one linear layer
 * without biases. `run` gives the attention maps too:   M_c = max(0, sum_k w_ck f_k),   w without a gradient.
 */
export class HamNet extends Classifier {
  readonly headName = 'classes';
  readonly features: Module;
  readonly foreground: ForegroundAttention;
  readonly dropout: Dropout;
  readonly pool = new LogSumExpPool();
  readonly classes: Linear;
  readonly any: Linear;

  constructor(init: Init, { features, classes, width = 512, dropout = 0.1 }: HamNetOptions) {
    super();
    this.features = features.network;
    this.foreground = new ForegroundAttention(init, features.channels, width);
    this.dropout = new Dropout(init, dropout);
    this.classes = new Linear(init, width, classes, { bias: false, initialWeight: linearUniform });
    this.any = new Linear(init, width, 1, { bias: false, initialWeight: linearUniform });
  }

  run(x: Tensor): HamResults {
    const f = this.#featuresOf(x);
    const pooled = this.pool.forward(f);
    const mapsOf = ({ weight }: Linear) => {
      const [O, I] = weight.shape;
      return relu(conv2d(f, reshape(detach(weight), [O, I, 1, 1])));
    };
    return {
      logits: this.classes.forward(pooled),
      classMaps: mapsOf(this.classes),
      foreground: this.any.forward(pooled),
      foregroundMap: mapsOf(this.any),
    };
  }

  forward(x: Tensor): Tensor {
    return this.classes.forward(this.pool.forward(this.#featuresOf(x)));
  }

  #featuresOf(x: Tensor): Tensor {
    const features = this.features.forward(x);
    if (features.shape.length !== 4) {
      throw new ShapeError(
        `HamNet: the features are ${formatShape(features.shape)}; they must be maps [N, K, h, w], so leave out what comes behind them`,
      );
    }
    return this.dropout.forward(this.foreground.forward(features));
  }
}
