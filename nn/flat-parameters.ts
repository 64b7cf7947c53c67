// Many parameters as few long tensors, so that an optimiser's step costs a few dispatches and not a few per parameter.
import { assign } from '../engine/create.ts';
import { reshape } from '../engine/ops/broadcast.ts';
import { concat, slice } from '../engine/ops/layout.ts';
import { sizeOf } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';

// 16 MiB in f32: far beyond what a dispatch costs, while a step holds some blocks more than the parameters themselves.
const LARGEST_BLOCK = 2 ** 22;

/** Neighbouring parameters, seen as one tensor [size]. Numbers move in and out by plain copies, without a kernel. */
export class ParameterBlock {
  readonly parameters: readonly Tensor[];
  /** Where the block begins in the list of all parameters. */
  readonly first: number;
  readonly size: number;

  constructor(parameters: readonly Tensor[], first: number) {
    this.parameters = parameters;
    this.first = first;
    this.size = parameters.reduce((total, { shape }) => total + sizeOf(shape), 0);
  }

  /** The block's part of a list that has one tensor per parameter, of any shapes of these sizes, as one [size]. */
  join(all: readonly Tensor[]): Tensor {
    const own = all.slice(this.first, this.first + this.parameters.length);
    return concat(
      own.map((t) => reshape(t, [-1])),
      0,
    );
  }

  /** A tensor [size] as one tensor per parameter, of its shape. */
  split(flat: Tensor): Tensor[] {
    let start = 0;
    return this.parameters.map(({ shape }) => {
      const size = sizeOf(shape);
      const part = slice(flat, [start], [size]);
      start += size;
      return reshape(part, shape);
    });
  }

  /** Overwrites the block's part of `all` with the numbers of `flat` [size]. */
  write(flat: Tensor, all: readonly Tensor[]): void {
    this.split(flat).forEach((part, i) => {
      assign(all[this.first + i], part);
    });
  }
}

/** Blocks of at most 2^22 elements, in the order of the parameters; one that is larger is a block of its own. */
export function blocksOf(parameters: readonly Tensor[], largest = LARGEST_BLOCK): ParameterBlock[] {
  const blocks: ParameterBlock[] = [];
  let first = 0;
  let size = 0;
  parameters.forEach(({ shape }, i) => {
    const own = sizeOf(shape);
    if (i > first && size + own > largest) {
      blocks.push(new ParameterBlock(parameters.slice(first, i), first));
      [first, size] = [i, 0];
    }
    size += own;
  });
  if (parameters.length > 0) blocks.push(new ParameterBlock(parameters.slice(first), first));
  return blocks;
}
