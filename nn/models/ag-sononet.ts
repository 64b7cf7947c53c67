// AG-Sononet (Schlemper et al. 2019, arXiv:1808.08114): a VGG-like network with attention gates. Names are ours.
import { UsageError } from '../../engine/errors.ts';
import { sum } from '../../engine/ops/broadcast.ts';
import { concat } from '../../engine/ops/layout.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { AttentionGate } from '../attention-gate.ts';
import { BatchNorm2d } from '../batch-norm.ts';
import { kaimingNormal } from '../init.ts';
import { AdaptiveAvgPool2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU } from '../layers.ts';
import { type Init, type Module, Sequential } from '../module.ts';
import { Classifier, type NetworkOptions } from './classifier.ts';

export interface AgSononetOptions extends NetworkOptions {
  /** Channels of each stage, with max-pooling 2 between them. Default 16, 32, 64, 128, 128: the authors' at `feature_scale` 4. */
  readonly channels?: readonly number[];
  /** Convolutions in each stage. Default 3, 3, 3, 2, 2. */
  readonly counts?: readonly number[];
}

/** Convolutions 3x3 with BatchNorm and ReLU. */
function stage(init: Init, from: number, to: number, count: number): Sequential {
  const layers = Array.from({ length: count }, (_, i) => [
    new Conv2d(init, i === 0 ? from : to, to, 3, { padding: 1, initialWeight: kaimingNormal }),
    new BatchNorm2d(init, to),
    new ReLU(),
  ]);
  return new Sequential(...layers.flat());
}

/**
 * Images [N, C, H, W] -> logits [N, classes]. The two stages before the last are gated by the last and summed over places;
 * these sums and the mean of the last stage are joined ("concat") for one linear layer. Throws UsageError for less than
 * three stages.
 */
export class AgSononet extends Classifier {
  readonly headName = 'classifier';
  readonly #stages: readonly Sequential[];
  readonly #pool = new MaxPool2d(2);
  readonly #gates: readonly AttentionGate[];
  readonly #average = new Sequential(new AdaptiveAvgPool2d(1), new Flatten());
  readonly #dropout: Dropout;
  readonly #classifier: Linear;

  constructor(init: Init, options: AgSononetOptions) {
    super();
    const { classes, inChannels = 3, dropout = 0 } = options;
    const { channels = [16, 32, 64, 128, 128], counts = [3, 3, 3, 2, 2] } = options;
    if (channels.length < 3 || counts.length !== channels.length) {
      throw new UsageError(
        `AgSononet: channels [${channels}] and counts [${counts}]; give three stages or more, and both lists for each`,
      );
    }
    this.#stages = channels.map((to, i) => stage(init, channels[i - 1] ?? inChannels, to, counts[i]));
    const [fine, coarse, gatingChannels] = channels.slice(-3);
    // As in the authors' code, both are compared in a space as large as the gating signal.
    const gate = (own: number) =>
      new AttentionGate(init, { channels: own, gatingChannels, innerChannels: gatingChannels });
    this.#gates = [gate(fine), gate(coarse)];
    this.#dropout = new Dropout(init, dropout);
    this.#classifier = new Linear(init, fine + coarse + gatingChannels, classes, { gain: 1 });
  }

  override children(): [string, Module][] {
    return [
      ...this.#stages.map((block, i): [string, Module] => [`conv${i + 1}`, block]),
      ['pool', this.#pool],
      ...this.#gates.map((gate, i): [string, Module] => [`gate${i + 1}`, gate]),
      ['average', this.#average],
      ['dropout', this.#dropout],
      ['classifier', this.#classifier],
    ];
  }

  forward(x: Tensor): Tensor {
    let signal = x;
    const levels = this.#stages.map((block, i) => {
      signal = block.forward(i === 0 ? signal : this.#pool.forward(signal));
      return signal;
    });
    const gated = this.#gates.map((gate, i) =>
      sum(gate.attend(levels[levels.length - 3 + i], signal), [2, 3]),
    );
    const features = concat([...gated, this.#average.forward(signal)], 1);
    return this.#classifier.forward(this.#dropout.forward(features));
  }
}
