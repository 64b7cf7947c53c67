// What is lost when a window of the image is covered.
import { tensor } from '../../engine/create.ts';
import { ShapeError } from '../../engine/errors.ts';
import { sub } from '../../engine/ops/arithmetic.ts';
import { reshape } from '../../engine/ops/broadcast.ts';
import { permute, slice } from '../../engine/ops/layout.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Device, Tensor } from '../../engine/tensor.ts';
import type { Module } from '../../nn/module.ts';
import { resample } from '../../nn/resample.ts';
import { type AttributionOptions, rowsOf, type Score } from './attribution.ts';
import { type CopyOptions, type CopyRange, checkCount } from './copies.ts';
import { perturbedScores } from './perturb.ts';

export interface OcclusionOptions extends AttributionOptions, CopyOptions {
  /** Height and width of the window; default 4. It covers all channels. */
  readonly patch?: number;
  /** Steps of the window; default the patch, so that windows are disjoint. */
  readonly stride?: number;
  /** What covers the window: a number, one image or one per image; default 0. */
  readonly baseline?: number | Tensor;
  /** Default 'logit'. */
  readonly score?: Score;
}

/** The windows along one axis: every `stride`, until one reaches the end. The last one may be cut. */
class Windows {
  readonly count: number;
  readonly size: number;
  readonly #patch: number;
  readonly #stride: number;

  constructor(size: number, patch: number, stride: number) {
    this.count = 1 + Math.max(0, Math.ceil((size - patch) / stride));
    this.size = size;
    this.#patch = patch;
    this.#stride = stride;
  }

  /** Whether place i lies in window v. */
  has(v: number, i: number): boolean {
    const start = v * this.#stride;
    return i >= start && i < start + this.#patch;
  }

  /** Matrix [size, count] that means over the windows at each place; where there is none, it gives 0. */
  means(device: Device): Tensor {
    const values = new Float64Array(this.size * this.count);
    for (let i = 0; i < this.size; i++) {
      const inside = Array.from({ length: this.count }, (_, v) => v).filter((v) => this.has(v, i));
      for (const v of inside) values[i * this.count + v] = 1 / inside.length;
    }
    return tensor(device, values, [this.size, this.count]);
  }
}

/** Masks [count, 1, H W] of copies: copy 0 is the image itself, copy 1 + v is covered by window v, row by row. */
function masksOf(device: Device, rows: Windows, columns: Windows, { first, count }: CopyRange): Tensor {
  const masks = new Float32Array(count * rows.size * columns.size);
  let i = 0;
  for (let copy = first; copy < first + count; copy++) {
    const [row, column] = [Math.floor((copy - 1) / columns.count), (copy - 1) % columns.count];
    for (let y = 0; y < rows.size; y++) {
      for (let x = 0; x < columns.size; x++, i++) {
        masks[i] = copy > 0 && rows.has(row, y) && columns.has(column, x) ? 1 : 0;
      }
    }
  }
  return tensor(device, masks, [count, 1, rows.size * columns.size]);
}

/**
 * Occlusion [N, 1, H, W]: what the score loses, on average over the windows v that cover a pixel.
 *   R_i = mean over v containing i of f(x) - f(x with the baseline in v)        Zeiler and Fergus 2014
 * Theirs draws f with the window there, ours the loss, so that it is positive where the model looks, as in Captum.
 * Always in evaluation mode; `logits` only settle the target. Throws ShapeError for other than [N, C, H, W].
 */
export function occlusion(model: Module, x: Tensor, options: OcclusionOptions = {}): Tensor {
  const { patch = 4, stride = patch } = options;
  checkCount('occlusion', 'patch', patch);
  checkCount('occlusion', 'stride', stride);
  if (x.shape.length !== 4) {
    throw new ShapeError(`occlusion: the input is ${formatShape(x.shape)}; give images [N, C, H, W]`);
  }
  const [N, , H, W] = x.shape;
  const [rows, columns] = [new Windows(H, patch, stride), new Windows(W, patch, stride)];
  const windowCount = rows.count * columns.count;
  const scores = perturbedScores(model, x, {
    ...options,
    rows: rowsOf(model, x, options),
    copyCount: windowCount + 1,
    masksOf: (range) => masksOf(x.device, rows, columns, range),
  });
  const losses = sub(slice(scores, [0, 0], [1, N]), slice(scores, [1, 0], [windowCount, N]));
  const grid = reshape(permute(losses, [1, 0]), [N, 1, rows.count, columns.count]);
  return resample(grid, rows.means(x.device), columns.means(x.device));
}
