// In which order pixels go: ranks [N, P] of pixels, or of square regions laid out over their pixels.
import { ShapeError } from '../../engine/errors.ts';
import { neg } from '../../engine/ops/arithmetic.ts';
import { expand, reshape, sum } from '../../engine/ops/broadcast.ts';
import { pad, slice } from '../../engine/ops/layout.ts';
import { rank } from '../../engine/ops/sort.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { planeOf } from '../attributions/perturb.ts';

/** Most or least relevant first. Of equal ones the first stored goes first in either order. */
export type Order = 'mostFirst' | 'leastFirst';

/** Attribution per pixel [N, P]: channels are summed. Throws ShapeError when it does not belong to the images. */
export function perPixel(where: string, a: Tensor, x: Tensor): Tensor {
  const [N, C] = a.shape;
  const { pixels } = planeOf(x);
  const isImage = a.shape.length === 4;
  const fits = N === x.shape[0] && planeOf(a).pixels === pixels && isImage === (x.shape.length === 4);
  if (!fits) {
    throw new ShapeError(
      `${where}: the attribution is ${formatShape(a.shape)} and the images ${formatShape(x.shape)}; give one map per image, of its height and width`,
    );
  }
  return isImage ? sum(reshape(a, [N, C, pixels]), [1]) : reshape(a, [N, pixels]);
}

/** Rank [N, n] of each value in its row: 0 goes first. */
export const ranksOf = (values: Tensor, order: Order): Tensor =>
  rank(order === 'mostFirst' ? values : neg(values));

/** Squares of `size` pixels over an image [H, W]; those at the right and lower edge may be cut. */
export class Regions {
  readonly #H: number;
  readonly #W: number;
  readonly #size: number;
  readonly #rows: number;
  readonly #columns: number;

  constructor([H, W]: readonly [number, number], size: number) {
    this.#H = H;
    this.#W = W;
    this.#size = size;
    this.#rows = Math.ceil(H / size);
    this.#columns = Math.ceil(W / size);
  }

  get count(): number {
    return this.#rows * this.#columns;
  }

  /** Sums [N, regions] of pixels [N, P]. */
  sums(pixels: Tensor): Tensor {
    const N = pixels.shape[0];
    const size = this.#size;
    const whole = [N, this.#rows * size, this.#columns * size];
    const padded = pad(reshape(pixels, [N, this.#H, this.#W]), [0, 0, 0], whole);
    const squares = reshape(padded, [N, this.#rows, size, this.#columns, size]);
    return reshape(sum(squares, [2, 4]), [N, this.count]);
  }

  /** Values [N, regions] laid out over their pixels, [N, P]. */
  spread(values: Tensor): Tensor {
    const N = values.shape[0];
    const size = this.#size;
    const grid = reshape(values, [N, this.#rows, 1, this.#columns, 1]);
    const squares = expand(grid, [N, this.#rows, size, this.#columns, size]);
    const padded = reshape(squares, [N, this.#rows * size, this.#columns * size]);
    return reshape(slice(padded, [0, 0, 0], [N, this.#H, this.#W]), [N, this.#H * this.#W]);
  }
}
