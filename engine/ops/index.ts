// Every op, in families. A new op is listed here once; the tests find it by itself.
import type { Op } from '../tensor.ts';
import * as activations from './activations.ts';
import * as argmax from './argmax.ts';
import * as arithmetic from './arithmetic.ts';
import * as avgPool from './avg-pool.ts';
import * as broadcast from './broadcast.ts';
import * as conv from './conv.ts';
import * as indexing from './indexing.ts';
import * as layout from './layout.ts';
import * as matmul from './matmul.ts';
import * as maxPool from './max-pool.ts';
import * as moments from './moments.ts';
import * as pointwise from './pointwise.ts';
import * as random from './random.ts';
import * as rankWeights from './rank-weights.ts';
import * as softmax from './softmax.ts';
import * as sort from './sort.ts';

const families = [
  activations,
  argmax,
  arithmetic,
  avgPool,
  broadcast,
  indexing,
  conv,
  matmul,
  layout,
  maxPool,
  moments,
  pointwise,
  random,
  rankWeights,
  softmax,
  sort,
];

/** All ops of the engine, each with its reference, kernel, slopes and examples. */
export const allOps: readonly Op<unknown>[] = families.flatMap((family) =>
  Object.entries(family)
    .filter(([name]) => name.endsWith('Op'))
    .map(([, op]) => op as unknown as Op<unknown>),
);
