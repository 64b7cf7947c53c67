// Every kernel that depends on how axes lie, on shapes drawn at random: those of a list are the ones that were thought of.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import type { GpuDevice } from '../engine/gpu-device.ts';
import { apply } from '../engine/op.ts';
import { argmaxOp } from '../engine/ops/argmax.ts';
import { addOp, divOp, mulOp, subOp, sumProductOp } from '../engine/ops/arithmetic.ts';
import { avgPoolAdjointOp, avgPoolOp } from '../engine/ops/avg-pool.ts';
import { expandOp, reduceSumOp } from '../engine/ops/broadcast.ts';
import { gatherOp, oneHotOp, scatterAddOp } from '../engine/ops/indexing.ts';
import { concatOp, padOp, permuteOp, sliceOp } from '../engine/ops/layout.ts';
import { maxPoolIndicesOp, poolGatherOp, poolScatterOp } from '../engine/ops/max-pool.ts';
import { channelMomentsOp } from '../engine/ops/moments.ts';
import type { Pair } from '../engine/ops/pair.ts';
import type { FixedWindow } from '../engine/ops/pool-window.ts';
import { dropoutMaskOp, normalOp, uniformOp } from '../engine/ops/random.ts';
import { rankWeightsOp } from '../engine/ops/rank-weights.ts';
import { logSoftmaxOp, softmaxOp } from '../engine/ops/softmax.ts';
import { argsortOp, invertOrderOp, reorderOp } from '../engine/ops/sort.ts';
import { formatShape, type Shape, sizeOf } from '../engine/shape.ts';
import type { Example, Op } from '../engine/tensor.ts';
import { withGpu } from './gpu.ts';
import { randomValues } from './gradcheck.ts';
import { adapters, BOUND, errorOnGpu, plannedFor } from './kernel-check.ts';
import { isThorough } from './thorough.ts';

let gpu: GpuDevice;
withGpu((device) => {
  gpu = device;
});

/** An op with everything it is applied to, in a form in which calls of all ops are alike. */
interface Call {
  readonly where: string;
  readonly check: (name: string) => Promise<number>;
}

function call<A>(
  op: Op<A>,
  shapes: readonly Shape[],
  attrs: A,
  example?: Pick<Example<A>, 'range' | 'fixed'>,
): Call {
  return {
    where: `${op.name} ${shapes.map(formatShape).join(' ')} ${JSON.stringify(attrs)}`,
    check: (name) => errorOnGpu(gpu, plannedFor(op, name), shapes, attrs, example),
  };
}

const upTo = (max: number) => fc.integer({ min: 1, max });
/** Odd lengths, whole vec4s, and some that are cut into parts or shared by a team of threads. */
const length = fc.oneof(
  { weight: 4, arbitrary: upTo(9) },
  { weight: 3, arbitrary: upTo(6).map((n) => 4 * n) },
  { weight: 1, arbitrary: fc.constantFrom(67, 130, 300) },
);
// The reference is made of plain loops, and only the order of axes is looked for here, not large tensors.
const MOST_ELEMENTS = 6000;
const shapeOfRank = (minLength: number, maxLength = 4): fc.Arbitrary<number[]> =>
  fc.array(length, { minLength, maxLength }).filter((shape) => sizeOf(shape) <= MOST_ELEMENTS);
const shape = shapeOfRank(1);

const axisOf = (of: Shape) => fc.nat(of.length - 1);
const axesOf = (of: Shape) => fc.subarray([...of.keys()], { minLength: 1 });

/** A shape that broadcasts to `of`: some of its axes are 1, and some of the first ones are not there. */
const partOf = (of: Shape): fc.Arbitrary<number[]> =>
  fc
    .tuple(
      fc.array(fc.boolean(), { minLength: of.length, maxLength: of.length }),
      fc.nat(of.length),
      fc.boolean(),
    )
    .map(([isOne, dropped, isWhole]) =>
      isWhole ? [...of] : of.map((n, axis) => (isOne[axis] ? 1 : n)).slice(dropped),
    );

/** One shape, and another that broadcasts to it: in either order. */
const broadcastPair = shape.chain((of) =>
  fc.tuple(partOf(of), fc.boolean()).map(([part, isFirst]) => (isFirst ? [part, of] : [of, part])),
);

/** Numbers of which many are equal, 0 and -0 too. */
const tied = (of: Shape) => ({ fixed: { 0: randomValues('ties', sizeOf(of), [-2, 2]).map(Math.round) } });

/** Where a box lies in a shape. */
const boxIn = (of: Shape) =>
  fc
    .tuple(...of.map((n) => fc.nat(n - 1)), ...of.map((n) => fc.nat(n - 1)))
    .map((ends) => of.map((_, axis) => [ends[axis], ends[of.length + axis]].sort((a, b) => a - b)))
    .map((ends) => ({ starts: ends.map(([a]) => a), shape: ends.map(([a, b]) => b - a + 1) }));

/** As many places in 0..size-1 as a tensor of the shape has elements, and a few that are just outside. */
const indicesUpTo = (size: number, of: Shape): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: -1, max: size }), { minLength: sizeOf(of), maxLength: sizeOf(of) });

/** A shape, and a permutation for each of its rows. */
const ordered = shape.chain((of) => {
  const places = [...new Array(of[of.length - 1]).keys()];
  const row = fc.shuffledSubarray(places, { minLength: places.length });
  const rows = sizeOf(of) / places.length;
  return fc.array(row, { minLength: rows, maxLength: rows }).map((order) => ({ of, order: order.flat() }));
});

interface Pooling {
  readonly x: Shape;
  readonly window: FixedWindow;
  /** Counts of windows. */
  readonly adaptive: Pair;
}

const pair = (max: number) => fc.tuple(upTo(max), upTo(max));
const poolings: fc.Arbitrary<Pooling> = fc
  .record({
    planes: fc.tuple(upTo(3), upTo(5)),
    kernel: pair(4),
    stride: pair(2),
    padding: fc.tuple(fc.nat(2), fc.nat(2)),
    extra: fc.tuple(fc.nat(7), fc.nat(9)),
    adaptive: pair(5),
  })
  .map(({ planes, kernel, stride, padding, extra, adaptive }) => ({
    x: [...planes, kernel[0] + extra[0], kernel[1] + extra[1]],
    // More than half of the kernel is refused.
    window: {
      kernel,
      stride,
      padding: [
        Math.min(padding[0], Math.floor(kernel[0] / 2)),
        Math.min(padding[1], Math.floor(kernel[1] / 2)),
      ],
    },
    adaptive,
  }));

/** The places of the maxima of random planes: indices that lie in their windows. */
function indicesOf({ x, window }: Pooling) {
  const planes = tensor(new CpuDevice(), randomValues('planes', sizeOf(x), [-1, 1]), x);
  const indices = apply(maxPoolIndicesOp, [planes], window);
  return { shape: indices.shape, fixed: { 1: [...dataOf(indices)] } };
}

type AvgWindows = Parameters<typeof avgPoolOp.shape>[1];

const averages: fc.Arbitrary<readonly [Pooling, AvgWindows]> = fc
  .tuple(poolings, fc.boolean(), fc.boolean())
  .map(([drawn, isPadCounted, isAdaptive]) => [
    drawn,
    isAdaptive ? { output: drawn.adaptive } : { ...drawn.window, isPadCounted },
  ]);

// Of positive terms: what cancels has no small relative error.
const positive = { range: [0, 1] } as const;

const families: Record<string, fc.Arbitrary<Call>> = {
  'sums over any axes': shape.chain((x) =>
    axesOf(x).map((axes) => call(reduceSumOp, [x], { axes }, positive)),
  ),
  'sums of products': broadcastPair.chain((pair) => {
    const box = pair[0].length > pair[1].length || sizeOf(pair[0]) > sizeOf(pair[1]) ? pair[0] : pair[1];
    return axesOf(box).map((axes) => call(sumProductOp, pair, { axes }, positive));
  }),
  'elementwise ops on two shapes': fc
    .tuple(broadcastPair, fc.constantFrom(addOp, subOp, mulOp, divOp))
    .map(([pair, op]) => call(op, pair, {}, { range: [0.5, 2] })),
  softmaxes: fc
    .tuple(shape, fc.constantFrom(softmaxOp, logSoftmaxOp))
    .chain(([x, op]) => axisOf(x).map((axis) => call(op, [x], { axis }))),
  maxima: fc
    .tuple(shape, fc.boolean())
    .chain(([x, isTied]) => axisOf(x).map((axis) => call(argmaxOp, [x], { axis }, isTied ? tied(x) : {}))),
  'moments of channels': shapeOfRank(2).map((x) => call(channelMomentsOp, [x], {})),
  orders: fc
    .tuple(shape, fc.boolean(), fc.boolean())
    .map(([x, descending, isTied]) => call(argsortOp, [x], { descending }, isTied ? tied(x) : {})),
  // `keep` is part of the programs: few of many, and too many for a workgroup to rank them.
  'weights by rank': fc
    .tuple(shapeOfRank(0, 3), fc.constantFrom([9, 7], [301, 7], [301, 275]), fc.boolean())
    .filter(([rows, [n]]) => sizeOf(rows) * n <= MOST_ELEMENTS)
    .map(([rows, [n, keep], isTied]) => {
      const x = [...rows, n];
      return call(rankWeightsOp, [x], { decay: 0.9, keep }, isTied ? tied(x) : {});
    }),
  'maxima of windows': fc
    .tuple(poolings, fc.boolean())
    .map(([{ x, window }, isTied]) => call(maxPoolIndicesOp, [x], window, isTied ? tied(x) : {})),
  'picks from windows': poolings.map((drawn) => {
    const { shape, fixed } = indicesOf(drawn);
    return call(poolGatherOp, [drawn.x, shape], drawn.window, { fixed });
  }),
  'what is laid back into windows': poolings.map((drawn) => {
    const { shape, fixed } = indicesOf(drawn);
    const size: Pair = [drawn.x[2], drawn.x[3]];
    return call(poolScatterOp, [shape, shape], { ...drawn.window, size }, { fixed });
  }),
  'means of windows': averages.map(([{ x }, windows]) => call(avgPoolOp, [x], windows)),
  'what is spread over windows': averages.map(([{ x }, windows]) =>
    call(avgPoolAdjointOp, [avgPoolOp.shape([x], windows)], { windows, size: [x[2], x[3]] }),
  ),
  'axes in another order': shape.chain((x) =>
    fc
      .shuffledSubarray([...x.keys()], { minLength: x.length })
      .map((order) => call(permuteOp, [x], { order })),
  ),
  'what is repeated': shape.chain((to) => partOf(to).map((from) => call(expandOp, [from], { shape: to }))),
  'tensors side by side': shape.chain((x) =>
    fc.tuple(axisOf(x), fc.array(upTo(6), { minLength: 1, maxLength: 4 })).map(([axis, sizes]) =>
      call(
        concatOp,
        sizes.map((size) => x.with(axis, size)),
        { axis },
      ),
    ),
  ),
  'elements by number': shape.chain((x) =>
    fc
      .tuple(axisOf(x), upTo(9))
      .map(([axis, count]) => [axis, x.with(axis, count)] as const)
      .chain(([axis, picked]) =>
        indicesUpTo(x[axis], picked).map((indices) =>
          call(gatherOp, [x, picked], { axis }, { fixed: { 1: indices } }),
        ),
      ),
  ),
  'elements added by number': shape.chain((g) =>
    fc
      .tuple(axisOf(g), upTo(40))
      .chain(([axis, size]) =>
        indicesUpTo(size, g).map((indices) =>
          call(scatterAddOp, [g, g], { axis, size }, { ...positive, fixed: { 1: indices } }),
        ),
      ),
  ),
  'rows with a single 1': fc
    .tuple(shapeOfRank(0, 3), upTo(20))
    .chain(([of, depth]) =>
      indicesUpTo(depth, of).map((indices) => call(oneHotOp, [of], { depth }, { fixed: { 0: indices } })),
    ),
  'orders turned round': ordered.map(({ of, order }) =>
    call(invertOrderOp, [of], {}, { fixed: { 0: order } }),
  ),
  'rows in an order': ordered.map(({ of, order }) => call(reorderOp, [of, of], {}, { fixed: { 1: order } })),
  'random numbers': fc
    .tuple(
      fc.tuple(fc.nat(2 ** 24 - 1), fc.nat(2 ** 24 - 1)),
      shapeOfRank(0),
      fc.nat(2 ** 24),
      fc.constantFrom(uniformOp, normalOp, dropoutMaskOp),
    )
    .map(([key, of, threshold, op]) => call(op, [[2]], { shape: of, threshold }, { fixed: { 0: key } })),
  'boxes taken out': shape.chain((x) => boxIn(x).map((box) => call(sliceOp, [x], box))),
  'boxes laid in': shape.chain((whole) =>
    boxIn(whole).map(({ starts, shape }) => call(padOp, [shape], { starts, shape: whole })),
  ),
};

describe.each(Object.keys(adapters))('kernels planned for %s, on drawn shapes', (name) => {
  test.each(Object.entries(families))('%s', { timeout: isThorough ? 600_000 : 120_000 }, async (_, calls) => {
    const check = async ({ where, check }: Call) => {
      expect(await check(name), where).toBeLessThan(BOUND);
    };
    await fc.assert(fc.asyncProperty(calls, check), { numRuns: isThorough ? 200 : 8, seed: 4 });
  });
});
