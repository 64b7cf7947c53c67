// The gradient of a batch that is too large to be worked on at once: its parts added up, for one step of the optimiser.
import { assign, full } from '../engine/create.ts';
import { add, mul } from '../engine/ops/arithmetic.ts';
import { keep, scope, withoutRecording } from '../engine/scope.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';
import { blocksOf, type ParameterBlock } from './flat-parameters.ts';

/** A weighted sum of gradients on the device, in the long blocks that the optimiser works on. It is 0 at first. */
export class GradientSum {
  readonly #device: Device;
  readonly #blocks: readonly ParameterBlock[];
  readonly #sums: readonly Tensor[];

  /** For gradients in the order of these parameters. */
  constructor(device: Device, parameters: readonly Tensor[]) {
    this.#device = device;
    this.#blocks = blocksOf(parameters);
    this.#sums = this.#blocks.map(({ size }) => keep(full(device, [size], 0)));
  }

  /** Adds weight times the gradients, one per parameter; the weight is []. Captured steps may contain it. */
  add(gradients: readonly Tensor[], weight: Tensor): void {
    this.#overwrite((sum, block) => add(sum, mul(block.join(gradients), weight)));
  }

  /** The sum so far, block by block: live until the next change. */
  get blocks(): readonly Tensor[] {
    return this.#sums;
  }

  /** Makes it 0 again. Sums that are not finite stay so: nothing good could follow them. */
  clear(): void {
    this.#overwrite((sum) => mul(sum, 0));
  }

  #overwrite(next: (sum: Tensor, block: ParameterBlock) => Tensor): void {
    withoutRecording(this.#device, () =>
      scope(this.#device, () => {
        this.#blocks.forEach((block, i) => {
          assign(this.#sums[i], next(this.#sums[i], block));
        });
      }),
    );
  }

  dispose(): void {
    for (const sum of this.#sums) release(sum);
  }
}
