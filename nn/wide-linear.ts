// A dense layer whose weight is too large for one binding. Adapters bind 128 MiB at least, and some no more; the first
// dense layer of a VGG has 392. Its rows are kept in blocks; files hold them as one tensor (state-dict.ts).
import { concat } from '../engine/ops/layout.ts';
import type { Tensor } from '../engine/tensor.ts';
import { Linear, type LinearOptions } from './layers.ts';
import { type Init, Module } from './module.ts';

/** Elements of the largest f32 tensor that every adapter binds: 128 MiB. */
const MAX_ELEMENTS = 2 ** 25;

/** y = x W^T + b for x [N, I], in blocks of rows of W: children `rows0`, `rows1`, ... are ordinary Linear layers. */
export class WideLinear extends Module {
  readonly #blocks: readonly Linear[];

  /** `initialWeight` is asked for one block at a time: it must not depend on the number of outputs. */
  constructor(
    init: Init,
    inFeatures: number,
    outFeatures: number,
    options: LinearOptions,
    maxElements: number,
  ) {
    super();
    const count = Math.ceil(outFeatures / Math.max(1, Math.floor(maxElements / inFeatures)));
    const rowsOf = (i: number) =>
      Math.floor(((i + 1) * outFeatures) / count) - Math.floor((i * outFeatures) / count);
    this.#blocks = Array.from({ length: count }, (_, i) => new Linear(init, inFeatures, rowsOf(i), options));
  }

  override children(): [string, Module][] {
    return this.#blocks.map((block, i) => [`rows${i}`, block]);
  }

  forward(x: Tensor): Tensor {
    return concat(
      this.#blocks.map((block) => block.forward(x)),
      -1,
    );
  }
}

/** A Linear layer, or one in blocks of rows where its weight has more than `maxElements`. */
export function linear(
  init: Init,
  inFeatures: number,
  outFeatures: number,
  options: LinearOptions = {},
  maxElements = MAX_ELEMENTS,
): Linear | WideLinear {
  return inFeatures * outFeatures <= maxElements
    ? new Linear(init, inFeatures, outFeatures, options)
    : new WideLinear(init, inFeatures, outFeatures, options, maxElements);
}
