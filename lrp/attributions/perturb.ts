// Scores of images of which parts are replaced: what occlusion and all metrics of faithfulness are made of.
import { add, mul, sub } from '../../engine/ops/arithmetic.ts';
import { reshape } from '../../engine/ops/broadcast.ts';
import { concat } from '../../engine/ops/layout.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { inEvaluation, type Module } from '../../nn/module.ts';
import { repeatPerMap } from '../maps.ts';
import { type Score, scoreOf } from './attribution.ts';
import { asBatch, baselineOf, type CopyOptions, type CopyRange, overCopies } from './copies.ts';

export interface Perturbation extends CopyOptions {
  /** Rows [N, C] of the explained numbers. */
  readonly rows: Tensor;
  readonly copyCount: number;
  /** Where the copies of a range are replaced: 1 there, else 0; [count, N, P] or, alike for all images, [count, 1, P]. */
  readonly masksOf: (range: CopyRange) => Tensor;
  /** What stands there instead; default 0. */
  readonly baseline?: number | Tensor;
  readonly score?: Score;
}

/** Channels and pixels P of images [N, C, H, W]; rows of any other shape have one channel. */
export function planeOf({ shape }: Tensor): { channels: number; pixels: number } {
  const channels = shape.length === 4 ? shape[1] : 1;
  return { channels, pixels: shape.slice(1).reduce((size, n) => size * n, 1) / channels };
}

/** Copies [K N, C, H, W] of x with the baseline [N, C, H, W] where the masks are 1; no rounding, these are masks. */
function replaced(x: Tensor, baseline: Tensor, masks: Tensor): Tensor {
  const { channels, pixels } = planeOf(x);
  const [count, N] = masks.shape;
  const flat = (t: Tensor) => reshape(t, [1, x.shape[0], channels, pixels]);
  const gate = reshape(masks, [count, N, 1, pixels]);
  return asBatch(add(mul(flat(x), sub(1, gate)), mul(flat(baseline), gate)), x.shape.slice(1));
}

/** Scores [K, N] of K copies of each image of x, in evaluation mode. The score of an image depends on that image alone. */
export function perturbedScores(model: Module, x: Tensor, perturbation: Perturbation): Tensor {
  const { rows, masksOf, baseline = 0, score } = perturbation;
  const instead = baselineOf(x, baseline);
  const scores = overCopies(model, x, { ...perturbation, passes: 1 }, (range) => {
    const copies = replaced(x, instead, masksOf(range));
    const logits = inEvaluation(model, () => model.forward(copies));
    return reshape(scoreOf(logits, repeatPerMap(rows, range.count), score), [range.count, x.shape[0]]);
  });
  return concat(scores, 0);
}
