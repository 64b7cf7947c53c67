// What the results must be, in f64: a few numbers of each by its definition, and the losses of training by the engine's
// reference. The definitions share no code with any peer, ours included.

import { CpuDevice } from '../../engine/cpu-device.ts';
import { readScalar } from '../../engine/create.ts';
import { UsageError } from '../../engine/errors.ts';
import { scope } from '../../engine/scope.ts';
import { SGD } from '../../nn/optim.ts';
import { cnnGradients, cnnLoss, newCnn, uploadCnnBatch } from '../cnn.ts';
import { DISTINCT_COUNT, operand } from '../data.ts';
import { convShapes } from '../shapes.ts';
import { LEARNING_RATE, operandShapes, type Work } from './cases.ts';

/** Some numbers of a result, by flat index, and how far the largest difference may be of the largest number. */
export interface Expected {
  readonly indices: readonly number[];
  readonly values: readonly number[];
  readonly tolerance: number;
}

const CHECKED_COUNT = 200;
// Plain f32 sums of up to 25 thousand products: some digits of seven go.
const OP_TOLERANCE = 1e-4;
const TRAINING_TOLERANCE = 2e-3;
/** Losses that a peer's training is checked by: one before the first step, which is the forward pass, and one after it. */
export const CHECKED_STEPS = 2;

/** Numbers that every peer's result is held against. */
export async function expectedOf(work: Work): Promise<Expected> {
  if (work.kind === 'train') {
    const values = await referenceLosses(work.hasPenalty);
    const [before, after] = values;
    // Else a peer that does not train at all would pass.
    if (!(Math.abs(before - after) > 5 * TRAINING_TOLERANCE * before)) {
      throw new UsageError(
        `expectedOf: a step moves the loss from ${before} to ${after} only; raise LEARNING_RATE in cases.ts`,
      );
    }
    return { indices: values.map((_, i) => i), values, tolerance: TRAINING_TOLERANCE };
  }
  const operands = operandShapes(work).map((shape, i) => operand(i, shape));
  const { count, valueAt } = definitionOf(work, operands);
  // Spread over the result, the last number included.
  const indices = Array.from({ length: CHECKED_COUNT }, (_, i) =>
    Math.round((i * (count - 1)) / (CHECKED_COUNT - 1)),
  );
  return { indices, values: indices.map(valueAt), tolerance: OP_TOLERANCE };
}

interface Definition {
  /** Numbers in the result. */
  readonly count: number;
  readonly valueAt: (index: number) => number;
}

function definitionOf(work: Exclude<Work, { kind: 'train' }>, [a, b]: readonly Float32Array[]): Definition {
  switch (work.kind) {
    case 'matmul': {
      const { M, K, N } = work.sizes;
      return {
        count: M * N,
        valueAt(index) {
          const [m, n] = unflatten(index, [M, N]);
          let sum = 0;
          for (let k = 0; k < K; k++) sum += a[m * K + k] * b[k * N + n];
          return sum;
        },
      };
    }
    case 'conv':
      return convDefinition(work, a, b);
    case 'softmax':
      return {
        count: work.rows * work.columns,
        valueAt(index) {
          const first = index - (index % work.columns);
          let total = 0;
          for (let i = 0; i < work.columns; i++) total += Math.exp(a[first + i] - a[index]);
          return 1 / total;
        },
      };
    case 'add':
      return { count: work.count, valueAt: (index) => a[index] + b[index] };
    case 'chain':
      return { count: work.count, valueAt: (index) => a[index] + work.length * b[index] };
  }
}

/** y(n, o, p) = sum x(n, c, p s + k - padding) w(o, c, k), and what pulls y's gradient back to x and to w. */
function convDefinition(
  { direction, sizes }: Extract<Work, { kind: 'conv' }>,
  a: Float32Array,
  b: Float32Array,
): Definition {
  const { x, w, y, padding } = convShapes(sizes);
  const { kernel, stride } = sizes;
  const inside = (r: number, s: number) => r >= 0 && r < x[2] && s >= 0 && s < x[3];
  if (direction === 'forward') {
    return {
      count: product(y),
      valueAt(index) {
        const [n, o, p, q] = unflatten(index, y);
        let sum = 0;
        for (let c = 0; c < x[1]; c++) {
          for (let tap = 0; tap < kernel ** 2; tap++) {
            const r = p * stride - padding + Math.floor(tap / kernel);
            const s = q * stride - padding + (tap % kernel);
            if (inside(r, s)) sum += a[flatten([n, c, r, s], x)] * b[flatten([o, c], w) * kernel ** 2 + tap];
          }
        }
        return sum;
      },
    };
  }
  if (direction === 'input gradient') {
    return {
      count: product(x),
      valueAt(index) {
        const [n, c, r, s] = unflatten(index, x);
        let sum = 0;
        for (let tap = 0; tap < kernel ** 2; tap++) {
          const p = (r + padding - Math.floor(tap / kernel)) / stride;
          const q = (s + padding - (tap % kernel)) / stride;
          if (!Number.isInteger(p) || !Number.isInteger(q)) continue;
          if (p < 0 || p >= y[2] || q < 0 || q >= y[3]) continue;
          for (let o = 0; o < y[1]; o++) {
            sum += a[flatten([n, o, p, q], y)] * b[flatten([o, c], w) * kernel ** 2 + tap];
          }
        }
        return sum;
      },
    };
  }
  return {
    count: product(w),
    valueAt(index) {
      const [o, c, row, column] = unflatten(index, w);
      let sum = 0;
      for (let n = 0; n < y[0]; n++) {
        for (let p = 0; p < y[2]; p++) {
          for (let q = 0; q < y[3]; q++) {
            const r = p * stride - padding + row;
            const s = q * stride - padding + column;
            if (inside(r, s)) sum += a[flatten([n, c, r, s], x)] * b[flatten([n, o, p, q], y)];
          }
        }
      }
      return sum;
    },
  };
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Flat index; of a shape's first axes only if fewer indices are given. */
const flatten = (indices: readonly number[], shape: readonly number[]): number =>
  indices.reduce((flat, index, axis) => flat * shape[axis] + index, 0);

function unflatten(index: number, shape: readonly number[]): number[] {
  let rest = index;
  return shape
    .toReversed()
    .map((size) => {
      const at = rest % size;
      rest = Math.floor(rest / size);
      return at;
    })
    .reverse();
}

/** Losses before and after the first step of training, on the CPU device. */
async function referenceLosses(hasPenalty: boolean): Promise<number[]> {
  const device = new CpuDevice();
  const model = newCnn(device);
  const batch = uploadCnnBatch(device, DISTINCT_COUNT);
  const optimizer = new SGD(model.namedParameters());
  const before = scope(device, () => {
    const { loss, gradients } = cnnGradients(model, batch, hasPenalty);
    optimizer.step(gradients, LEARNING_RATE);
    return loss;
  });
  const after = scope(device, () => cnnLoss(model, batch, hasPenalty));
  return [await readScalar(before), await readScalar(after)];
}
