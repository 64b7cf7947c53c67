// The convolution triple (forward, input gradient, weight gradient): layers of known networks, odd ones, and even ones beside them.
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../engine/ops/conv.ts';
import { pairOf } from '../engine/ops/pair.ts';
import { type BenchCase, opCase } from './case.ts';
import { convLayers, convShapes, evenConvLayers, oddConvLayers } from './shapes.ts';

// The reference's plain loops take a second for a whole batch of the larger layers.
const CHECKED_FLOP = 2 ** 25;

const layers = [...convLayers, ...oddConvLayers, ...evenConvLayers];

/** Three cases per layer, each of the same number of operations. */
export const convCases: readonly BenchCase[] = layers.flatMap((sizes) => {
  const { label, kernel, stride, groups = 1 } = sizes;
  const { x, w, y, padding, flop } = convShapes(sizes);
  const few = convShapes(
    sizes,
    Math.max(1, Math.floor((sizes.N * CHECKED_FLOP) / Math.max(flop, CHECKED_FLOP))),
  );
  const options = { stride, padding, groups };
  const common = { family: 'conv', unit: 'GFLOP/s', workPerCall: flop / 1e9 };
  return [
    opCase({
      ...common,
      name: `conv-${label}`,
      shapes: [x, w],
      checkShapes: [few.x, w],
      run: ([images, weight]) => conv2d(images, weight, options),
    }),
    opCase({
      ...common,
      name: `conv-${label}-input-gradient`,
      shapes: [y, w],
      checkShapes: [few.y, w],
      run: ([g, weight]) => conv2dInputGrad(g, weight, pairOf(sizes.size), options),
    }),
    opCase({
      ...common,
      name: `conv-${label}-weight-gradient`,
      shapes: [x, y],
      checkShapes: [few.x, few.y],
      run: ([images, g]) => conv2dWeightGrad(images, g, [kernel, kernel], options),
    }),
  ];
});
